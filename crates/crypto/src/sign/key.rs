//! Public keys.

use super::{SIGNATURE_BYTES, SignatureAlgorithm, ed25519, p256};
use crate::hash::sha256;
use crate::{CryptoError, KeyId};

/// Longest public key as a DER `SubjectPublicKeyInfo`, in bytes.
pub const SPKI_BYTES_MAX: usize = 91;

/// DER of `SubjectPublicKeyInfo` in front of the 32-byte key: RFC 8410 §4.
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of `SubjectPublicKeyInfo` in front of the 65-byte uncompressed point: RFC 5480 §2.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key, of an algorithm that this build has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(pub(super) Key);

#[allow(clippy::large_enum_variant, reason = "keys of an algorithm that is absent have no size")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Ed25519(ed25519::PublicKey),
    EcdsaP256(p256::PublicKey),
}

impl VerifyingKey {
    /// Reads a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when it is neither Ed25519 nor an uncompressed P-256 point, the point is not on the curve, or this
    /// build does not have the algorithm.
    pub fn from_spki(der: &[u8]) -> Result<Self, CryptoError> {
        if let Some(key) = der.strip_prefix(&ED25519_SPKI_PREFIX) {
            return Self::from_ed25519(key.try_into().map_err(|_| CryptoError)?);
        }
        let point = der.strip_prefix(&P256_SPKI_PREFIX).ok_or(CryptoError)?;
        Self::from_point(point.try_into().map_err(|_| CryptoError)?)
    }

    /// Reads an Ed25519 key as RFC 8032 writes it.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when it is no point of the curve, or this build does not have the algorithm.
    pub fn from_ed25519(key: &[u8; 32]) -> Result<Self, CryptoError> {
        ed25519::PublicKey::from_bytes(key).map(|key| Self(Key::Ed25519(key)))
    }

    /// The key as RFC 8032 writes it; `None` for another kind of key.
    #[must_use]
    pub fn to_ed25519(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Key::Ed25519(key) => Some(key.to_bytes()),
            Key::EcdsaP256(_) => None,
        }
    }

    /// Reads a P-256 key from the coordinates of its point, big endian.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the point is not on the curve, or this build does not have the algorithm.
    pub fn from_p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, CryptoError> {
        let mut point = [4; 65];
        for (slot, byte) in point.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *slot = *byte;
        }
        Self::from_point(&point)
    }

    fn from_point(point: &[u8; 65]) -> Result<Self, CryptoError> {
        p256::PublicKey::from_bytes(point).map(|key| Self(Key::EcdsaP256(key)))
    }

    /// Writes the DER `SubjectPublicKeyInfo` into `out` and returns its length in bytes.
    pub fn write_spki(&self, out: &mut [u8; SPKI_BYTES_MAX]) -> usize {
        let mut put = |prefix: &[u8], key: &[u8]| {
            let len = prefix.len() + key.len();
            for (slot, byte) in out.iter_mut().zip(prefix.iter().chain(key)) {
                *slot = *byte;
            }
            len
        };
        match &self.0 {
            Key::Ed25519(key) => {
                let key: [u8; 32] = key.to_bytes();
                put(&ED25519_SPKI_PREFIX, &key)
            }
            Key::EcdsaP256(key) => {
                let point: [u8; 65] = key.to_bytes();
                put(&P256_SPKI_PREFIX, &point)
            }
        }
    }

    /// The key's short name in COSE headers and the registry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut spki = [0; SPKI_BYTES_MAX];
        let len = self.write_spki(&mut spki);
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[spki.get(..len).unwrap_or_default()]);
        [a, b, c, d, e, f, g, h]
    }

    /// The algorithm of this key.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match &self.0 {
            Key::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Key::EcdsaP256(_) => SignatureAlgorithm::EcdsaP256,
        }
    }

    /// # Errors
    ///
    /// [`CryptoError`] when the signature is not this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), CryptoError> {
        self.verify_parts(&[message], signature)
    }

    /// As [`Self::verify`], of the concatenation of `parts`: a chip need not have it in one piece.
    ///
    /// # Errors
    ///
    /// See [`Self::verify`].
    pub fn verify_parts(
        &self,
        parts: &[&[u8]],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), CryptoError> {
        match &self.0 {
            Key::Ed25519(key) => key.verify(parts, signature),
            Key::EcdsaP256(key) => key.verify(parts, signature),
        }
    }
}
