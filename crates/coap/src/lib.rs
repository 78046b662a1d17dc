//! CoAP as pure state machines: bytes and the time go in, bytes and events come out.
//!
//! - [`message`]: messages from and to bytes, RFC 7252 §3;
//! - [`oscore`]: their protection end to end, RFC 8613.
//!
//! None of this allocates, and no datagram panics.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod message;
pub mod oscore;
