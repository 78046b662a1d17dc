//! Ed25519 (RFC 8032) as chips have it.

use thingward_ed25519::SigningKey;

use super::SIGNATURE_BYTES;
use crate::CryptoError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey(thingward_ed25519::PublicKey);

impl PublicKey {
    /// Takes what is no point of the curve for a key, too: to tell takes long, and no signature is good for it.
    pub(super) const fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(Self(thingward_ed25519::PublicKey(*bytes)))
    }

    pub(super) const fn to_bytes(&self) -> [u8; 32] {
        self.0.0
    }

    pub(super) fn verify(
        &self,
        parts: &[&[u8]],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), CryptoError> {
        self.0.verify_parts(parts, signature).map_err(|_| CryptoError)
    }
}

pub(super) struct SecretKey(SigningKey);

impl SecretKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(Self(SigningKey::from_seed(seed)))
    }

    pub(super) const fn public_key(&self) -> PublicKey {
        PublicKey(*self.0.public_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        Ok(self.0.sign(message))
    }
}
