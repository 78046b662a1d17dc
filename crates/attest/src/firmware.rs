//! Which firmware a key belongs to, on the word of the part that it runs on.
//!
//! DICE (TCG, Hardware Requirements for a Device Identifier Composition Engine): what starts first has the part's secret,
//! measures the firmware, and gives it keys that no other firmware gets. The *part key* comes from the secret alone, is the
//! same whatever runs, and is gone before the firmware begins. It leaves this behind.

use thingward_crypto::{CryptoError, Digest, Signer, VerifyingKey};

/// What the signature of a part begins with. No other is over something that starts so.
const CONTEXT: &[u8; 18] = b"thingward firmware";
const MESSAGE_BYTES: usize = CONTEXT.len() + 32 + 32;

/// A part says which firmware has which key. All keys are Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endorsement {
    /// The part key.
    pub part: [u8; 32],
    /// SHA-256, as the part measures its firmware.
    pub firmware: Digest,
    /// The key that this firmware has.
    pub key: [u8; 32],
    /// Of the part key.
    pub signature: [u8; 64],
}

/// Length of an [`Endorsement`] in bytes.
pub const ENDORSEMENT_BYTES: usize = 160;

impl Endorsement {
    /// Says it, as the part.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when one of the keys is not Ed25519, or does not sign.
    pub fn sign(part: &dyn Signer, firmware: Digest, key: &VerifyingKey) -> Result<Self, CryptoError> {
        let key = key.to_ed25519().ok_or(CryptoError)?;
        let signature = part.sign(&message(&firmware, &key))?;
        Ok(Self { part: part.public_key().to_ed25519().ok_or(CryptoError)?, firmware, key, signature })
    }

    /// Checks that the part said it, and of this key.
    ///
    /// # Errors
    ///
    /// [`CryptoError`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), CryptoError> {
        if key.to_ed25519() != Some(self.key) {
            return Err(CryptoError);
        }
        VerifyingKey::from_ed25519(&self.part)?.verify(&message(&self.firmware, &self.key), &self.signature)
    }

    /// Part key, measurement, the firmware's key, signature.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENDORSEMENT_BYTES] {
        let mut bytes = [0; ENDORSEMENT_BYTES];
        let parts = self.part.iter().chain(&self.firmware).chain(&self.key).chain(&self.signature);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Reads one, whoever said it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (part, rest) = bytes.split_first_chunk()?;
        let (firmware, rest) = rest.split_first_chunk()?;
        let (key, signature) = rest.split_first_chunk()?;
        Some(Self { part: *part, firmware: *firmware, key: *key, signature: signature.try_into().ok()? })
    }
}

fn message(firmware: &Digest, key: &[u8; 32]) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    let parts = CONTEXT.iter().chain(firmware).chain(key);
    message.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    message
}

#[cfg(test)]
mod tests {
    use thingward_crypto::{SignatureAlgorithm, SoftwareKey};

    use super::*;

    fn key(seed: u8) -> SoftwareKey {
        SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
    }

    #[test]
    fn what_a_part_says_holds_for_the_key_that_it_said_it_of_and_not_when_a_bit_is_another() {
        let (part, firmware) = (key(1), key(2));
        let said = Endorsement::sign(&part, [3; 32], firmware.public_key()).unwrap();
        assert_eq!(said.verify(firmware.public_key()), Ok(()));
        assert_eq!(said.verify(key(4).public_key()), Err(CryptoError));
        let bytes = said.to_bytes();
        assert_eq!(Endorsement::read(&bytes), Some(said));
        for at in 0..bytes.len() {
            let mut bent = bytes;
            bent[at] ^= 1;
            assert!(Endorsement::read(&bent).unwrap().verify(firmware.public_key()).is_err(), "byte {at}");
            assert_eq!(Endorsement::read(&bytes[..at]), None);
        }
        assert_eq!(Endorsement::read(&[bytes.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn a_key_of_another_kind_is_not_endorsed() {
        let other = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[1; 32]).unwrap();
        assert_eq!(Endorsement::sign(&key(1), [3; 32], other.public_key()), Err(CryptoError));
        assert_eq!(Endorsement::sign(&other, [3; 32], key(1).public_key()), Err(CryptoError));
    }
}
