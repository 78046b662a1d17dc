//! Ed25519 (RFC 8032).

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::SIGNATURE_BYTES;
use crate::CryptoError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| CryptoError)
    }

    pub(super) fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub(super) fn verify(
        &self,
        message: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), CryptoError> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| CryptoError)
    }
}

pub(super) struct SecretKey(SigningKey);

impl SecretKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(Self(SigningKey::from_bytes(seed)))
    }

    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

#[cfg(feature = "std")]
mod host {
    use ed25519_dalek::SigningKey;
    use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, SecretDocument};

    use super::SecretKey;
    use crate::CryptoError;

    impl SecretKey {
        pub(in crate::sign) fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
            SigningKey::from_pkcs8_der(der).map(Self).map_err(|_| CryptoError)
        }

        pub(in crate::sign) fn from_pkcs8_pem(pem: &str) -> Result<Self, CryptoError> {
            SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| CryptoError)
        }

        pub(in crate::sign) fn to_pkcs8(&self) -> Result<SecretDocument, CryptoError> {
            self.0.to_pkcs8_der().map_err(|_| CryptoError)
        }
    }
}
