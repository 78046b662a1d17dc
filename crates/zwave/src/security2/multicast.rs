//! Groups: one message for several nodes, and what follows it up with each.

use rand_core::CryptoRng;

use super::Mpan;
use super::message::{Addresses, Destination, Extension, MessageError, Sealed};
use super::peer::open_with_mpan;
use super::session::{KeySlot, Opened, SealError, Security2, Unopened};
use super::span::entropy;
use crate::{NodeId, ParseError, S2Class};

/// A group that multicasts go to, numbered by who sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u8);

/// Why a multicast was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MulticastError {
    /// There is no such group.
    #[error("there is no such group")]
    NoGroup,
    /// As for one peer.
    #[error(transparent)]
    Seal(#[from] SealError),
}

pub(super) struct Group {
    class: S2Class,
    mpan: Mpan,
    sequence: u8,
}

impl Security2 {
    /// Makes a group whose members hold the key of a class.
    pub fn insert_group(&mut self, group: GroupId, class: S2Class, rng: &mut impl CryptoRng) {
        let [sequence, ..] = entropy(rng);
        self.groups.insert(group, Group { class, mpan: Mpan::generate(rng), sequence });
    }

    /// Encrypts a command for a group. Every member is sent [`Self::seal_follow_up`] next.
    ///
    /// # Errors
    ///
    /// [`MulticastError`].
    pub fn seal_multicast(&mut self, id: GroupId, command: &[u8]) -> Result<Vec<u8>, MulticastError> {
        let group = self.groups.get_mut(&id).ok_or(MulticastError::NoGroup)?;
        let keys = self.keys.get(&group.class).ok_or(SealError::NoKey)?;
        group.sequence = group.sequence.wrapping_add(1);
        let nonce = group.mpan.next_nonce(&keys.mpan);
        // A member steps once more with its follow-up, so that the multicast cannot be played to it after that.
        group.mpan.next_nonce(&keys.mpan);
        let addresses = Addresses { home: self.home, from: self.own, to: Destination::Group(id) };
        let frame =
            addresses.seal((&keys.ccm, &nonce), group.sequence, (&[Extension::Group(id)], &[]), command);
        Ok(frame.ok_or(SealError::TooLong)?)
    }

    /// Encrypts the same command for one member, with the state of the group's nonces where it has none.
    ///
    /// # Errors
    ///
    /// [`MulticastError`].
    pub fn seal_follow_up(
        &mut self,
        id: GroupId,
        node: NodeId,
        command: &[u8],
        tell: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, MulticastError> {
        let group = self.groups.get(&id).ok_or(MulticastError::NoGroup)?;
        let slot = KeySlot::Class(group.class);
        let state = [Extension::Mpan(id, group.mpan.state())];
        let inside: &[Extension] = if tell { &state } else { &[] };
        Ok(self.seal_with(node, slot, command, (&[Extension::Group(id)], inside), rng)?)
    }

    /// Decrypts a message of a node to a group that we are in. The next message to it says so if we cannot.
    ///
    /// # Errors
    ///
    /// [`Unopened`]; there is nothing to answer to a multicast.
    pub fn open_multicast(&mut self, node: NodeId, frame: &[u8]) -> Result<Opened, Unopened> {
        let sealed = Sealed::parse(frame)?;
        let group = sealed.group().ok_or(MessageError::Parse(ParseError::Kind))?;
        let peer = self.peers.get_mut(&node).ok_or(Unopened::NoNonce)?;
        if !S2Class::ALL.iter().any(|class| peer.groups.contains_key(&(*class, group))) {
            peer.out_of_step = true;
            return Err(Unopened::NoNonce);
        }
        let addresses = Addresses { home: self.home, from: node, to: Destination::Group(group) };
        let opened = S2Class::ALL.into_iter().find_map(|class| {
            let (keys, mpan) = self.keys.get(&class).zip(peer.groups.get(&(class, group)))?;
            open_with_mpan(&sealed, addresses, keys, mpan).map(|(text, mpan)| (class, text, mpan))
        });
        let Some((class, command, mpan)) = opened else {
            peer.out_of_step = true;
            return Err(Unopened::OutOfStep);
        };
        peer.groups.insert((class, group), mpan);
        Ok(Opened { slot: KeySlot::Class(class), command, out_of_step: None })
    }
}
