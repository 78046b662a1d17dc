//! Why bytes are not a packet, and what the peer is told about it.

use crate::codec::{ReasonCode, Version};

/// Why the bytes of a peer are not a control packet that it may send.
///
/// After any of these the network connection has to be closed: §4.13.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A variable byte integer goes on after its fourth byte: §1.5.5.
    #[error("variable byte integer longer than four bytes")]
    Length,
    /// The fixed header announces more than this side takes: §3.1.2.11.4.
    #[error("packet of {size} bytes, the limit is {limit}")]
    PacketTooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Bytes that this side takes.
        limit: usize,
    },
    /// A field runs past the end of its packet or of its property block.
    #[error("field cut short")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes after the last field")]
    Leftover,
    /// Flags of the fixed header that must have another value: §2.1.3.
    #[error("reserved flags of the fixed header")]
    Flags,
    /// QoS 3, or QoS 0 marked as a duplicate: §3.3.1.
    #[error("impossible delivery flags")]
    Delivery,
    /// A string that is not UTF-8 or has characters that are refused: §1.5.4.
    #[error("ill-formed string")]
    Text,
    /// Not a topic name: §4.7.
    #[error("ill-formed topic name")]
    TopicName,
    /// Not a topic filter: §4.7, §4.8.2.
    #[error("ill-formed topic filter")]
    TopicFilter,
    /// More topic levels than are taken.
    #[error("topic has too many levels")]
    TopicTooDeep,
    /// An identifier that no property has: §2.2.2.2.
    #[error("unknown property {0:#x}")]
    UnknownProperty(u32),
    /// A property of another packet.
    #[error("property {0:#x} is not allowed here")]
    PropertyNotAllowed(u8),
    /// A property that may stand once stands twice.
    #[error("property {0:#x} given twice")]
    DuplicateProperty(u8),
    /// A property whose value is outside what the standard allows.
    #[error("property {0:#x} has an impossible value")]
    PropertyValue(u8),
    /// Any fault in the properties of SUBSCRIBE or UNSUBSCRIBE: §2.2.2.2.
    #[error("property {0:#x} is wrong in a subscription")]
    SubscriptionProperty(u8),
    /// A PUBLISH with packet identifier zero: §2.2.1.
    #[error("publish with packet identifier zero")]
    PublishIdZero,
    /// Another packet with packet identifier zero: §2.2.1.
    #[error("packet identifier zero")]
    PacketIdZero,
    /// A subscription without a topic filter: §3.8.3, §3.10.3.
    #[error("no topic filter")]
    NoTopicFilter,
    /// Reserved subscription options, QoS 3 or retain handling 3: §3.8.3.1.
    #[error("impossible subscription options")]
    SubscriptionOptions,
    /// No Local on a shared subscription: §3.8.3.1.
    #[error("no-local on a shared subscription")]
    SharedNoLocal,
    /// A reason code that this packet does not have.
    #[error("reason code {0:#x} does not belong to this packet")]
    ReasonCode(u8),
    /// A packet type that the peer may not send: reserved, or meant for the other direction.
    #[error("packet type {0} is not for this receiver")]
    Unexpected(u8),
    /// Topic alias zero: §3.3.2.3.4.
    #[error("topic alias zero")]
    TopicAliasZero,
    /// Reserved or contradictory connect flags: §3.1.2.3.
    #[error("contradictory connect flags")]
    ConnectFlags,
    /// Neither `MQTT` nor `MQIsdp`: §3.1.2.1.
    #[error("unknown protocol name")]
    ProtocolName,
    /// A protocol level that does not go with the name: §3.1.2.2.
    #[error("unsupported protocol version {0}")]
    ProtocolVersion(u8),
    /// A fault inside CONNECT, after the version was known.
    #[error("connect: {cause}")]
    Connect {
        /// The version that the client announced.
        version: Version,
        /// Where the fault is.
        part: ConnectPart,
        /// The fault.
        cause: Box<DecodeError>,
    },
}

/// A region of CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectPart {
    /// Flags, keep alive and properties, those of the will included.
    Header,
    /// Client identifier, will topic and payload, user name, password.
    Payload,
}

impl DecodeError {
    /// The reason code that an MQTT 5.0 peer is told: §4.13.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::ProtocolVersion(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::TopicTooDeep => ReasonCode::TopicNameInvalid,
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::PropertyNotAllowed(_)
            | Self::DuplicateProperty(_)
            | Self::PropertyValue(_)
            | Self::PublishIdZero
            | Self::SharedNoLocal
            | Self::ReasonCode(_)
            | Self::Unexpected(_) => ReasonCode::ProtocolError,
            Self::Length
            | Self::Truncated
            | Self::Leftover
            | Self::Flags
            | Self::Delivery
            | Self::Text
            | Self::TopicName
            | Self::TopicFilter
            | Self::UnknownProperty(_)
            | Self::SubscriptionProperty(_)
            | Self::PacketIdZero
            | Self::NoTopicFilter
            | Self::SubscriptionOptions
            | Self::ConnectFlags
            | Self::ProtocolName => ReasonCode::MalformedPacket,
            Self::Connect { cause, .. } => cause.reason(),
        }
    }
}
