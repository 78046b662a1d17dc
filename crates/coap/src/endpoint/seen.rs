//! Messages that were taken, and what they were answered with: RFC 7252 §4.5.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::limits::EXCHANGE_LIFETIME;

struct Entry<P> {
    peer: P,
    id: u16,
    until: Duration,
    /// What is sent again; nothing as long as nothing was sent.
    reply: Option<Vec<u8>>,
}

/// The last messages, oldest first.
pub(super) struct Seen<P> {
    entries: VecDeque<Entry<P>>,
    /// How many of them each peer has, none of whom has none.
    counts: Vec<(P, usize)>,
    max: usize,
}

impl<P: Copy + Eq> Seen<P> {
    pub(super) const fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), counts: Vec::new(), max }
    }

    /// Notes a message. For one that was seen, returns what it was answered with.
    pub(super) fn take(&mut self, now: Duration, peer: P, id: u16) -> Result<(), Option<Vec<u8>>> {
        while self.entries.front().is_some_and(|entry| entry.until <= now) {
            self.remove(0);
        }
        if let Some(entry) = self.find(peer, id) {
            return Err(entry.reply.clone());
        }
        if self.entries.len() >= self.max {
            self.make_room();
        }
        self.entries.push_back(Entry { peer, id, until: now + EXCHANGE_LIFETIME, reply: None });
        match self.counts.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((peer, 1)),
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, peer: P, id: u16, reply: &[u8]) {
        if let Some(entry) = self.find(peer, id) {
            entry.reply = Some(reply.to_vec());
        }
    }

    /// Forgets the oldest message of the peer that has most, so that one who says much has others' not forgotten.
    fn make_room(&mut self) {
        let most = self.counts.iter().max_by_key(|(_, count)| *count).map(|(peer, _)| *peer);
        if let Some(at) = self.entries.iter().position(|entry| Some(entry.peer) == most) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(Entry { peer, .. }) = self.entries.remove(at) else { return };
        if let Some((_, count)) = self.counts.iter_mut().find(|(other, _)| *other == peer) {
            *count -= 1;
        }
        self.counts.retain(|(_, count)| *count > 0);
    }

    fn find(&mut self, peer: P, id: u16) -> Option<&mut Entry<P>> {
        self.entries.iter_mut().find(|entry| entry.peer == peer && entry.id == id)
    }
}
