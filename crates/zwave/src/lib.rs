//! Z-Wave as pure state machines: bytes and the time go in, bytes and events come out.
//!
//! - [`security2`]: key derivation, nonces and encapsulation of Security 2; [`security0`]: the same of what came before;
//! - [`serial`]: the line to a controller: frames, acknowledgement, functions;
//! - [`command_class`]: commands of nodes, typed;
//! - [`controller`]: a host with its controller and nodes: who joins, with which key, what is asked and what is believed;
//! - [`affordance`]: what commands mean, from the tables in `data/`;
//! - [`dsk`], [`smart_start`]: what is printed on a thing;
//! - [`emulated`]: a controller and a node that are not there, for demos and tests.
//!
//! "CC" in section references is the *Z-Wave Application Command Class Specification* (Z-Wave Alliance, 2024B), "Host API" the
//! *Z-Wave Host API Specification*.

pub mod affordance;
mod bytes;
pub mod command_class;
pub mod controller;
pub mod dsk;
pub mod emulated;
mod error;
mod key;
mod node;
pub mod security0;
pub mod security2;
mod security_class;
pub mod serial;
pub mod smart_start;

pub use command_class::Command;
pub use dsk::Dsk;
pub use error::ParseError;
pub use key::Key;
pub use node::{HomeId, NodeId};
pub use security_class::{LinkSecurity, S2Class, SecurityClass};
