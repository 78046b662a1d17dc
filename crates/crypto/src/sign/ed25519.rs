//! Ed25519 (RFC 8032).

use ed25519_dalek::ed25519::signature::MultipartVerifier as _;
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

    /// Strict, as the crate's own verification is that takes no parts: neither key nor commitment may be of small order,
    /// for then the signature would say nothing about the key or the message.
    pub(super) fn verify(
        &self,
        parts: &[&[u8]],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), CryptoError> {
        let signature = Signature::from_bytes(signature);
        let commitment = VerifyingKey::from_bytes(signature.r_bytes()).map_err(|_| CryptoError)?;
        if self.0.is_weak() || commitment.is_weak() {
            return Err(CryptoError);
        }
        self.0.multipart_verify(parts, &signature).map_err(|_| CryptoError)
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
