//! Confirmable messages until they are acknowledged: RFC 7252 §4.2.

use alloc::vec::Vec;
use core::time::Duration;

use super::event::{ExchangeId, ObservationId};
use super::limits::MAX_RETRANSMIT;

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Exchange(ExchangeId),
    Observation(ObservationId),
    /// A response that came after its acknowledgement.
    Response,
}

struct Transmission<P> {
    peer: P,
    id: u16,
    owner: Owner,
    datagram: Vec<u8>,
    attempts: u32,
    wait: Duration,
    due: Duration,
}

/// What waits for an acknowledgement.
pub(super) struct Reliable<P> {
    waiting: Vec<Transmission<P>>,
}

/// What is to be done when time has passed.
pub(super) enum Due<P> {
    Send(P, Vec<u8>),
    GivenUp(Owner),
}

impl<P: Copy + Eq> Reliable<P> {
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    pub(super) fn sent(
        &mut self,
        (now, wait): (Duration, Duration),
        peer: P,
        id: u16,
        owner: Owner,
        datagram: Vec<u8>,
    ) {
        self.waiting.push(Transmission { peer, id, owner, datagram, attempts: 0, wait, due: now + wait });
    }

    /// How many responses wait, those to a peer and all.
    pub(super) fn responses(&self, peer: P) -> (usize, usize) {
        let responses = || self.waiting.iter().filter(|waiting| waiting.owner == Owner::Response);
        (responses().filter(|waiting| waiting.peer == peer).count(), responses().count())
    }

    /// Puts a newer message in the place of one that waits, which goes when that would have gone again, no sooner:
    /// RFC 7641 §4.5.2. False when none waits.
    pub(super) fn replace(&mut self, owner: Owner, id: u16, datagram: &[u8]) -> bool {
        let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.owner == owner) else {
            return false;
        };
        waiting.id = id;
        waiting.datagram = datagram.to_vec();
        true
    }

    /// It was acknowledged or reset; says whose it was.
    pub(super) fn settle(&mut self, peer: P, id: u16) -> Option<Owner> {
        let at = self.waiting.iter().position(|waiting| waiting.peer == peer && waiting.id == id)?;
        Some(self.waiting.swap_remove(at).owner)
    }

    pub(super) fn forget(&mut self, owner: Owner) {
        self.waiting.retain(|waiting| waiting.owner != owner);
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }

    /// The next thing that is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Due<P>> {
        let at = self.waiting.iter().position(|waiting| waiting.due <= now)?;
        let waiting = self.waiting.get_mut(at)?;
        if waiting.attempts == MAX_RETRANSMIT {
            return Some(Due::GivenUp(self.waiting.swap_remove(at).owner));
        }
        waiting.attempts += 1;
        waiting.wait *= 2;
        waiting.due = now + waiting.wait;
        Some(Due::Send(waiting.peer, waiting.datagram.clone()))
    }
}
