//! Authenticated encryption with associated data, in place and detached.

#[cfg(feature = "aes-gcm")]
use aes_gcm::Aes256Gcm;
use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};
#[cfg(feature = "chacha20poly1305")]
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::Zeroizing;

use crate::CryptoError;

/// Length of the tag of every algorithm here, in bytes.
pub const TAG_BYTES: usize = 16;
/// Longest nonce of the algorithms here, in bytes.
pub const NONCE_BYTES_MAX: usize = 16;
/// Longest key of the algorithms here, in bytes.
pub const KEY_BYTES_MAX: usize = 32;

/// Which authenticated cipher seals a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AeadAlgorithm {
    /// AES-256-GCM, NIST SP 800-38D.
    Aes256Gcm,
    /// ChaCha20-Poly1305, RFC 8439.
    ChaCha20Poly1305,
    /// Ascon-AEAD128, NIST SP 800-232: the choice on 8-bit chips.
    AsconAead128,
}

impl AeadAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::AsconAead128];

    /// The COSE algorithm identifier: RFC 9053 §4. Ascon has none yet and takes one from the private range.
    #[must_use]
    pub const fn cose_id(self) -> i64 {
        match self {
            Self::Aes256Gcm => 3,
            Self::ChaCha20Poly1305 => 24,
            Self::AsconAead128 => -65_537,
        }
    }

    /// The algorithm of a COSE identifier.
    #[must_use]
    pub fn from_cose_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.cose_id() == id)
    }

    /// Whether this build has the algorithm.
    const fn is_present(self) -> bool {
        match self {
            Self::Aes256Gcm => cfg!(feature = "aes-gcm"),
            Self::ChaCha20Poly1305 => cfg!(feature = "chacha20poly1305"),
            Self::AsconAead128 => true,
        }
    }

    /// Key length in bytes.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
            Self::AsconAead128 => 16,
        }
    }

    /// Nonce length in bytes.
    #[must_use]
    pub const fn nonce_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 12,
            Self::AsconAead128 => 16,
        }
    }
}

/// A key for one algorithm. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct AeadKey {
    algorithm: AeadAlgorithm,
    bytes: Zeroizing<[u8; KEY_BYTES_MAX]>,
}

impl AeadKey {
    /// # Errors
    ///
    /// [`CryptoError`] when `bytes` has another length than the algorithm's key, or this build does not have the algorithm.
    pub fn new(algorithm: AeadAlgorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; KEY_BYTES_MAX]);
        if !algorithm.is_present() || bytes.len() != algorithm.key_bytes() {
            return Err(CryptoError);
        }
        key.get_mut(..bytes.len()).ok_or(CryptoError)?.copy_from_slice(bytes);
        Ok(Self { algorithm, bytes: key })
    }

    /// The algorithm that this key is for.
    #[must_use]
    pub const fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// The key itself, for sealing it under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.key_bytes()).unwrap_or_default()
    }

    /// Encrypts `text` in place and returns the tag. A nonce must never be used twice with one key.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when `nonce` has the wrong length or `text` is longer than the algorithm takes.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_BYTES], CryptoError> {
        let key = self.expose();
        match self.algorithm {
            #[cfg(feature = "aes-gcm")]
            AeadAlgorithm::Aes256Gcm => seal_with::<Aes256Gcm>(key, nonce, aad, text),
            #[cfg(feature = "chacha20poly1305")]
            AeadAlgorithm::ChaCha20Poly1305 => seal_with::<ChaCha20Poly1305>(key, nonce, aad, text),
            AeadAlgorithm::AsconAead128 => seal_with::<AsconAead128>(key, nonce, aad, text),
            #[cfg(not(all(feature = "aes-gcm", feature = "chacha20poly1305")))]
            _ => Err(CryptoError),
        }
    }

    /// Checks the tag and decrypts `text` in place.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when key, nonce, associated data, text and tag do not belong together; `text` is then
    /// not plaintext.
    pub fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), CryptoError> {
        let key = self.expose();
        match self.algorithm {
            #[cfg(feature = "aes-gcm")]
            AeadAlgorithm::Aes256Gcm => open_with::<Aes256Gcm>(key, nonce, aad, text, tag),
            #[cfg(feature = "chacha20poly1305")]
            AeadAlgorithm::ChaCha20Poly1305 => open_with::<ChaCha20Poly1305>(key, nonce, aad, text, tag),
            AeadAlgorithm::AsconAead128 => open_with::<AsconAead128>(key, nonce, aad, text, tag),
            #[cfg(not(all(feature = "aes-gcm", feature = "chacha20poly1305")))]
            _ => Err(CryptoError),
        }
    }
}

fn seal_with<C: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_BYTES], CryptoError> {
    let cipher = C::new_from_slice(key).map_err(|_| CryptoError)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError)?;
    let tag = cipher.encrypt_inout_detached(nonce, aad, text.into()).map_err(|_| CryptoError)?;
    <[u8; TAG_BYTES]>::try_from(tag.as_slice()).map_err(|_| CryptoError)
}

fn open_with<C: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), CryptoError> {
    let cipher = C::new_from_slice(key).map_err(|_| CryptoError)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError)?;
    let tag = tag.as_slice().try_into().map_err(|_| CryptoError)?;
    cipher.decrypt_inout_detached(nonce, aad, text.into(), tag).map_err(|_| CryptoError)
}

#[cfg(test)]
mod tests;
