//! The server core: every session, subscription and message of a service as one sequential state machine.
//!
//! # Durability
//!
//! [`Broker::drain`] gives changes and effects. An effect MUST NOT be released before all changes of the same drain
//! and of earlier ones are durable: then an acknowledged message survives a killed process, and a QoS 2 message is
//! never delivered under a second identifier. [`Broker::restore`] rebuilds the state from the accumulated changes.
//! Sessions that end with their connection are not durable; the wills of connected clients are.
//!
//! # Slow readers
//!
//! QoS 1 and 2 messages are sent as far as the client acknowledges them. QoS 0 messages are handed out at once, so
//! the owner MUST bound what it holds for a connection and close one that does not read.
//!
//! # Full queues
//!
//! No message that was acknowledged is ever dropped for want of room. When a session's queue is full, a QoS 1 or 2
//! publication that would have to go there is refused as a whole, before anybody gets it: PUBACK or PUBREC with 0x97
//! (Quota exceeded) in MQTT 5.0, no acknowledgement and the end of the connection before, where the publisher sends
//! it again. QoS 0 messages are not queued; those for absent subscribers are counted.

mod close;
mod connect;
mod connection;
mod core;
mod counters;
mod delivery;
mod gate;
mod inbound;
mod limits;
mod message;
mod output;
mod record;
mod restore;
mod retained;
mod route;
mod session;
mod subscribe;
#[cfg(test)]
mod tests;
mod timers;
mod wills;

pub use connection::ConnId;
pub use core::Broker;
pub use counters::Counters;
pub use gate::{Delivered, Gate, Incoming, OpenGate, Routed, Scope};
pub use limits::Limits;
pub use message::Message;
pub use output::{Change, Effect, Output};
pub use route::QueueFull;
