//! The client end of MQTT 5.0 without I/O, for devices and gateways.
//!
//! The owner opens a transport and calls [`Client::opened`], hands over what it reads with [`Client::receive`], writes
//! what [`Client::take_output`] gives, calls [`Client::tick`] at [`Client::next_deadline`], and reads
//! [`Client::poll_event`]. After [`Event::Closed`] it closes the transport and may open another.
//!
//! Messages of QoS 1 and 2 stay with the client until the server has them, over any number of connections, and the
//! order of publication is kept. They live in memory: whoever must not lose them keeps its own copy until
//! [`Event::Published`]. A message from the server is acknowledged when the owner says so with [`Client::ack`].

mod config;
mod core;
mod event;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;

pub use config::ClientConfig;
pub use core::Client;
pub use event::{ClosedBy, Event, Message, PublishError, Token};
pub use incoming::Receipt;
