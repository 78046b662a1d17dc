//! Signatures: Ed25519 (RFC 8032) and ECDSA with P-256 and SHA-256 (FIPS 186-5), as COSE carries them.
//!
//! Each algorithm is a module with a `PublicKey` and a `SecretKey`. Of an algorithm that a build does not have there are no
//! keys, so that nothing of it is left in a chip's image.

#[cfg(not(all(feature = "ed25519", feature = "p256")))]
mod absent;
mod der;
#[cfg(feature = "ed25519")]
#[cfg_attr(target_os = "none", path = "sign/ed25519_small.rs")]
mod ed25519;
mod key;
#[cfg(feature = "p256")]
mod p256;
mod software;

#[cfg(not(feature = "ed25519"))]
use absent as ed25519;
#[cfg(not(feature = "p256"))]
use absent as p256;

pub use der::p256_signature_from_der;
pub use key::{SPKI_BYTES_MAX, VerifyingKey};
pub use software::SoftwareKey;

use crate::CryptoError;

/// Length of both kinds of signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// First eight bytes of SHA-256 over a key's DER `SubjectPublicKeyInfo`.
pub type KeyId = [u8; 8];

/// Which signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// Ed25519: the choice on chips.
    Ed25519,
    /// ECDSA with P-256 and SHA-256: what 802.1AR, TPM and PKCS#11 have.
    EcdsaP256,
}

impl SignatureAlgorithm {
    /// The COSE algorithm identifier: RFC 9053 §2, RFC 9864 for the fully specified Ed25519.
    #[must_use]
    pub const fn cose_id(self) -> i64 {
        match self {
            Self::Ed25519 => -8,
            Self::EcdsaP256 => -7,
        }
    }

    /// The algorithm of a COSE identifier.
    #[must_use]
    pub const fn from_cose_id(id: i64) -> Option<Self> {
        match id {
            -8 => Some(Self::Ed25519),
            -7 => Some(Self::EcdsaP256),
            _ => None,
        }
    }
}

/// Something that holds a private key: software, a TPM, a PKCS#11 token.
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> &VerifyingKey;

    /// Signs `message`; ECDSA signatures are `r ‖ s`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the key holder refuses or is out of reach.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError>;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn public_key(&self) -> &VerifyingKey {
        (**self).public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        (**self).sign(message)
    }
}

#[cfg(test)]
mod tests;
