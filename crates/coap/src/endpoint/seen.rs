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
    max: usize,
}

impl<P: Copy + Eq> Seen<P> {
    pub(super) const fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), max }
    }

    /// Notes a message. For one that was seen, returns what it was answered with.
    pub(super) fn take(&mut self, now: Duration, peer: P, id: u16) -> Result<(), Option<Vec<u8>>> {
        while self.entries.front().is_some_and(|entry| entry.until <= now) {
            self.entries.pop_front();
        }
        if let Some(entry) = self.find(peer, id) {
            return Err(entry.reply.clone());
        }
        if self.entries.len() >= self.max {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { peer, id, until: now + EXCHANGE_LIFETIME, reply: None });
        Ok(())
    }

    pub(super) fn answered(&mut self, peer: P, id: u16, reply: &[u8]) {
        if let Some(entry) = self.find(peer, id) {
            entry.reply = Some(reply.to_vec());
        }
    }

    fn find(&mut self, peer: P, id: u16) -> Option<&mut Entry<P>> {
        self.entries.iter_mut().find(|entry| entry.peer == peer && entry.id == id)
    }
}
