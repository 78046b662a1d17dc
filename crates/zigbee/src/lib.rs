//! Zigbee without I/O: bytes go in, frames and decisions come out.
//!
//! From the air up:
//!
//! - [`ieee802154`]: the frames that everything travels in;
//! - [`nwk`], [`aps`]: routes and endpoints;
//! - [`green_power`]: the frames of switches without a battery;
//! - [`zcl`], [`layout`], [`library`]: what is asked and told, and the tables that say what it is called;
//! - [`security`]: what protects them: CCM*, keys and what is derived from them, install codes, frame counters;
//! - [`listen`]: all of it for somebody who listens; [`capture`]: the files that sniffers write;
//! - [`thing`]: what nodes have, say and are told as properties, events and actions of things.
//!
//! And from a host down to the coordinator that has the radio:
//!
//! - [`ash`], [`ezsp`]: coordinators of Silicon Labs; [`znp`]: of Texas Instruments;
//! - [`coordinator`]: what a host has it do;
//! - [`emulated`]: one that is not there, with nodes around it, for demos and tests.
//!
//! Everything that is read may come from a stranger: it is bounded, and what is wrong with it is said by field.

pub mod address;
pub mod aps;
pub mod ash;
mod bytes;
pub mod capture;
pub mod coordinator;
pub mod emulated;
pub mod ezsp;
pub mod green_power;
pub mod ieee802154;
pub mod layout;
pub mod library;
pub mod listen;
pub mod nwk;
mod octets;
pub mod security;
pub mod thing;
pub mod zcl;
pub mod znp;

pub use bytes::{Malformed, Problem};
pub use octets::Octets;
