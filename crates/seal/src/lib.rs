//! The reading chain: how a device binds, seals and signs its readings, and how a service checks them.
//!
//! A stream's readings travel as a *chain*. It starts with a signed *open* statement, which carries the key for
//! its records encapsulated for one recipient: the service or the customer. Then follow *records*, each one
//! sealed SenML pack, and signed *checkpoints* over the hash of all exact bytes so far, so that one signature
//! stands for many readings. What a device had to drop it declares in a signed *gap*.
//!
//! [`command`] is the way down: what a device is told to do, signed by the service and, where it matters, approved by
//! a user's passkey ([`approval`], hosts only); and what the device answers.
//!
//! `docs/wire/chain.md` and `commands.md` describe the bytes, which are COSE (RFC 9052) throughout. Everything
//! here is free of allocation and I/O; `no_std` devices and the service run the same code.

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "std")]
pub mod approval;
pub mod command;
mod cose;
pub mod envelope;
pub mod item;
pub mod record;
pub mod statement;
pub mod verifier;
pub mod writer;

use core::fmt;

pub use envelope::Envelope;
pub use item::{Item, Items};
pub use record::{Record, RecordKey};
pub use statement::{GapReason, Link, SignedStatement, Statement, StatementKind, Subject};
pub use verifier::{ChainState, Earlier, RecordVerdict, StatementVerdict, Violation};
pub use writer::ChainWriter;
#[cfg(feature = "hpke")]
pub use writer::NewChain;

/// A chain's name: random, never used twice by a device.
pub type ChainId = [u8; 8];

/// Highest sequence number: one below 2^63, so that counting on from it never wraps around.
pub const SEQUENCE_MAX: u64 = u64::MAX >> 1;

/// Why bytes are not a well-formed item of a chain, or an item could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// Not the structure that the position asks for.
    Malformed,
    /// A version or algorithm that this code does not know.
    UnknownVersion,
    /// Larger than the limit for its kind.
    TooLarge,
    /// The output buffer is too small.
    BufferTooSmall,
    /// A reading cannot be written or read.
    Senml(thingward_model::SenmlError),
    /// A key or signature did not do its work. Without detail on purpose.
    Crypto,
    /// The chain has used all its sequence numbers, or would pass the checkpoint limit.
    CheckpointDue,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not what its place asks for"),
            Self::UnknownVersion => f.write_str("of an unknown version or algorithm"),
            Self::TooLarge => f.write_str("larger than the limit"),
            Self::BufferTooSmall => f.write_str("output buffer is too small"),
            Self::Senml(e) => e.fmt(f),
            Self::Crypto => f.write_str("cryptographic check failed"),
            Self::CheckpointDue => f.write_str("the chain needs a checkpoint before its next record"),
        }
    }
}

impl core::error::Error for FormatError {}

impl From<thingward_crypto::CryptoError> for FormatError {
    fn from(_: thingward_crypto::CryptoError) -> Self {
        Self::Crypto
    }
}

#[cfg(feature = "std")]
impl From<minicbor::decode::Error> for FormatError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

impl From<thingward_model::cbor::Malformed> for FormatError {
    fn from(_: thingward_model::cbor::Malformed) -> Self {
        Self::Malformed
    }
}

impl From<thingward_model::cbor::Full> for FormatError {
    fn from(_: thingward_model::cbor::Full) -> Self {
        Self::BufferTooSmall
    }
}
