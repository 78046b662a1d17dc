//! Security 2 of one node with all its peers.

use std::collections::BTreeMap;

use rand_core::CryptoRng;

use super::message::{Addresses, Destination, Extension, MessageError, Sealed, parse_extensions};
use super::multicast::Group;
use super::peer::{Peer, SPAN_LOOKAHEAD, SpanState, open_with_span};
use super::span::entropy;
use super::{EntropyInput, GroupId, Mpan, NetworkKeys, Span, TemporaryKeys};
use crate::bytes::Reader;
use crate::{HomeId, Key, NodeId, S2Class};

/// Which key protects a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySlot {
    /// That of a key exchange that is under way.
    Temporary,
    /// That of a class.
    Class(S2Class),
}

/// A message that was what it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key that opened it.
    pub slot: KeySlot,
    /// The command inside; may be empty.
    pub command: Vec<u8>,
    /// The sender cannot follow this group of ours.
    pub out_of_step: Option<GroupId>,
}

/// Why a message was not opened. Nothing of it was used, and what was agreed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Not an encrypted message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its sequence number was seen in the message before: the radio sent it twice, or somebody did.
    #[error("sequence number {0} was seen already")]
    Repeated(u8),
    /// There is nothing agreed with its sender: the answer is our half of a nonce.
    #[error("no nonce is agreed with its sender")]
    NoNonce,
    /// No key that its sender may hold opens it with any of the next nonces: it was forged or replayed, or the nonces have
    /// come apart. The answer is our half of a nonce.
    #[error("no key opens it with any of the next nonces")]
    OutOfStep,
}

/// Why a message was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no such key.
    #[error("there is no key of this class")]
    NoKey,
    /// The peer's half of a nonce is needed first.
    #[error("the peer's half of a nonce is needed first")]
    NoNonce,
    /// Longer than a link carries.
    #[error("longer than a link carries")]
    TooLong,
}

/// Keys, nonces and sequence numbers of one node.
pub struct Security2 {
    pub(super) home: HomeId,
    pub(super) own: NodeId,
    pub(super) keys: BTreeMap<S2Class, NetworkKeys>,
    exchange: Option<(NodeId, TemporaryKeys)>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) groups: BTreeMap<GroupId, Group>,
}

