//! Control packets from and to bytes: MQTT 5.0 §2 and §3.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod filter_ack;
mod packet;
pub(crate) mod property;
pub(crate) mod publish;
pub(crate) mod reader;
mod reason;
mod subscribe;
mod text;
mod types;
mod unsubscribe;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

pub use ack::{Ack, AckKind};
pub use auth::Auth;
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will};
pub use disconnect::{Disconnect, DisconnectProperties};
pub use error::{ConnectPart, DecodeError};
pub use filter_ack::{FilterAck, FilterAckKind};
pub use packet::{Packet, Receiver, decode, packet_type};
pub use publish::{Publish, PublishTopic, PublishView};
pub use reason::ReasonCode;
pub use subscribe::{RetainHandling, Subscribe, SubscribeRequest, SubscriptionOptions};
pub use text::{Binary, Text, TextError};
pub use types::{
    Delivery, MessageProperties, PacketId, PayloadFormat, QoS, SubscriptionId, TopicAlias, UserProperties,
    Version,
};
pub use unsubscribe::Unsubscribe;
pub use writer::{PACKET_BYTES_PROTOCOL_MAX, PacketTooLarge};
