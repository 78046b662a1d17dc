//! What the broker knows of a client beyond its connection: §4.1.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thingward_model::Timestamp;

use crate::broker::message::Stored;
use crate::broker::timers::TimerKey;
use crate::broker::{ConnId, Scope};
use crate::codec::{PacketId, QoS, SubscriptionId, SubscriptionOptions, Text};
use crate::topic::TopicFilter;

/// Numbers a session; never used twice while the session is stored.
pub(super) type SessionId = u64;

#[derive(Debug)]
pub(super) struct Session<I> {
    pub(super) name: SessionName,
    pub(super) who: I,
    pub(super) conn: Option<ConnId>,
    /// Survives the process. Fixed when the session begins.
    pub(super) durable: bool,
    /// Seconds that it outlives its connection; `u32::MAX` is for ever.
    pub(super) expiry_seconds: u32,
    /// Since when it is without a connection.
    pub(super) offline_since: Option<Timestamp>,
    /// Ends the session.
    pub(super) timer: Option<TimerKey>,
    /// By filter as the client gave it.
    pub(super) subscriptions: BTreeMap<TopicFilter, Subscription>,
    /// QoS 2 identifiers of the client between PUBLISH and PUBREL.
    pub(super) received: BTreeSet<PacketId>,
    pub(super) inflight: VecDeque<Inflight>,
    pub(super) queue: VecDeque<Entry>,
    pub(super) queue_bytes: usize,
    pub(super) next_sequence: u64,
    last_id: u16,
}

/// What a client names its session with, inside its scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SessionName {
    pub(super) scope: Scope,
    pub(super) client_id: Text,
}

#[derive(Debug, Clone)]
pub(super) struct Subscription {
    /// The filter that the broker uses inside.
    pub(super) inner: TopicFilter,
    pub(super) options: SubscriptionOptions,
    pub(super) id: Option<SubscriptionId>,
}

/// A QoS 1 or 2 message for one session.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Orders the messages of the session.
    pub(super) sequence: u64,
    pub(super) stored: Arc<Stored>,
    /// The QoS of the delivery, 1 or 2.
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) ids: Vec<SubscriptionId>,
}

#[derive(Debug)]
pub(super) struct Inflight {
    pub(super) id: PacketId,
    pub(super) entry: Entry,
    /// QoS 2: PUBREC has come, PUBREL was sent.
    pub(super) released: bool,
    /// Sent on the connection that there is, so that it counts against the receive maximum.
    pub(super) here: bool,
}

impl<I> Session<I> {
    pub(super) const fn new(name: SessionName, who: I, expiry_seconds: u32) -> Self {
        Self {
            name,
            who,
            conn: None,
            durable: expiry_seconds > 0,
            expiry_seconds,
            offline_since: None,
            timer: None,
            subscriptions: BTreeMap::new(),
            received: BTreeSet::new(),
            inflight: VecDeque::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            next_sequence: 0,
            last_id: 0,
        }
    }

    pub(super) const fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    pub(super) fn free_id(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id)
                && self.position(id).is_none()
            {
                return Some(id);
            }
        }
        None
    }

    /// Messages that the client has on this connection and has not finished.
    pub(super) fn open(&self) -> usize {
        self.inflight.iter().filter(|out| out.here).count()
    }

    pub(super) fn position(&self, id: PacketId) -> Option<usize> {
        self.inflight.iter().position(|out| out.id == id)
    }

    /// Whether its client is away and nothing is under way for it or from it.
    pub(super) fn is_idle(&self) -> bool {
        let is_empty = self.queue.is_empty() && self.inflight.is_empty() && self.received.is_empty();
        self.conn.is_none() && is_empty
    }

    /// Whether a message of this many bytes may still wait.
    pub(super) fn has_room(&self, bytes: usize, messages_max: usize, bytes_max: usize) -> bool {
        self.queue.len() < messages_max && self.queue_bytes.saturating_add(bytes) <= bytes_max
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        let since = self.offline_since?;
        let micros = i64::from(self.expiry_seconds) * super::message::MICROS;
        (self.expiry_seconds != u32::MAX).then(|| since.plus_micros(micros))
    }
}
