//! The few primitives that the product uses, behind names that say what they are for.
//!
//! Pure Rust without allocation, so that one implementation serves chips and hosts; TLS has its own. Secret
//! types wipe themselves and have no `Debug`. A failed check has one error without detail: what failed inside
//! is of use to an attacker only.
//!
//! A feature adds the algorithm of its name; the types are the same without it, and keys of an algorithm that is not there
//! cannot be made. SHA-256, HMAC and Ascon are always there. On chips, which is where there is no operating
//! system, SHA-256, Ed25519 and X25519 come from the firmware's own crates.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod aead;
pub mod hash;
pub mod mac;
pub mod recipient;
#[cfg(feature = "std")]
pub mod sealed;
pub mod sign;

pub use aead::{AeadAlgorithm, AeadKey};
pub use hash::{Digest, sha256};
pub use mac::MacKey;
pub use recipient::RecipientPublicKey;
#[cfg(all(feature = "hpke", not(target_os = "none")))]
pub use recipient::{ExportedSecret, RecipientSecretKey};
pub use sign::{KeyId, SIGNATURE_BYTES, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey};

/// A cryptographic check failed, or a key was not usable. Deliberately without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CryptoError;

impl core::fmt::Display for CryptoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("cryptographic check failed")
    }
}

impl core::error::Error for CryptoError {}

/// The operating system's random source.
#[cfg(feature = "std")]
#[must_use]
pub fn system_rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}
