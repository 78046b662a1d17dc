//! CoAP as pure state machines: bytes and the time go in, bytes and events come out.
//!
//! - [`message`]: messages from and to bytes, RFC 7252 §3;
//! - [`oscore`]: their protection end to end, RFC 8613;
//! - [`edhoc`]: the exchange that gives two endpoints the secret for it, RFC 9528;
//! - [`endpoint`]: client and server, with block-wise transfers and observation;
//! - [`wire`]: what our devices say over it, and hear.
//!
//! No datagram panics. Only the endpoint and EDHOC allocate.

#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod edhoc;
pub mod endpoint;
pub mod message;
pub mod oscore;
pub mod wire;
