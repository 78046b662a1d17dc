//! Private keys in memory.

use super::key::Key;
use super::{SIGNATURE_BYTES, SignatureAlgorithm, Signer, VerifyingKey, ed25519, p256};
use crate::CryptoError;

/// A private key in memory, of an algorithm that this build has. Wiped when dropped; never printed.
pub struct SoftwareKey {
    secret: Secret,
    public: VerifyingKey,
}

#[allow(clippy::large_enum_variant, reason = "keys of an algorithm that is absent have no size")]
enum Secret {
    Ed25519(ed25519::SecretKey),
    EcdsaP256(p256::SecretKey),
}

impl From<Secret> for SoftwareKey {
    fn from(secret: Secret) -> Self {
        let public = match &secret {
            Secret::Ed25519(key) => Key::Ed25519(key.public_key()),
            Secret::EcdsaP256(key) => Key::EcdsaP256(key.public_key()),
        };
        Self { secret, public: VerifyingKey(public) }
    }
}

impl SoftwareKey {
    /// The key whose secret scalar or seed is `seed`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when `seed` is no P-256 scalar, which happens about once in 2^32 random seeds, or this build does
    /// not have the algorithm.
    pub fn from_seed(algorithm: SignatureAlgorithm, seed: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(Self::from(match algorithm {
            SignatureAlgorithm::Ed25519 => Secret::Ed25519(ed25519::SecretKey::from_seed(seed)?),
            SignatureAlgorithm::EcdsaP256 => Secret::EcdsaP256(p256::SecretKey::from_seed(seed)?),
        }))
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        match &self.secret {
            Secret::Ed25519(key) => key.sign(message),
            Secret::EcdsaP256(key) => key.sign(message),
        }
    }
}

#[cfg(feature = "std")]
mod host {
    use rand_core::CryptoRng;
    use std::vec::Vec;
    use zeroize::Zeroizing;

    use super::{Secret, SignatureAlgorithm, SoftwareKey, VerifyingKey, ed25519, p256};
    use crate::CryptoError;
    use crate::sign::SPKI_BYTES_MAX;

    impl SoftwareKey {
        /// A new key.
        pub fn generate(algorithm: SignatureAlgorithm, rng: &mut impl CryptoRng) -> Self {
            loop {
                let mut seed = Zeroizing::new([0; 32]);
                rng.fill_bytes(seed.as_mut());
                if let Ok(key) = Self::from_seed(algorithm, &seed) {
                    return key;
                }
            }
        }

        /// Reads a PKCS#8 private key: RFC 5958.
        ///
        /// # Errors
        ///
        /// [`CryptoError`] when it is no PKCS#8 key of a known algorithm.
        pub fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
            if let Ok(key) = ed25519::SecretKey::from_pkcs8(der) {
                return Ok(Secret::Ed25519(key).into());
            }
            Ok(Secret::EcdsaP256(p256::SecretKey::from_pkcs8(der)?).into())
        }

        /// Reads a PKCS#8 private key in PEM, label `PRIVATE KEY`: RFC 7468 §10.
        ///
        /// # Errors
        ///
        /// [`CryptoError`] when it is no such text, or no key of a known algorithm.
        pub fn from_pkcs8_pem(pem: &str) -> Result<Self, CryptoError> {
            if let Ok(key) = ed25519::SecretKey::from_pkcs8_pem(pem) {
                return Ok(Secret::Ed25519(key).into());
            }
            Ok(Secret::EcdsaP256(p256::SecretKey::from_pkcs8_pem(pem)?).into())
        }

        /// The PKCS#8 private key, for sealing it and for handing it to TLS.
        ///
        /// # Errors
        ///
        /// [`CryptoError`] never, in practice: the encoder's own failure.
        pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
            let document = match &self.secret {
                Secret::Ed25519(key) => key.to_pkcs8(),
                Secret::EcdsaP256(key) => key.to_pkcs8(),
            }?;
            Ok(Zeroizing::new(document.as_bytes().to_vec()))
        }
    }

    impl VerifyingKey {
        /// The DER `SubjectPublicKeyInfo`.
        #[must_use]
        pub fn to_spki(&self) -> Vec<u8> {
            let mut buffer = [0; SPKI_BYTES_MAX];
            let len = self.write_spki(&mut buffer);
            buffer.iter().take(len).copied().collect()
        }
    }
}
