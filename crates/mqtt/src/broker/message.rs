//! Messages as the broker routes and keeps them.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::codec::{Binary, MessageProperties, QoS, Text};
use crate::topic::TopicName;

/// An application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: TopicName,
    /// What goes there.
    pub payload: Bytes,
    /// The QoS of the publication.
    pub qos: QoS,
    /// Keep it for later subscribers.
    pub retain: bool,
    /// Properties of the message; its expiry counts from now.
    pub properties: MessageProperties,
    /// On whose right it is delivered, as the gate has written it down: asked about again at delivery, also after a
    /// restart. At most 65 535 bytes; empty when the gate did not say. No client sees it.
    pub author: Bytes,
}

/// A message that sessions share while they deliver it.
#[derive(Debug)]
pub(super) struct Stored {
    /// Its number in the durable state.
    pub(super) number: u64,
    pub(super) message: Message,
    pub(super) expires: Option<Timestamp>,
    /// What it counts for in bounds of bytes.
    pub(super) bytes: usize,
    /// Durable sessions that still need it.
    holders: AtomicU32,
}

impl Stored {
    pub(super) fn new(number: u64, message: Message, expires: Option<Timestamp>) -> Self {
        let bytes = message.bytes();
        Self { number, message, expires, bytes, holders: AtomicU32::new(0) }
    }

    /// Counts a durable holder; `true` for the first.
    pub(super) fn hold(&self) -> bool {
        self.holders.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts one holder less; `true` for the last.
    pub(super) fn let_go(&self) -> bool {
        self.holders.fetch_sub(1, Ordering::Relaxed) == 1
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }
}

impl Message {
    /// When the message is of no more use.
    pub(super) fn expires(&self, now: Timestamp) -> Option<Timestamp> {
        self.properties.message_expiry.map(|seconds| now.plus_micros(i64::from(seconds) * MICROS))
    }

    /// Bytes of payload, topic, properties and author.
    pub(super) fn bytes(&self) -> usize {
        let p = &self.properties;
        let text = |text: Option<&Text>| text.map_or(0, |t| t.as_bytes().len());
        let user: usize = p.user.iter().map(|(k, v)| k.as_bytes().len() + v.as_bytes().len()).sum();
        self.payload.len()
            + self.author.len()
            + self.topic.as_bytes().len()
            + text(p.content_type.as_ref())
            + text(p.response_topic.as_ref().map(TopicName::as_text))
            + p.correlation_data.as_ref().map_or(0, |data| data.as_bytes().len())
            + user
    }

    /// The same message in memory of its own, so that it holds no network buffer alive.
    pub(super) fn detached(&self) -> Self {
        let p = &self.properties;
        Self {
            topic: self.topic.detached(),
            payload: Bytes::copy_from_slice(&self.payload),
            qos: self.qos,
            retain: self.retain,
            properties: MessageProperties {
                payload_format: p.payload_format,
                message_expiry: p.message_expiry,
                content_type: p.content_type.as_ref().map(Text::detached),
                response_topic: p.response_topic.as_ref().map(TopicName::detached),
                correlation_data: p.correlation_data.as_ref().map(Binary::detached),
                user: p.user.iter().map(|(k, v)| (k.detached(), v.detached())).collect(),
            },
            author: Bytes::copy_from_slice(&self.author),
        }
    }
}

/// Microseconds in a second.
pub(super) const MICROS: i64 = 1_000_000;

/// Whole seconds from `now` to `then`, rounded up; `None` when `then` has come.
pub(super) fn seconds_until(now: Timestamp, then: Timestamp) -> Option<u32> {
    let micros = then.micros_since(now);
    if micros <= 0 {
        return None;
    }
    let seconds = micros.saturating_add(MICROS - 1) / MICROS;
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}
