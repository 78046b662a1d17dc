//! CoAP under OSCORE in the place of TLS: what a small device and its gateway say to one another, and the device's end.
//!
//! - [`wire`] and [`proof`]: what both ends write: `docs/wire/coap.md`;
//! - [`session`]: keys with a gateway, which proves who it is;
//! - [`member`]: enrolment and renewal; [`uplink`]: messages.

pub mod key;
pub mod member;
pub mod proof;
pub mod session;
mod topic;
pub(crate) mod uplink;
pub mod wire;
