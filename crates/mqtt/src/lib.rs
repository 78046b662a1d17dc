//! MQTT 5.0, 3.1.1 and 3.1 as pure state machines: bytes and the time go in, bytes and decisions come out.
//!
//! - [`codec`]: control packets from and to bytes, each field typed and bounded;
//! - [`topic`]: topic names, topic filters and the index that finds the subscriptions of a name;
//! - [`broker`]: the server: sessions, routing, retained messages, wills, durable state as key-value changes;
//! - [`client`]: the other end, for devices and gateways.
//!
//! Section numbers are those of MQTT Version 5.0 (OASIS Standard, 2019-03-07) unless a comment names 3.1.1.

pub mod broker;
pub mod client;
pub mod codec;
pub mod topic;
