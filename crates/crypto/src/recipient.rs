//! Sealing for a recipient: HPKE base mode with X25519 and HKDF-SHA256 (RFC 9180), secrets by export.
//!
//! Only the exporter is used: the derived key feeds a stream of records in whatever authenticated cipher the
//! device affords, Ascon included, which HPKE itself does not name.

#[cfg(all(feature = "hpke", not(target_os = "none")))]
mod export;
#[cfg(all(feature = "hpke", any(target_os = "none", test)))]
mod small;

#[cfg(all(feature = "hpke", not(target_os = "none")))]
pub use export::{ExportedSecret, RecipientSecretKey};

use crate::hash::sha256;
use crate::sign::KeyId;

/// Length of a recipient's keys and of the encapsulated key, in bytes.
pub const RECIPIENT_KEY_BYTES: usize = 32;

/// A public key to seal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecipientPublicKey([u8; RECIPIENT_KEY_BYTES]);

impl RecipientPublicKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; RECIPIENT_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RECIPIENT_KEY_BYTES] {
        &self.0
    }

    /// Short name: the first eight bytes of the key's SHA-256.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[&self.0]);
        [a, b, c, d, e, f, g, h]
    }
}

/// A chip sends, and receives nothing.
#[cfg(all(feature = "hpke", target_os = "none"))]
impl RecipientPublicKey {
    /// Makes a secret that only the recipient can derive again, from the returned encapsulated key and the same `info` and
    /// `label`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`](crate::CryptoError) when the recipient's key is a point of small order.
    pub fn encapsulate<const N: usize>(
        &self,
        info: &[u8],
        label: &[u8],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<([u8; RECIPIENT_KEY_BYTES], zeroize::Zeroizing<[u8; N]>), crate::CryptoError> {
        let mut material = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(material.as_mut());
        small::send(self, info, label, &material)
    }
}
