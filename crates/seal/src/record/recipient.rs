//! How the key of a chain comes to its recipient.

use rand_core::CryptoRng;
#[cfg(not(target_os = "none"))]
use thingward_crypto::RecipientSecretKey;
use thingward_crypto::recipient::RECIPIENT_KEY_BYTES;
use thingward_crypto::{AeadAlgorithm, RecipientPublicKey};
use thingward_model::cbor::Writer;

use super::{RecordKey, SECRET_BYTES};
use crate::statement::{CONTEXT, Subject};
use crate::{ChainId, FormatError};

/// What the secret for a chain's records is exported under.
const EXPORT_LABEL: &[u8] = b"thingward record key";
/// Longest text that binds a secret to its chain: context, three names, chain id and algorithm.
const INFO_BYTES_MAX: usize = 256;

impl RecordKey {
    /// Makes the key of a new chain for `recipient`; the second value goes into the open statement.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the recipient's key is not usable.
    #[inline(never)]
    pub fn create(
        recipient: &RecipientPublicKey,
        algorithm: AeadAlgorithm,
        subject: &Subject,
        chain: &ChainId,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, [u8; RECIPIENT_KEY_BYTES]), FormatError> {
        let mut buffer = [0; INFO_BYTES_MAX];
        let info = info(&mut buffer, algorithm, subject, chain)?;
        let (encapsulated, secret) = recipient.encapsulate::<SECRET_BYTES>(info, EXPORT_LABEL, rng)?;
        Ok((Self::from_secret(algorithm, &secret)?, encapsulated))
    }

    /// Derives the key of a chain as its recipient.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the encapsulated key is not usable.
    #[cfg(not(target_os = "none"))]
    pub fn derive(
        recipient: &RecipientSecretKey,
        encapsulated: &[u8; RECIPIENT_KEY_BYTES],
        algorithm: AeadAlgorithm,
        subject: &Subject,
        chain: &ChainId,
    ) -> Result<Self, FormatError> {
        let mut buffer = [0; INFO_BYTES_MAX];
        let info = info(&mut buffer, algorithm, subject, chain)?;
        let secret = recipient.decapsulate::<SECRET_BYTES>(encapsulated, info, EXPORT_LABEL)?;
        Self::from_secret(algorithm, &secret)
    }
}

/// What a chain's secret is bound to besides the keys: HPKE's `info`.
fn info<'a>(
    buffer: &'a mut [u8; INFO_BYTES_MAX],
    algorithm: AeadAlgorithm,
    subject: &Subject,
    chain: &ChainId,
) -> Result<&'a [u8], FormatError> {
    let mut e = Writer::new(buffer);
    e.array(6)?.bytes(CONTEXT)?;
    e.str(subject.tenant.as_str())?.str(subject.device.as_str())?.str(subject.stream.as_str())?;
    e.bytes(chain)?.int(algorithm.cose_id())?;
    let len = e.position();
    buffer.get(..len).ok_or(FormatError::BufferTooSmall)
}
