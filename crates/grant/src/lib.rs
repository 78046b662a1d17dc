//! Grants: what somebody may do with a device for a while, checked by the device itself, with nobody else in reach.
//!
//! A *grant* is a CWT (RFC 8392) whose scope is in AIF (RFC 9237): operations with bounds, for a device or a class of
//! devices, with times, a use count, and the key of its *holder*. The holder may append *narrowings* that name the next
//! holder; each can only take away. To use it, the holder proves possession of the key over a nonce of the device and
//! the exact operation ([`present`](public::present)); the device decides ([`Device::decide`]).
//!
//! There are two profiles of the one model. [`public`]: Ed25519 signatures, which anybody verifies. [`symmetric`]: a key
//! that issuer and device share, and HMAC-SHA256, for chips that verify signatures too slowly.
//!
//! [`Beacon`]s tell the time to devices without a clock; [`Revocation`]s take grants back; both are signed, so that
//! anybody can carry them. [`usage`] is the course of one use, from offer to end.
//!
//! `docs/wire/grants.md` has the bytes and the rules. Everything here is free of allocation and I/O, but what hosts have
//! for descriptions (feature `std`).

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod audience;
mod beacon;
mod cbor;
mod chain;
mod claims;
mod cose;
mod device;
mod keys;
#[cfg(feature = "std")]
pub mod opening;
mod operation;
#[cfg(feature = "std")]
pub mod owned;
mod presentation;
pub mod public;
mod refusal;
mod revocation;
mod scope;
mod statement;
pub mod symmetric;
mod time;
pub mod usage;

use core::fmt;

pub use audience::Audience;
pub use beacon::{BEACON_BYTES_MAX, Beacon, SignedBeacon};
pub use chain::Grant;
pub use claims::{CLAIMS_BYTES_MAX, GrantId, HolderKey, Origin, REFERENCE_BYTES_MAX, Reference, Terms};
pub use cose::Profile;
pub use device::{Class, Device, Permitted, TrustedIssuer};
pub use keys::{IssuerKey, SharedKey, TrustedKey};
pub use operation::{OPERATION_BYTES_MAX, Operation};
pub use presentation::{Nonce, Presentation};
pub use refusal::Refusal;
pub use revocation::{REVOCATION_BYTES_MAX, REVOKED_MAX, Revocation, SignedRevocation, Standing};
pub use scope::{
    BOUNDS_MAX, Bound, CHOICES_MAX, PERMISSIONS_MAX, Permission, SCOPE_BYTES_MAX, Scope, TEXT_BYTES_MAX,
    Value,
};
pub use time::{ANSWER_MICROS_MAX, Question, Time};

/// Most narrowings of a grant. Enough for issuer, tenant, household, guest and a device of the guest; each costs the
/// device that checks it another signature.
pub const NARROWINGS_MAX: usize = 4;
/// Largest grant with all its narrowings, in bytes.
pub const GRANT_BYTES_MAX: usize = (1 + NARROWINGS_MAX) * cose::ITEM_BYTES_MAX;
/// Largest presentation: a grant and the proof behind it, in bytes.
pub const PRESENTATION_BYTES_MAX: usize = GRANT_BYTES_MAX + cose::ITEM_BYTES_MAX;

/// Why bytes are not what they should be, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// Not the structure that the position asks for, or not in its one encoding.
    Malformed,
    /// An algorithm, claim or version that this code does not know.
    UnknownVersion,
    /// Larger or more than the limit for its kind.
    TooLarge,
    /// The output buffer is too small.
    BufferTooSmall,
    /// A key or signature did not do its work. Without detail on purpose.
    Crypto,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not what its place asks for",
            Self::UnknownVersion => "of an unknown version, algorithm or claim",
            Self::TooLarge => "larger than the limit",
            Self::BufferTooSmall => "output buffer is too small",
            Self::Crypto => "cryptographic check failed",
        })
    }
}

impl core::error::Error for FormatError {}

impl From<thingward_crypto::CryptoError> for FormatError {
    fn from(_: thingward_crypto::CryptoError) -> Self {
        Self::Crypto
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
