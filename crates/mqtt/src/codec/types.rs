//! Words that several packets share.

use std::num::{NonZeroU16, NonZeroU32};

use crate::codec::{Binary, Text};
use crate::topic::TopicName;

/// The protocol version of a connection, from its CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1, protocol level 3, `MQIsdp`.
    V3_1,
    /// MQTT 3.1.1, protocol level 4.
    V3_1_1,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// Identifies an exchange in flight. Never zero: §2.2.1.
pub type PacketId = NonZeroU16;

/// Stands for a topic name on one connection and in one direction. Never zero: §3.3.2.3.4.
pub type TopicAlias = NonZeroU16;

/// Pairs that are passed on unchanged and in order: §3.1.2.11.8.
pub type UserProperties = Vec<(Text, Text)>;

/// Quality of service: §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl QoS {
    /// The value on the wire.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// The QoS with this value, `None` above 2.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// How a PUBLISH is delivered, with exactly the fields that mode has: §3.3.1, §3.3.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0: without identifier, so never a duplicate either.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// Answered by PUBACK with the same identifier.
        id: PacketId,
        /// Sent before.
        duplicate: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// Answered by PUBREC with the same identifier.
        id: PacketId,
        /// Sent before.
        duplicate: bool,
    },
}

impl Delivery {
    /// The quality of service.
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier, `None` for QoS 0.
    #[must_use]
    pub const fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { id, .. } | Self::ExactlyOnce { id, .. } => Some(id),
        }
    }
}

/// What the publisher says the payload is: §3.3.2.3.2. Absent means bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// Unspecified bytes.
    Bytes,
    /// UTF-8 text.
    Utf8,
}

/// Identifies a subscription to its client, 1 to 268 435 455: §3.8.2.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The identifier with this value; `None` outside 1 to 268 435 455.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) if value.get() <= super::writer::VARINT_MAX => Some(Self(value)),
            _ => None,
        }
    }

    /// The value on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// The properties of an application message that travel from publisher to subscriber: §3.3.2.3, §3.1.3.2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageProperties {
    /// What the payload is.
    pub payload_format: Option<PayloadFormat>,
    /// Seconds that the message stays of use, counted from its receipt.
    pub message_expiry: Option<u32>,
    /// Describes the payload to the application, e.g. a MIME type.
    pub content_type: Option<Text>,
    /// Where a response goes.
    pub response_topic: Option<TopicName>,
    /// Tells the requester which request a response belongs to.
    pub correlation_data: Option<Binary>,
    /// Pairs of the application.
    pub user: UserProperties,
}
