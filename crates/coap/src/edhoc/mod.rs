//! EDHOC, three messages, and one more where it is wanted, that give two endpoints a fresh secret and prove who they are: RFC 9528.
//!
//! Method 3 with cipher suite 2: both prove themselves with static Diffie-Hellman keys on P-256. The other knows the
//! credential by a key identifier, or it comes by value. Each step consumes the state before it, and only a credential that was checked
//! leads to keys.
//!
//! ```text
//! initiator                                    responder
//! Initiator::start ── message_1 ─────────────► Responder::answer
//! Initiator::read  ◄───────────── message_2 ──
//!   Responding::finish ─ message_3 ──────────► Responder::read, Initiating::finish
//!   Session          ◄────────── message_4 ── Session, where no OSCORE message comes with message_3 (Combined)
//! ```

mod cbor;
mod combined;
mod error;
mod initiator;
mod keys;
mod responder;
mod schedule;

pub use cbor::{CredentialId, Identifier};
pub use combined::{Combined, with_message_3};
pub use error::EdhocError;
pub use initiator::{Initiator, Responding};
pub use keys::{Credential, DhKey};
pub use responder::{Initiating, Responder};
pub use schedule::{End, Session};

#[cfg(test)]
mod tests;
