//! A signing key that never leaves its TPM.

use std::sync::Arc;

use thingward_crypto::{CryptoError, SIGNATURE_BYTES, Signer, VerifyingKey, sha256};
use zeroize::Zeroizing;

use crate::TpmError;
use crate::connection::{Auth, Command};
use crate::pcrs::SHA256;
use crate::tpm::Tpm;
use crate::wire::{Reader, Writer};

pub(crate) const ECC: u16 = 0x0023;
pub(crate) const NULL: u16 = 0x0010;
pub(crate) const ECDSA: u16 = 0x0018;
pub(crate) const P256: u16 = 0x0003;
/// The tag of a ticket that says that the TPM itself hashed the message.
const HASH_CHECK: u16 = 0x8024;
const NULL_HIERARCHY: u32 = 0x4000_0007;

const SIGN: Command = Command("Sign", 0x15D, 0);

/// A P-256 key in a TPM, loaded. It is made there and cannot be taken out; whoever has the password may sign.
pub struct TpmKey {
    pub(crate) tpm: Arc<Tpm>,
    pub(crate) handle: u32,
    pub(crate) password: Zeroizing<[u8; 32]>,
    /// `TPMT_PUBLIC`.
    pub(crate) encoded: Vec<u8>,
    public: VerifyingKey,
}

impl TpmKey {
    pub(crate) fn new(
        tpm: Arc<Tpm>,
        handle: u32,
        password: Zeroizing<[u8; 32]>,
        encoded: Vec<u8>,
    ) -> Result<Self, TpmError> {
        let public = verifying_key(&encoded)?;
        Ok(Self { tpm, handle, password, encoded, public })
    }

    /// Signs, and says what is wrong where [`Signer::sign`] only says that something is.
    ///
    /// # Errors
    ///
    /// [`TpmError`].
    pub fn try_sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], TpmError> {
        let scheme = Writer::default().sized(&sha256(&[message])).u16(ECDSA).u16(SHA256);
        let parameters = scheme.u16(HASH_CHECK).u32(NULL_HIERARCHY).sized(&[]);
        let answer =
            self.tpm.run(SIGN, &[self.handle], Auth::Password(self.password.as_ref()), &parameters)?;
        signature(&mut Reader(&answer.parameters))
    }
}

impl Signer for TpmKey {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        self.try_sign(message).map_err(|_| CryptoError)
    }
}

impl Drop for TpmKey {
    fn drop(&mut self) {
        self.tpm.flush(self.handle);
    }
}

/// `TPMT_SIGNATURE` of ECDSA with SHA-256, as `r ‖ s`.
pub(crate) fn signature(reader: &mut Reader<'_>) -> Result<[u8; SIGNATURE_BYTES], TpmError> {
    if reader.u16()? != ECDSA || reader.u16()? != SHA256 {
        return Err(TpmError::Malformed);
    }
    let mut raw = [0; SIGNATURE_BYTES];
    pair(reader, &mut raw)?;
    Ok(raw)
}

/// The key of a `TPMT_PUBLIC` of an ECDSA key.
pub(crate) fn verifying_key(public: &[u8]) -> Result<VerifyingKey, TpmError> {
    let mut reader = Reader(public);
    let kind = (reader.u16()?, reader.u16()?);
    let _attributes = reader.u32()?;
    let _policy = reader.sized()?;
    let parameters = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    if kind != (ECC, SHA256) || parameters != [NULL, ECDSA, SHA256, P256, NULL] {
        return Err(TpmError::Malformed);
    }
    let mut point = [0; 64];
    pair(&mut reader, &mut point)?;
    let (x, y) = point.split_first_chunk::<32>().ok_or(TpmError::Malformed)?;
    let y = y.try_into().map_err(|_| TpmError::Malformed)?;
    VerifyingKey::from_p256(x, y).map_err(|_| TpmError::Malformed)
}

/// Two numbers of at most 32 bytes; some TPMs leave leading zeros out.
fn pair(reader: &mut Reader<'_>, out: &mut [u8; 64]) -> Result<(), TpmError> {
    for half in out.chunks_exact_mut(32) {
        let number = reader.sized()?;
        let at = half.len().checked_sub(number.len()).ok_or(TpmError::Malformed)?;
        half.get_mut(at..).ok_or(TpmError::Malformed)?.copy_from_slice(number);
    }
    Ok(())
}
