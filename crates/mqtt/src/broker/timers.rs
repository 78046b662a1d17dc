//! Deadlines, the nearest first.

use std::collections::BTreeMap;

use thingward_model::Timestamp;

use crate::broker::ConnId;
use crate::broker::session::SessionId;
use crate::topic::TopicName;

/// What may be due. The owner checks whether it still is: deadlines move without being taken out here.
#[derive(Debug, Clone)]
pub(super) enum Timer {
    /// CONNECT or keep alive.
    Connection(ConnId),
    SessionExpiry(SessionId),
    Will(SessionId),
    Retained(TopicName),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Timestamp, u64), Timer>,
    next: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Timestamp, timer: Timer) {
        self.next = self.next.wrapping_add(1);
        self.due.insert((at, self.next), timer);
    }

    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Timer> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}
