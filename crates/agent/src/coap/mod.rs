//! CoAP under OSCORE in the place of TLS, to a gateway or to the service itself: a small device's end of `docs/wire/coap.md`.
//!
//! - [`session`]: keys with who answers, who then proves who that is;
//! - [`member`]: enrolment and renewal; [`uplink`]: messages.

pub mod member;
pub mod session;
mod topic;
pub(crate) mod uplink;