impl Security2 {
    /// A node without keys.
    #[must_use]
    pub const fn new(home: HomeId, own: NodeId) -> Self {
        Self {
            home,
            own,
            keys: BTreeMap::new(),
            exchange: None,
            peers: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Holds the key of a class.
    pub fn insert_key(&mut self, class: S2Class, network: Key) {
        self.keys.insert(class, NetworkKeys::expand(network));
    }

    /// The network key of a class.
    #[must_use]
    pub fn network_key(&self, class: S2Class) -> Option<&Key> {
        self.keys.get(&class).map(|keys| &keys.network)
    }

    /// Holds the keys of an exchange with one node. What was agreed with it is void.
    pub fn begin_exchange(&mut self, node: NodeId, keys: TemporaryKeys) {
        self.exchange = Some((node, keys));
        self.forget(node);
    }

    /// Wipes the keys of the exchange and what was agreed under them.
    pub fn end_exchange(&mut self) {
        if let Some((node, _)) = self.exchange.take() {
            self.forget(node);
        }
    }

    /// What was agreed with a node is void.
    pub fn forget(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            *peer = Peer { sent: peer.sent, ..Peer::default() };
        }
    }

    /// A node is gone.
    pub fn remove(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// A request for a node's half of a nonce: CC, Security 2, "Nonce Get".
    pub fn nonce_get(&mut self, node: NodeId, rng: &mut impl CryptoRng) -> Vec<u8> {
        vec![0x9f, 0x01, self.peer(node, rng).next_sequence()]
    }

    /// Our half of a new nonce for a node: CC, Security 2, "Nonce Report". What was agreed before is void.
    ///
    /// One that was told and not used yet is told again: a peer that answers to it is not put off by requests that somebody
    /// else makes in its name.
    pub fn nonce_report(&mut self, node: NodeId, rng: &mut impl CryptoRng) -> Vec<u8> {
        let fresh = entropy(rng);
        let peer = self.peer(node, rng);
        let ours = if let SpanState::Told(ours) = peer.span { ours } else { fresh };
        peer.span = SpanState::Told(ours);
        let mut command = vec![0x9f, 0x02, peer.next_sequence(), 0x01];
        command.extend(ours);
        command
    }

    /// Whether a request for a nonce has the sequence number of the one before.
    pub fn repeats_request(&mut self, node: NodeId, sequence: u8, rng: &mut impl CryptoRng) -> bool {
        self.peer(node, rng).received_clear.replace(sequence) == Some(sequence)
    }

    /// A node told its half of a nonce.
    pub fn heard_nonce(&mut self, node: NodeId, theirs: EntropyInput, rng: &mut impl CryptoRng) {
        self.peer(node, rng).span = SpanState::Heard(theirs);
    }

    /// Encrypts a command for a node.
    ///
    /// # Errors
    ///
    /// [`SealError`]; after [`SealError::NoNonce`] the caller sends [`Self::nonce_get`] and tries again when it is answered.
    pub fn seal(
        &mut self,
        node: NodeId,
        slot: KeySlot,
        command: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        self.seal_with(node, slot, command, (&[], &[]), rng)
    }

    /// Decrypts a message of a node to us alone.
    ///
    /// # Errors
    ///
    /// [`Unopened`], with nothing changed.
    pub fn open(&mut self, node: NodeId, frame: &[u8]) -> Result<Opened, Unopened> {
        let sealed = Sealed::parse(frame)?;
        let peer = self.peers.get(&node).ok_or(Unopened::NoNonce)?;
        if peer.received == Some(sealed.sequence) {
            return Err(Unopened::Repeated(sealed.sequence));
        }
        let addresses = Addresses { home: self.home, from: node, to: Destination::Node(self.own) };
        let (slot, text, span) = match &peer.span {
            SpanState::None | SpanState::Heard(_) => return Err(Unopened::NoNonce),
            SpanState::Told(ours) => {
                let theirs = sealed.entropy().ok_or(Unopened::NoNonce)?;
                let opened = self.slots(node).find_map(|(slot, ccm, personalization)| {
                    let span = Span::new(&theirs, ours, personalization);
                    open_with_span(&sealed, addresses, ccm, &span, 1).map(|(text, span)| (slot, text, span))
                });
                opened.ok_or(Unopened::OutOfStep)?
            }
            SpanState::Agreed(slot, span) => {
                let (ccm, _) = self.slot_keys(node, *slot).ok_or(Unopened::OutOfStep)?;
                let opened = open_with_span(&sealed, addresses, ccm, span, SPAN_LOOKAHEAD);
                opened.map(|(text, span)| (*slot, text, span)).ok_or(Unopened::OutOfStep)?
            }
        };
        let (inside, command) = split_text(&sealed, &text)?;
        let peer = self.peers.get_mut(&node).ok_or(Unopened::NoNonce)?;
        peer.received = Some(sealed.sequence);
        peer.span = SpanState::Agreed(slot, span);
        if let KeySlot::Class(class) = slot {
            follow_groups(peer, class, &sealed, &inside);
        }
        let out_of_step = sealed.extensions.contains(&Extension::OutOfStep).then(|| sealed.group()).flatten();
        Ok(Opened { slot, command, out_of_step })
    }

    pub(super) fn seal_with(
        &mut self,
        node: NodeId,
        slot: KeySlot,
        command: &[u8],
        (clear, inside): (&[Extension], &[Extension]),
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        let (ccm, personalization) = self.slot_keys(node, slot).ok_or(SealError::NoKey)?;
        let (ccm, personalization) = (ccm.clone(), *personalization);
        let addresses = Addresses { home: self.home, from: self.own, to: Destination::Node(node) };
        let peer = self.peer(node, rng);
        let mut extensions = Vec::new();
        let mut span = match &peer.span {
            SpanState::Agreed(agreed, span) if *agreed == slot => span.clone(),
            SpanState::Heard(theirs) => {
                let ours = entropy(rng);
                extensions.push(Extension::Span(ours));
                Span::new(&ours, theirs, &personalization)
            }
            SpanState::None | SpanState::Told(_) | SpanState::Agreed(..) => return Err(SealError::NoNonce),
        };
        extensions.extend(clear);
        if peer.out_of_step {
            extensions.push(Extension::OutOfStep);
        }
        let sequence = peer.sent.wrapping_add(1);
        let frame = addresses.seal((&ccm, &span.next_nonce()), sequence, (&extensions, inside), command);
        let frame = frame.ok_or(SealError::TooLong)?;
        peer.sent = sequence;
        peer.out_of_step = false;
        peer.span = SpanState::Agreed(slot, span);
        Ok(frame)
    }

    /// The keys that a node may use, the best first.
    fn slots(&self, node: NodeId) -> impl Iterator<Item = (KeySlot, &Key, &[u8; 32])> {
        let slots = [KeySlot::Temporary].into_iter().chain(S2Class::ALL.map(KeySlot::Class));
        slots.filter_map(move |slot| {
            self.slot_keys(node, slot).map(|(ccm, personalization)| (slot, ccm, personalization))
        })
    }

    fn slot_keys(&self, node: NodeId, slot: KeySlot) -> Option<(&Key, &[u8; 32])> {
        match slot {
            KeySlot::Temporary => {
                let (_, keys) = self.exchange.as_ref().filter(|(with, _)| *with == node)?;
                Some((&keys.ccm, &keys.personalization))
            }
            KeySlot::Class(class) => self.keys.get(&class).map(|keys| (&keys.ccm, &keys.personalization)),
        }
    }

    fn peer(&mut self, node: NodeId, rng: &mut impl CryptoRng) -> &mut Peer {
        self.peers.entry(node).or_insert_with(|| {
            let [sent, ..] = entropy(rng);
            Peer { sent, ..Peer::default() }
        })
    }
}

/// The extensions inside, and the command after them.
fn split_text(sealed: &Sealed, text: &[u8]) -> Result<(Vec<Extension>, Vec<u8>), MessageError> {
    let mut reader = Reader::new(text);
    let mut inside = Vec::new();
    if sealed.extended_inside {
        inside = parse_extensions(&mut reader, true)?;
    }
    Ok((inside, reader.rest().to_vec()))
}

/// A follow-up steps its group on, or tells where it is.
fn follow_groups(peer: &mut Peer, class: S2Class, sealed: &Sealed, inside: &[Extension]) {
    if let Some(mpan) = sealed.group().and_then(|group| peer.groups.get_mut(&(class, group))) {
        *mpan = Mpan::new(u128::from_be_bytes(mpan.state()).wrapping_add(1).to_be_bytes());
    }
    for extension in inside {
        if let Extension::Mpan(group, state) = extension {
            peer.groups.insert((class, *group), Mpan::new(*state));
        }
    }
}
