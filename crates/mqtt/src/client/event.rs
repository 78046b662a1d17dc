//! What a client hands over and what it tells.

use bytes::Bytes;

use crate::client::Receipt;
use crate::codec::{
    ConnAck, DecodeError, Disconnect, FilterAck, MessageProperties, Publish, QoS, ReasonCode,
};
use crate::topic::TopicName;

/// Names one operation of the owner. Unique over the life of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: TopicName,
    /// What goes there.
    pub payload: Bytes,
    /// How it is delivered.
    pub qos: QoS,
    /// Keep it for later subscribers.
    pub retain: bool,
    /// Properties of the message. Its expiry is sent as given, also when the message had to wait.
    pub properties: MessageProperties,
}

/// Why a message was not taken. It is in no queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// As many messages or bytes wait as may.
    #[error("the queue is full")]
    Full,
    /// QoS 0 is only sent, never kept.
    #[error("not connected")]
    NotConnected,
    /// Every packet identifier is in use.
    #[error("no free packet identifier")]
    NoPacketId,
    /// The packet is larger than the server takes.
    #[error("larger than the server takes")]
    TooLarge,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server accepted the connection.
    Connected(Box<ConnAck>),
    /// The server has the message, or refused it for good: `reason` says which. QoS 0: it was sent.
    Published {
        /// From [`Client::publish`](super::Client::publish).
        token: Token,
        /// A failure from 0x80 on.
        reason: ReasonCode,
    },
    /// The server answered a subscription or the end of one.
    Answered {
        /// From [`Client::subscribe`](super::Client::subscribe) or
        /// [`Client::unsubscribe`](super::Client::unsubscribe).
        token: Token,
        /// One reason for each filter.
        ack: FilterAck,
    },
    /// The connection ended before the answer to a subscription or its end came; it has to be asked again.
    Unanswered {
        /// Of the operation.
        token: Token,
    },
    /// A message. The receipt has to be given back with [`Client::ack`](super::Client::ack) once the message is safe.
    Message {
        /// As it came.
        publish: Box<Publish>,
        /// `None` for QoS 0.
        receipt: Option<Receipt>,
    },
    /// The connection is over. The transport has to be closed.
    Closed(ClosedBy),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClosedBy {
    /// The owner asked for it.
    Client,
    /// The transport went away.
    Transport,
    /// The server refused the connection.
    Refused(Box<ConnAck>),
    /// The server sent DISCONNECT.
    Server(Disconnect),
    /// The server was silent for too long.
    Timeout,
    /// The server sent what is no packet.
    Malformed(DecodeError),
    /// The server sent a packet that is not allowed now.
    Protocol(ReasonCode),
    /// CONNECT is larger than the protocol can express.
    TooLarge,
}
