//! Where policy meets the broker.

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::broker::Message;
use crate::codec::{Connect, ReasonCode};
use crate::topic::{TopicFilter, TopicName};

/// A part of the world that has its own client identifiers: a session is named by its scope and its client
/// identifier, so that nobody takes over the session of another identity. At most 65 535 bytes.
pub type Scope = Bytes;

/// Decides when a client connects, publishes and subscribes, and again when a message is delivered.
pub trait Gate {
    /// Who a client is. Comes from its certificate; the broker only keeps it.
    type Identity: Clone;

    /// The scope of the identity's client identifiers.
    fn scope(&self, who: &Self::Identity) -> Scope;

    /// The share of the retained messages that a topic counts for, in the names that the broker uses inside. Each
    /// share has its own bound, so that one does not take the room of the others.
    fn share(&self, topic: &TopicName) -> Scope;

    /// The identity as bytes, at most 65 535, for a session that survives a restart.
    fn encode_identity(&self, who: &Self::Identity) -> Bytes;

    /// The identity back from its bytes; `None` drops the stored session or will.
    fn decode_identity(&self, bytes: &[u8]) -> Option<Self::Identity>;

    /// Whether the client may connect.
    ///
    /// # Errors
    ///
    /// The reason that the client is told.
    fn connect(&mut self, now: Timestamp, who: &Self::Identity, connect: &Connect) -> Result<(), ReasonCode>;

    /// Turns a publication of a client, or its will, into the message that is routed, in the names that the broker uses
    /// inside.
    ///
    /// # Errors
    ///
    /// The reason that the client is told; nothing is routed.
    fn publish(
        &mut self,
        now: Timestamp,
        who: &Self::Identity,
        incoming: &Incoming<'_>,
    ) -> Result<Routed, ReasonCode>;

    /// Turns a topic filter of a client into the one that the broker uses inside.
    ///
    /// # Errors
    ///
    /// The reason that stands in SUBACK.
    fn subscribe(&mut self, who: &Self::Identity, filter: &TopicFilter) -> Result<TopicFilter, ReasonCode>;

    /// A message as this client sees it. Called at delivery, and when a message is sent again; `None` withholds it.
    fn deliver(&mut self, who: &Self::Identity, message: &Message) -> Option<Delivered>;
}

/// What a client gets of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its topic, in the names of the client.
    pub topic: TopicName,
    /// What it may see of the payload.
    pub payload: Bytes,
}

/// What becomes of what a client published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// It was accepted, and is for nobody.
    Nowhere,
    /// It goes to all who subscribe. When one of them has no room, it is refused, and nobody gets it.
    ToAll(Message),
    /// It goes to those who have room: what one of them does not fetch holds up nobody.
    ToThoseWithRoom(Message),
}

/// What a client published.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The message, in the names of the client.
    pub message: &'a Message,
    /// It is the will of a client that is gone.
    pub is_will: bool,
}

/// Lets everybody do everything under the names they use. For conformance tests only: it knows no identity, so
/// anyone may take over any session and read any topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    type Identity = ();

    fn scope(&self, (): &()) -> Scope {
        Scope::new()
    }

    fn share(&self, _: &TopicName) -> Scope {
        Scope::new()
    }

    fn encode_identity(&self, (): &()) -> Bytes {
        Bytes::new()
    }

    fn decode_identity(&self, _: &[u8]) -> Option<()> {
        Some(())
    }

    fn connect(&mut self, _: Timestamp, (): &(), _: &Connect) -> Result<(), ReasonCode> {
        Ok(())
    }

    fn publish(&mut self, _: Timestamp, (): &(), incoming: &Incoming<'_>) -> Result<Routed, ReasonCode> {
        Ok(Routed::ToAll(incoming.message.clone()))
    }

    fn subscribe(&mut self, (): &(), filter: &TopicFilter) -> Result<TopicFilter, ReasonCode> {
        Ok(filter.clone())
    }

    fn deliver(&mut self, (): &(), message: &Message) -> Option<Delivered> {
        Some(Delivered { topic: message.topic.clone(), payload: message.payload.clone() })
    }
}
