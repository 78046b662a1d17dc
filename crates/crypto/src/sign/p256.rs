//! ECDSA with P-256 and SHA-256 (FIPS 186-5).

use p256::ecdsa::signature::{MultipartVerifier as _, Signer as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};

use super::SIGNATURE_BYTES;
use crate::CryptoError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The uncompressed point: SEC 1 §2.3.4.
    pub(super) fn from_bytes(point: &[u8; 65]) -> Result<Self, CryptoError> {
        VerifyingKey::from_sec1_bytes(point).map(Self).map_err(|_| CryptoError)
    }

    pub(super) fn to_bytes(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        for (slot, byte) in bytes.iter_mut().zip(self.0.to_sec1_point(false).as_bytes()) {
            *slot = *byte;
        }
        bytes
    }

    pub(super) fn verify(
        &self,
        parts: &[&[u8]],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), CryptoError> {
        let signature = Signature::from_slice(signature).map_err(|_| CryptoError)?;
        self.0.multipart_verify(parts, &signature).map_err(|_| CryptoError)
    }
}

pub(super) struct SecretKey(SigningKey);

impl SecretKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Result<Self, CryptoError> {
        SigningKey::from_slice(seed).map(Self).map_err(|_| CryptoError)
    }

    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        let signature: Signature = self.0.try_sign(message).map_err(|_| CryptoError)?;
        Ok(signature.to_bytes().into())
    }
}

#[cfg(feature = "std")]
mod host {
    use p256::ecdsa::SigningKey;
    use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, SecretDocument};

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
