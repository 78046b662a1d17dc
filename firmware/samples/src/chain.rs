//! A chain in the middle of its life, as a device goes on with it after it was switched on.

use thingward_crypto::AeadAlgorithm;
#[cfg(feature = "signatures")]
use thingward_crypto::{CryptoError, RecipientPublicKey, SignatureAlgorithm, SoftwareKey};
#[cfg(feature = "signatures")]
use thingward_model::Confidentiality;
use thingward_model::{NameError, Reading, Timestamp, Value};
#[cfg(feature = "signatures")]
use thingward_seal::writer::NewChain;
use thingward_seal::writer::STATE_BYTES;
use thingward_seal::{ChainWriter, FormatError, Subject};

use crate::seed;

/// When the sample's reading was measured and its checkpoint is signed.
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// One reading of one value.
pub const READING: Reading<'static> =
    Reading { field: None, unit: "Cel", time: NOW, value: Value::Number(21.5) };

/// The chain of a thermometer that seals with Ascon, under one of [`COUNT`](crate::COUNT) keys.
///
/// # Errors
///
/// [`FormatError`] never for this sample.
pub fn writer(number: u8) -> Result<ChainWriter, FormatError> {
    let mut state = [0; STATE_BYTES];
    let cipher = (AeadAlgorithm::AsconAead128.cose_id() as i32).to_be_bytes();
    // Version, name, cipher, key and base IV, next number, first number without a checkpoint, hash.
    let (key, iv) = (seed(number), &seed(number ^ 7)[..16]);
    let parts: [&[u8]; 8] =
        [&[1], b"chain 01", &cipher, &key, iv, &7_u64.to_be_bytes(), &1_u64.to_be_bytes(), &seed(5)];
    for (slot, byte) in state.iter_mut().zip(parts.into_iter().flatten()) {
        *slot = *byte;
    }
    ChainWriter::resume(subject().map_err(|_| FormatError::Malformed)?, &state)
}

/// The device's own key.
///
/// # Errors
///
/// [`CryptoError`] never for this sample.
#[cfg(feature = "signatures")]
pub fn key() -> Result<SoftwareKey, CryptoError> {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &seed(6))
}

/// Starts the thermometer's chain with a random `seed`; the second value is the length of the signed statement in `out`.
///
/// # Errors
///
/// [`FormatError`] never for this sample.
#[cfg(feature = "signatures")]
pub fn start(seed: [u8; 32], key: &SoftwareKey, out: &mut [u8]) -> Result<(ChainWriter, usize), FormatError> {
    let new = NewChain {
        subject: subject().map_err(|_| FormatError::Malformed)?,
        confidentiality: Confidentiality::Service,
        // A public key like any other: of the secret [1; 32].
        recipient: &RecipientPublicKey::from_bytes(crate::standard::unhex(
            b"a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
        )),
        cipher: AeadAlgorithm::AsconAead128,
        previous: None,
    };
    ChainWriter::open(&new, NOW, key, &mut Seed(seed), out)
}

/// As random as a sample may be.
#[cfg(feature = "signatures")]
struct Seed([u8; 32]);

#[cfg(feature = "signatures")]
impl rand_core::TryRng for Seed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for (slot, byte) in out.iter_mut().zip(self.0) {
            *slot = byte;
        }
        Ok(())
    }
}

#[cfg(feature = "signatures")]
impl rand_core::TryCryptoRng for Seed {}

fn subject() -> Result<Subject, NameError> {
    Ok(Subject { tenant: "acme".parse()?, device: "thermometer-1".parse()?, stream: "climate".parse()? })
}
