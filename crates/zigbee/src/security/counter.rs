//! Frame counters: who sent what last, so that nothing is taken twice (4.3.1.2, 4.4.1.2).

use std::collections::BTreeMap;

use crate::address::Eui64;

/// Sources that are kept count of. A network has at most 65,520 nodes; a listener in a house hears a few hundred.
const SOURCES_MAX: usize = 8192;

/// Whether a frame was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Its counter is above all that were taken.
    Fresh,
    /// Its counter is not: somebody sends again what was sent.
    Replayed {
        /// The lowest counter that would have been taken.
        expected: u32,
    },
    /// Its counter is the last there is, which a receiver refuses: the key has to change.
    Exhausted,
    /// More sources than are kept count of: nothing can be said.
    Untracked,
}

/// The counters of one key.
#[derive(Debug, Default)]
pub struct FrameCounters {
    /// The lowest counter that is taken next.
    next: BTreeMap<Eui64, u32>,
}

impl FrameCounters {
    /// Decides about a frame whose integrity code was right, and takes its counter where it is fresh. To be asked after that
    /// check only, or anybody could shut others out.
    pub fn accept(&mut self, source: Eui64, counter: u32) -> Freshness {
        let Some(next) = counter.checked_add(1) else { return Freshness::Exhausted };
        if self.next.len() >= SOURCES_MAX && !self.next.contains_key(&source) {
            return Freshness::Untracked;
        }
        let expected = self.next.entry(source).or_insert(0);
        if counter < *expected {
            return Freshness::Replayed { expected: *expected };
        }
        *expected = next;
        Freshness::Fresh
    }

    /// Forgets a source who got the key anew, and then counts from the start.
    pub fn forget(&mut self, source: Eui64) {
        self.next.remove(&source);
    }
}
