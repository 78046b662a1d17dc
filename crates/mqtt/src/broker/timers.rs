//! Deadlines, the nearest first. Whoever adds one cancels it when it has no more use, so that there are never more
//! than there are connections, sessions, wills and retained messages.

use std::collections::BTreeMap;

use thingward_model::Timestamp;

use crate::broker::ConnId;
use crate::broker::session::SessionId;
use crate::topic::TopicName;

/// What may be due. The owner checks whether it still is: a keep alive moves without being taken out here.
#[derive(Debug, Clone)]
pub(super) enum Timer {
    /// CONNECT or keep alive.
    Connection(ConnId),
    SessionExpiry(SessionId),
    Will(SessionId),
    Retained(TopicName),
}

/// Names a deadline.
pub(super) type TimerKey = (Timestamp, u64);

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<TimerKey, Timer>,
    next: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Timestamp, timer: Timer) -> Option<TimerKey> {
        self.next = self.next.wrapping_add(1);
        let key = (at, self.next);
        self.due.insert(key, timer);
        Some(key)
    }

    pub(super) fn cancel(&mut self, key: Option<TimerKey>) {
        if let Some(key) = key {
            self.due.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Timer> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}
