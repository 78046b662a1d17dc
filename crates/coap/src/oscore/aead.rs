//! The algorithms that a context can have: COSE numbers of RFC 9053 §4.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use ccm::Ccm;
use ccm::consts::{U7, U8, U12, U13, U16};
use chacha20poly1305::ChaCha20Poly1305;

/// Longest key, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 32;
/// Longest nonce, in bytes.
pub(super) const NONCE_BYTES_MAX: usize = 13;

/// An authenticated cipher. The first is mandatory: RFC 8613 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Aead {
    #[default]
    AesCcm16_64_128,
    AesCcm16_64_256,
    AesCcm64_64_128,
    AesCcm64_64_256,
    AesCcm16_128_128,
    AesCcm16_128_256,
    AesCcm64_128_128,
    AesCcm64_128_256,
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// The algorithm failed: a wrong tag, or lengths that are not its own.
pub(super) struct AeadFailure;

/// One operation for each algorithm, by its type.
macro_rules! with_cipher {
    ($aead:expr, $operation:ident($($argument:expr),*)) => {
        match $aead {
            Aead::AesCcm16_64_128 => $operation::<Ccm<Aes128, U8, U13>>($($argument),*),
            Aead::AesCcm16_64_256 => $operation::<Ccm<Aes256, U8, U13>>($($argument),*),
            Aead::AesCcm64_64_128 => $operation::<Ccm<Aes128, U8, U7>>($($argument),*),
            Aead::AesCcm64_64_256 => $operation::<Ccm<Aes256, U8, U7>>($($argument),*),
            Aead::AesCcm16_128_128 => $operation::<Ccm<Aes128, U16, U13>>($($argument),*),
            Aead::AesCcm16_128_256 => $operation::<Ccm<Aes256, U16, U13>>($($argument),*),
            Aead::AesCcm64_128_128 => $operation::<Ccm<Aes128, U16, U7>>($($argument),*),
            Aead::AesCcm64_128_256 => $operation::<Ccm<Aes256, U16, U7>>($($argument),*),
            Aead::Aes128Gcm => $operation::<Aes128Gcm>($($argument),*),
            Aead::Aes192Gcm => $operation::<AesGcm<Aes192, U12>>($($argument),*),
            Aead::Aes256Gcm => $operation::<Aes256Gcm>($($argument),*),
            Aead::ChaCha20Poly1305 => $operation::<ChaCha20Poly1305>($($argument),*),
        }
    };
}

impl Aead {
    pub const ALL: [Self; 12] = [
        Self::AesCcm16_64_128,
        Self::AesCcm16_64_256,
        Self::AesCcm64_64_128,
        Self::AesCcm64_64_256,
        Self::AesCcm16_128_128,
        Self::AesCcm16_128_256,
        Self::AesCcm64_128_128,
        Self::AesCcm64_128_256,
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
    ];

    #[must_use]
    pub const fn cose_id(self) -> u8 {
        match self {
            Self::Aes128Gcm => 1,
            Self::Aes192Gcm => 2,
            Self::Aes256Gcm => 3,
            Self::AesCcm16_64_128 => 10,
            Self::AesCcm16_64_256 => 11,
            Self::AesCcm64_64_128 => 12,
            Self::AesCcm64_64_256 => 13,
            Self::ChaCha20Poly1305 => 24,
            Self::AesCcm16_128_128 => 30,
            Self::AesCcm16_128_256 => 31,
            Self::AesCcm64_128_128 => 32,
            Self::AesCcm64_128_256 => 33,
        }
    }

    #[must_use]
    pub fn from_cose_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|aead| i64::from(aead.cose_id()) == id)
    }

    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCcm16_64_128
            | Self::AesCcm64_64_128
            | Self::AesCcm16_128_128
            | Self::AesCcm64_128_128
            | Self::Aes128Gcm => 16,
            Self::Aes192Gcm => 24,
            Self::AesCcm16_64_256
            | Self::AesCcm64_64_256
            | Self::AesCcm16_128_256
            | Self::AesCcm64_128_256
            | Self::Aes256Gcm
            | Self::ChaCha20Poly1305 => 32,
        }
    }

    #[must_use]
    pub const fn nonce_bytes(self) -> usize {
        match self {
            Self::AesCcm64_64_128
            | Self::AesCcm64_64_256
            | Self::AesCcm64_128_128
            | Self::AesCcm64_128_256 => 7,
            Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 => 12,
            Self::AesCcm16_64_128
            | Self::AesCcm16_64_256
            | Self::AesCcm16_128_128
            | Self::AesCcm16_128_256 => 13,
        }
    }

    #[must_use]
    pub const fn tag_bytes(self) -> usize {
        match self {
            Self::AesCcm16_64_128 | Self::AesCcm16_64_256 | Self::AesCcm64_64_128 | Self::AesCcm64_64_256 => {
                8
            }
            Self::AesCcm16_128_128
            | Self::AesCcm16_128_256
            | Self::AesCcm64_128_128
            | Self::AesCcm64_128_256
            | Self::Aes128Gcm
            | Self::Aes192Gcm
            | Self::Aes256Gcm
            | Self::ChaCha20Poly1305 => 16,
        }
    }

    /// Encrypts the front of `buffer`, all but the last [`Self::tag_bytes`], which take the tag.
    pub(super) fn seal(
        self,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), AeadFailure> {
        let at = buffer.len().checked_sub(self.tag_bytes()).ok_or(AeadFailure)?;
        let (text, tag) = buffer.split_at_mut_checked(at).ok_or(AeadFailure)?;
        with_cipher!(self, seal_with(key, nonce, aad, text, tag))
    }

    /// Decrypts the front of `buffer` after checking the tag at its end, and returns the plaintext.
    pub(super) fn open<'b>(
        self,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], AeadFailure> {
        let at = buffer.len().checked_sub(self.tag_bytes()).ok_or(AeadFailure)?;
        let (text, tag) = buffer.split_at_mut_checked(at).ok_or(AeadFailure)?;
        with_cipher!(self, open_with(key, nonce, aad, text, tag))?;
        Ok(text)
    }
}

fn seal_with<C: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &mut [u8],
    tag: &mut [u8],
) -> Result<(), AeadFailure> {
    let cipher = C::new_from_slice(key).map_err(|_| AeadFailure)?;
    let nonce = nonce.try_into().map_err(|_| AeadFailure)?;
    let made = cipher.encrypt_inout_detached(nonce, aad, text.into()).map_err(|_| AeadFailure)?;
    tag.copy_from_slice(&made);
    Ok(())
}

fn open_with<C: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8],
) -> Result<(), AeadFailure> {
    let cipher = C::new_from_slice(key).map_err(|_| AeadFailure)?;
    let nonce = nonce.try_into().map_err(|_| AeadFailure)?;
    let tag = tag.try_into().map_err(|_| AeadFailure)?;
    cipher.decrypt_inout_detached(nonce, aad, text.into(), tag).map_err(|_| AeadFailure)
}
