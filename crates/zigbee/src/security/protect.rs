//! CCM* with AES-128 over a frame: 4.3.1.1, 4.3.1.2, annex A.
//!
//! Encryption without integrity (level 4) and no security (level 0) are not there: what nothing vouches for is refused.

use aes::Aes128;
use ccm::aead::array::{Array, ArraySize};
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U4, U8, U13, U16};
use ccm::{Ccm, TagSize};

use super::{Key, SecurityHeader, SecurityLevel};
use crate::address::Eui64;

/// Why a protected payload was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than its integrity code.
    #[error("shorter than its integrity code")]
    TooShort,
    /// The integrity code is not that of this frame with this key.
    #[error("integrity code does not match")]
    Integrity,
}

/// Protects a payload. `header` is everything before the auxiliary header, as it is sent; what comes is the payload, hidden
/// where the level says so, with its integrity code.
///
/// # Errors
///
/// With a payload of 64 KiB and more.
pub fn seal(
    key: &Key,
    level: SecurityLevel,
    header: &[u8],
    security: &SecurityHeader,
    source: Eui64,
    payload: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let context = Context::new(level, header, security, source);
    match level.mic_bytes() {
        4 => context.seal::<U4>(key, payload),
        8 => context.seal::<U8>(key, payload),
        _ => context.seal::<U16>(key, payload),
    }
}

/// Opens what [`seal`] made: the payload, whose integrity code was right.
///
/// # Errors
///
/// When it was not, for the key, header or source at hand.
pub fn open(
    key: &Key,
    level: SecurityLevel,
    header: &[u8],
    security: &SecurityHeader,
    source: Eui64,
    protected: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let context = Context::new(level, header, security, source);
    let payload_bytes = protected.len().checked_sub(level.mic_bytes()).ok_or(OpenError::TooShort)?;
    let (payload, mic) = protected.split_at_checked(payload_bytes).ok_or(OpenError::TooShort)?;
    match level.mic_bytes() {
        4 => context.open::<U4>(key, payload, mic),
        8 => context.open::<U8>(key, payload, mic),
        _ => context.open::<U16>(key, payload, mic),
    }
}

/// What a frame's protection rests on beside key and payload.
struct Context {
    nonce: [u8; 13],
    /// Protected but not hidden.
    aad: Vec<u8>,
    encrypts: bool,
}

impl Context {
    fn new(level: SecurityLevel, header: &[u8], security: &SecurityHeader, source: Eui64) -> Self {
        let mut nonce = [0; 13];
        let counter = security.frame_counter.to_le_bytes();
        let control = [security.protected_control(level)];
        let parts = source.0.to_le_bytes().into_iter().chain(counter).chain(control);
        nonce.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
        let mut aad = header.to_vec();
        security.write_protected(level, &mut aad);
        Self { nonce, aad, encrypts: level.encrypts() }
    }

    fn seal<M: TagSize + ArraySize>(mut self, key: &Key, payload: &[u8]) -> Result<Vec<u8>, OpenError> {
        let cipher = Ccm::<Aes128, M, U13>::new(key.octets().into());
        let mut out = payload.to_vec();
        let hidden: &mut [u8] = if self.encrypts { &mut out } else { &mut [] };
        if !self.encrypts {
            self.aad.extend(payload);
        }
        let mic = cipher
            .encrypt_inout_detached(&Array(self.nonce), &self.aad, hidden.into())
            .map_err(|_| OpenError::Integrity)?;
        out.extend(mic);
        Ok(out)
    }

    fn open<M: TagSize + ArraySize>(
        mut self,
        key: &Key,
        payload: &[u8],
        mic: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let cipher = Ccm::<Aes128, M, U13>::new(key.octets().into());
        let mut out = payload.to_vec();
        let hidden: &mut [u8] = if self.encrypts { &mut out } else { &mut [] };
        if !self.encrypts {
            self.aad.extend(payload);
        }
        let mic = mic.try_into().map_err(|_| OpenError::TooShort)?;
        cipher
            .decrypt_inout_detached(&Array(self.nonce), &self.aad, hidden.into(), mic)
            .map_err(|_| OpenError::Integrity)?;
        Ok(out)
    }
}
