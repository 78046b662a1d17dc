//! Messages that were taken, and what they were answered with: RFC 7252 §4.5.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::limits::EXCHANGE_LIFETIME;

/// Counts messages: what came later has a greater one.
type Number = u64;

struct Entry<P> {
    peer: P,
    id: u16,
    until: Duration,
    /// What is sent again; nothing as long as nothing was sent.
    reply: Option<Vec<u8>>,
}

/// The last messages.
pub(super) struct Seen<P> {
    entries: BTreeMap<Number, Entry<P>>,
    numbers: BTreeMap<(P, u16), Number>,
    /// Those of each peer, oldest first. None of whom has none.
    peers: BTreeMap<P, VecDeque<Number>>,
    /// Peers by how many they have and how old the oldest is: the last is the first to lose one.
    crowd: BTreeSet<(usize, Reverse<Number>, P)>,
    next: Number,
    max: usize,
}

impl<P: Copy + Ord> Seen<P> {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            peers: BTreeMap::new(),
            crowd: BTreeSet::new(),
            next: 0,
            max,
        }
    }

    /// Notes a message. For one that was seen, returns what it was answered with.
    pub(super) fn take(&mut self, now: Duration, peer: P, id: u16) -> Result<(), Option<Vec<u8>>> {
        while let Some(peer) =
            self.entries.first_key_value().filter(|(_, e)| e.until <= now).map(|(_, e)| e.peer)
        {
            self.forget_oldest_of(peer);
        }
        if let Some(entry) = self.find(peer, id) {
            return Err(entry.reply.clone());
        }
        if self.entries.len() >= self.max {
            self.make_room();
        }
        let number = self.next;
        self.next += 1;
        self.entries.insert(number, Entry { peer, id, until: now + EXCHANGE_LIFETIME, reply: None });
        self.numbers.insert((peer, id), number);
        self.change(peer, |of_peer| of_peer.push_back(number));
        Ok(())
    }

    pub(super) fn answered(&mut self, peer: P, id: u16, reply: &[u8]) {
        if let Some(entry) = self.find(peer, id) {
            entry.reply = Some(reply.to_vec());
        }
    }

    /// Forgets the oldest message of the peer that has most, so that one who says much has others' not forgotten; of several
    /// that have as many, of the one that has been silent longest.
    fn make_room(&mut self) {
        if let Some((_, _, peer)) = self.crowd.last() {
            self.forget_oldest_of(*peer);
        }
    }

    fn forget_oldest_of(&mut self, peer: P) {
        let Some(oldest) = self.peers.get(&peer).and_then(|of_peer| of_peer.front().copied()) else { return };
        if let Some(Entry { id, .. }) = self.entries.remove(&oldest) {
            self.numbers.remove(&(peer, id));
        }
        self.change(peer, |of_peer| {
            of_peer.pop_front();
        });
    }

    /// Changes what a peer has, and its place in the crowd.
    fn change(&mut self, peer: P, change: impl FnOnce(&mut VecDeque<Number>)) {
        let mut of_peer = self.peers.remove(&peer).unwrap_or_default();
        if let Some(oldest) = of_peer.front() {
            self.crowd.remove(&(of_peer.len(), Reverse(*oldest), peer));
        }
        change(&mut of_peer);
        if let Some(oldest) = of_peer.front() {
            self.crowd.insert((of_peer.len(), Reverse(*oldest), peer));
            self.peers.insert(peer, of_peer);
        }
    }

    fn find(&mut self, peer: P, id: u16) -> Option<&mut Entry<P>> {
        self.entries.get_mut(self.numbers.get(&(peer, id))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_most_loses_the_oldest_and_of_equals_who_came_first() {
        let now = Duration::ZERO;
        let mut seen = Seen::new(4);
        for (peer, id) in [(9, 1), (1, 1), (1, 2), (5, 1), (7, 1)] {
            assert_eq!(seen.take(now, peer, id), Ok(()));
        }
        // The one that says much has lost its first, and then whoever came first.
        assert_eq!(seen.take(now, 1, 2), Err(None));
        assert_eq!(seen.take(now, 3, 1), Ok(()));
        for (peer, id) in [(1, 2), (5, 1), (7, 1), (3, 1)] {
            assert_eq!(seen.take(now, peer, id), Err(None), "{peer}");
        }
        seen.answered(3, 1, b"reply");
        assert_eq!(seen.take(now, 3, 1), Err(Some(b"reply".to_vec())));
        assert_eq!(seen.take(now + EXCHANGE_LIFETIME, 3, 1), Ok(()));
        assert_eq!(
            (seen.entries.len(), seen.numbers.len(), seen.peers.len(), seen.crowd.len()),
            (1, 1, 1, 1)
        );
    }
}
