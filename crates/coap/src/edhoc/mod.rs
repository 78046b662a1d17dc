//! EDHOC, three messages, and one more where it is wanted, that give two endpoints a fresh secret and prove who they are: RFC 9528.
//!
//! All four methods with cipher suites 0 to 3: each end proves itself with a static Diffie-Hellman key or with a signature. The
//! other knows the credential by a key identifier or the hash of a certificate, or it comes by value, as a claims set or a chain of
//! certificates. Whether a certificate is to be believed is for whoever uses this. Each step consumes the state before it, and
//! only a credential that was checked leads to keys.
//!
//! ```text
//! initiator                                    responder
//! Initiator::start ── message_1 ─────────────► Message1::read, Responder::answer
//! Initiator::read  ◄───────────── message_2 ──
//!   Responding::finish ─ message_3 ──────────► Responder::read, Initiating::finish
//!   Session          ◄────────── message_4 ── Session, where no OSCORE message comes with message_3 (Combined)
//! ```

mod cbor;
mod combined;
mod credential;
mod error;
mod id;
mod initiator;
mod keys;
mod message_1;
mod proof;
mod responder;
mod schedule;
mod suite;

pub use cbor::Identifier;
pub use combined::{Combined, with_message_3};
pub use credential::{Credential, PublicKey};
pub use error::{EdhocError, error_message, error_text};
pub use id::{Chain, CredentialId, Thumbprint};
pub use initiator::{Initiator, Responding};
pub use keys::DhKey;
pub use message_1::Message1;
pub use proof::OwnKey;
pub use responder::{Initiating, Responder};
pub use schedule::{End, Session};
pub use suite::{Curve, Method, Proof, Suite, Suites};

// Not under Miri, where a key exchange takes minutes.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;
