//! Who has a security context, and what is known of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thingward_coap::endpoint::ContextHandle;
use thingward_model::Principal;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::book::{RawKey, Record};
use crate::{Member, place};

/// Most contexts of those whose key nobody knows.
const STRANGERS_MAX: usize = 64;
/// Those of one place.
const STRANGERS_OF_PLACE_MAX: usize = 16;
/// How long a stranger may be silent.
const STRANGER_SILENCE_MAX: Duration = Duration::from_secs(120);
/// How long a member may be silent: EDHOC makes a new context in a second.
const MEMBER_SILENCE_MAX: Duration = Duration::from_secs(900);
/// How often one may try to become a member in one session, from each membership on.
const TRIES_MAX: u8 = 3;

/// The other end of a context.
pub(super) struct Peer {
    /// `None` of who showed a certificate.
    pub(super) key: Option<RawKey>,
    /// What only the ends of this session know.
    pub(super) export: Zeroizing<[u8; 32]>,
    /// `None` of a stranger.
    pub(super) member: Option<Arc<Record>>,
    pub(super) address: SocketAddr,
    heard: Instant,
    tries: u8,
}

impl Peer {
    pub(super) const fn new(
        key: Option<RawKey>,
        export: Zeroizing<[u8; 32]>,
        member: Option<Arc<Record>>,
        address: SocketAddr,
        now: Instant,
    ) -> Self {
        Self { key, export, member, address, heard: now, tries: 0 }
    }

    fn silence_max(&self) -> Duration {
        if self.member.is_some() { MEMBER_SILENCE_MAX } else { STRANGER_SILENCE_MAX }
    }

    fn is(&self, who: &Principal) -> bool {
        self.member.as_ref().is_some_and(|record| record.who() == *who)
    }

    /// It is this member from now on.
    pub(super) fn becomes(&mut self, member: Arc<Record>) {
        (self.member, self.tries) = (Some(member), 0);
    }

    /// Whether it may try once more to become a member, or another one.
    pub(super) const fn may_try(&mut self) -> bool {
        let may = self.tries < TRIES_MAX;
        self.tries = self.tries.saturating_add(1);
        may
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Peers(HashMap<ContextHandle, Peer>);

impl Peers {
    /// Which contexts go when this peer comes: the one that its key or the member had, and of strangers the one that was silent
    /// longest where there are too many. A member has always a place.
    pub(super) fn making_room(&self, new: &Peer) -> Vec<ContextHandle> {
        let is_same = |peer: &Peer| new.key.is_some() && peer.key == new.key;
        if let Some(member) = &new.member {
            let who = member.who();
            return self.find_all(|peer| is_same(peer) || peer.is(&who));
        }
        let mut gone: Vec<_> = self.find_all(is_same);
        let strangers = |peer: &Peer| peer.member.is_none() && !is_same(peer);
        let neighbours = |peer: &Peer| strangers(peer) && place(peer.address.ip()) == place(new.address.ip());
        if self.count(neighbours) >= STRANGERS_OF_PLACE_MAX {
            gone.extend(self.most_silent(neighbours));
        } else if self.count(strangers) >= STRANGERS_MAX {
            gone.extend(self.most_silent(strangers));
        }
        gone
    }

    pub(super) fn add(&mut self, context: ContextHandle, peer: Peer) {
        self.0.insert(context, peer);
    }

    /// A message came under this context.
    pub(super) fn heard(
        &mut self,
        context: ContextHandle,
        address: SocketAddr,
        now: Instant,
    ) -> Option<&mut Peer> {
        let peer = self.0.get_mut(&context)?;
        (peer.address, peer.heard) = (address, now);
        Some(peer)
    }

    pub(super) fn get_mut(&mut self, context: ContextHandle) -> Option<&mut Peer> {
        self.0.get_mut(&context)
    }

    pub(super) fn remove(&mut self, context: ContextHandle) -> Option<Peer> {
        self.0.remove(&context)
    }

    pub(super) fn of_member(&self, who: &Principal) -> Vec<ContextHandle> {
        self.find_all(|peer| peer.is(who))
    }

    /// Those that go by this certificate.
    pub(super) fn by(&self, member: &Member) -> Vec<ContextHandle> {
        self.find_all(|peer| peer.member.as_ref().is_some_and(|record| record.member == *member))
    }

    /// Members with a context.
    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.0.values().filter_map(|peer| peer.member.as_ref())
    }

    /// Those of whom nothing was heard for too long.
    pub(super) fn silent(&self, now: Instant) -> Vec<ContextHandle> {
        self.find_all(|peer| now.saturating_duration_since(peer.heard) >= peer.silence_max())
    }

    fn find_all(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<ContextHandle> {
        self.0.iter().filter(|(_, peer)| wanted(peer)).map(|(context, _)| *context).collect()
    }

    fn count(&self, wanted: impl Fn(&Peer) -> bool) -> usize {
        self.0.values().filter(|peer| wanted(peer)).count()
    }

    fn most_silent(&self, wanted: impl Fn(&Peer) -> bool) -> Option<ContextHandle> {
        let chosen = self.0.iter().filter(|(_, peer)| wanted(peer));
        chosen.min_by_key(|(_, peer)| peer.heard).map(|(context, _)| *context)
    }
}
