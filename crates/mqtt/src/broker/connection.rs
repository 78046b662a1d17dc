//! What the broker knows of a connection.

use std::collections::HashMap;

use bytes::BytesMut;
use thingward_model::Timestamp;

use crate::broker::message::MICROS;
use crate::broker::session::SessionId;
use crate::broker::timers::TimerKey;
use crate::codec::{PacketTooLarge, TopicAlias, Version};
use crate::topic::TopicName;

/// Names a connection. Given by the owner, never used twice.
pub type ConnId = u64;

#[derive(Debug)]
pub(super) struct Connection<I> {
    pub(super) who: I,
    pub(super) phase: Phase,
    /// Ends the handshake or checks the keep alive.
    pub(super) timer: Option<TimerKey>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// CONNECT has to come until then.
    Handshake {
        until: Timestamp,
    },
    Online(Box<Online>),
}

#[derive(Debug)]
pub(super) struct Online {
    pub(super) session: SessionId,
    pub(super) version: Version,
    /// Largest packet that the client takes, in bytes.
    pub(super) packet_bytes_max: usize,
    /// Most messages in flight to the client.
    pub(super) window: usize,
    /// Whether CONNECT asked for a session that outlives the connection: §3.14.2.2.2.
    pub(super) asked_for_expiry: bool,
    pub(super) since: Timestamp,
    pub(super) last_heard: Timestamp,
    /// Longest silence, one and a half times the keep alive, in microseconds.
    pub(super) patience: Option<i64>,
    pub(super) aliases_in: HashMap<TopicAlias, TopicName>,
    pub(super) aliases_out: AliasesOut,
    pub(super) unsent: Unsent,
}

/// Bytes of messages written for the client since the last drain.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    drain: u64,
    bytes: usize,
}

impl Unsent {
    pub(super) const fn since(&self, drain: u64) -> usize {
        if self.drain == drain { self.bytes } else { 0 }
    }

    pub(super) const fn add(&mut self, drain: u64, bytes: usize) {
        *self = Self { drain, bytes: self.since(drain).saturating_add(bytes) };
    }
}

/// Topic aliases towards the client: the first topics get one.
#[derive(Debug, Default)]
pub(super) struct AliasesOut {
    known: HashMap<TopicName, TopicAlias>,
    max: u16,
}

impl Online {
    /// [MQTT-3.1.2-22].
    pub(super) fn patience(keep_alive_seconds: u16) -> Option<i64> {
        (keep_alive_seconds != 0).then(|| i64::from(keep_alive_seconds) * MICROS * 3 / 2)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.patience.map(|micros| self.last_heard.plus_micros(micros))
    }
}

impl AliasesOut {
    pub(super) fn new(max: u16) -> Self {
        Self { known: HashMap::new(), max }
    }

    /// Writes with the alias of `topic`: alone when the client knows it, together with the name when it is new. A
    /// new alias counts only once its packet was written.
    pub(super) fn write(
        &mut self,
        topic: &TopicName,
        out: &mut BytesMut,
        write: impl FnOnce(Option<&TopicName>, Option<TopicAlias>, &mut BytesMut) -> Result<(), PacketTooLarge>,
    ) -> Result<(), PacketTooLarge> {
        if self.max == 0 {
            return write(Some(topic), None, out);
        }
        if let Some(alias) = self.known.get(topic) {
            return write(None, Some(*alias), out);
        }
        let next = u16::try_from(self.known.len()).ok().and_then(|n| n.checked_add(1));
        let Some(alias) = next.filter(|n| *n <= self.max).and_then(TopicAlias::new) else {
            return write(Some(topic), None, out);
        };
        write(Some(topic), Some(alias), out)?;
        self.known.insert(topic.detached(), alias);
        Ok(())
    }
}
