//! OSCORE, protection of the message itself: RFC 8613.
//!
//! A [`Context`] is what two endpoints share after somebody gave both a [`MasterSecret`]. It protects requests and
//! responses into the caller's buffer and keeps what may never repeat: the own sequence numbers and the window of those
//! seen. Sequence numbers survive a restart by being set aside ahead ([`Context::set_aside`]).
//!
//! ```text
//! outer   code POST or FETCH / 2.04 or 2.05, class U options, OSCORE option: flags, Partial IV, kid context, kid
//! inner   code, class E options, 0xFF payload — encrypted, with the kid and Partial IV of the request as its AAD
//! ```

mod aead;
mod context;
mod derive;
mod error;
mod header;
mod id;
mod outer;
mod request;
mod response;
mod sequence;
mod window;

pub use aead::Aead;
pub use context::{Context, Parameters};
pub use derive::{Hkdf, MasterSecret};
pub use error::{ContextError, ProtectError, UnprotectError};
pub use header::{Header, HeaderError, OVERHEAD_BYTES_MAX};
pub use id::{ContextId, Id, PartialIv};
pub use request::{Exchange, Opened};
pub use response::Nonce;
pub use sequence::SequenceNumber;

// Not under Miri, where ciphers take minutes.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;
