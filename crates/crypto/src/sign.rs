//! Signatures: Ed25519 (RFC 8032) and ECDSA with P-256 and SHA-256 (FIPS 186-5), as COSE carries them.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;

use crate::CryptoError;
use crate::hash::sha256;

/// Length of both kinds of signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;
/// Longest public key as a DER `SubjectPublicKeyInfo`, in bytes.
pub const SPKI_BYTES_MAX: usize = 91;

/// First eight bytes of SHA-256 over a key's DER `SubjectPublicKeyInfo`.
pub type KeyId = [u8; 8];

/// Which signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// Ed25519: the choice on chips.
    Ed25519,
    /// ECDSA with P-256 and SHA-256: what 802.1AR, TPM and PKCS#11 have.
    EcdsaP256,
}

impl SignatureAlgorithm {
    /// The COSE algorithm identifier: RFC 9053 §2, RFC 9864 for the fully specified Ed25519.
    #[must_use]
    pub const fn cose_id(self) -> i64 {
        match self {
            Self::Ed25519 => -8,
            Self::EcdsaP256 => -7,
        }
    }

    /// The algorithm of a COSE identifier.
    #[must_use]
    pub const fn from_cose_id(id: i64) -> Option<Self> {
        match id {
            -8 => Some(Self::Ed25519),
            -7 => Some(Self::EcdsaP256),
            _ => None,
        }
    }
}

/// Something that holds a private key: software, a TPM, a PKCS#11 token.
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> &VerifyingKey;

    /// Signs `message`; ECDSA signatures are `r ‖ s`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the key holder refuses or is out of reach.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError>;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn public_key(&self) -> &VerifyingKey {
        (**self).public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        (**self).sign(message)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyingKey {
    /// Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
    /// ECDSA P-256.
    EcdsaP256(p256::ecdsa::VerifyingKey),
}

/// DER of `SubjectPublicKeyInfo` in front of the 32-byte key: RFC 8410 §4.
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of `SubjectPublicKeyInfo` in front of the 65-byte uncompressed point: RFC 5480 §2.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl VerifyingKey {
    /// Reads a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when it is neither Ed25519 nor an uncompressed P-256 point, or the point is not on the
    /// curve.
    pub fn from_spki(der: &[u8]) -> Result<Self, CryptoError> {
        if let Some(key) = der.strip_prefix(&ED25519_SPKI_PREFIX) {
            return Self::from_ed25519(key.try_into().map_err(|_| CryptoError)?);
        }
        let point = der.strip_prefix(&P256_SPKI_PREFIX).ok_or(CryptoError)?;
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::EcdsaP256).map_err(|_| CryptoError)
    }

    /// Reads an Ed25519 key as RFC 8032 writes it.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when it is no point of the curve.
    pub fn from_ed25519(key: &[u8; 32]) -> Result<Self, CryptoError> {
        ed25519_dalek::VerifyingKey::from_bytes(key).map(Self::Ed25519).map_err(|_| CryptoError)
    }

    /// The key as RFC 8032 writes it; `None` for another kind of key.
    #[must_use]
    pub fn to_ed25519(&self) -> Option<[u8; 32]> {
        match self {
            Self::Ed25519(key) => Some(key.to_bytes()),
            Self::EcdsaP256(_) => None,
        }
    }

    /// Reads a P-256 key from the coordinates of its point, big endian.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the point is not on the curve.
    pub fn from_p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, CryptoError> {
        let mut point = [4; 65];
        for (slot, byte) in point.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *slot = *byte;
        }
        p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::EcdsaP256).map_err(|_| CryptoError)
    }

    /// Writes the DER `SubjectPublicKeyInfo` into `out` and returns its length in bytes.
    pub fn write_spki(&self, out: &mut [u8; SPKI_BYTES_MAX]) -> usize {
        let mut put = |prefix: &[u8], key: &[u8]| {
            let len = prefix.len() + key.len();
            for (slot, byte) in out.iter_mut().zip(prefix.iter().chain(key)) {
                *slot = *byte;
            }
            len
        };
        match self {
            Self::Ed25519(key) => put(&ED25519_SPKI_PREFIX, key.as_bytes()),
            Self::EcdsaP256(key) => put(&P256_SPKI_PREFIX, key.to_sec1_point(false).as_bytes()),
        }
    }

    /// The key's short name in COSE headers and the registry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut spki = [0; SPKI_BYTES_MAX];
        let len = self.write_spki(&mut spki);
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[spki.get(..len).unwrap_or_default()]);
        [a, b, c, d, e, f, g, h]
    }

    /// The algorithm of this key.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Self::EcdsaP256(_) => SignatureAlgorithm::EcdsaP256,
        }
    }

    /// # Errors
    ///
    /// [`CryptoError`] when the signature is not this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), CryptoError> {
        match self {
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                key.verify_strict(message, &signature).map_err(|_| CryptoError)
            }
            Self::EcdsaP256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| CryptoError)?;
                key.verify(message, &signature).map_err(|_| CryptoError)
            }
        }
    }
}

/// An ECDSA signature over P-256 as `r ‖ s`, from the DER that X.509 and WebAuthn carry: RFC 3279 §2.2.3.
///
/// # Errors
///
/// [`CryptoError`] when it is no such DER.
pub fn p256_signature_from_der(der: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
    let [0x30, len, rest @ ..] = der else { return Err(CryptoError) };
    if usize::from(*len) != rest.len() {
        return Err(CryptoError);
    }
    let mut out = [0; SIGNATURE_BYTES];
    let (r, s) = out.split_at_mut(SIGNATURE_BYTES / 2);
    let rest = der_integer(rest, r)?;
    if der_integer(rest, s)?.is_empty() { Ok(out) } else { Err(CryptoError) }
}

/// Writes the positive INTEGER that `der` starts with into all of `out`; gives what is behind it.
fn der_integer<'a>(der: &'a [u8], out: &mut [u8]) -> Result<&'a [u8], CryptoError> {
    let [0x02, len, rest @ ..] = der else { return Err(CryptoError) };
    let (number, rest) = rest.split_at_checked(usize::from(*len)).ok_or(CryptoError)?;
    let number = match number {
        // A zero in front only where the number would look negative without it: X.690 §8.3.2.
        [0, digits @ ..] if digits.first().is_some_and(|d| d & 0x80 != 0) => digits,
        [0, ..] | [] => return Err(CryptoError),
        [first, ..] if first & 0x80 != 0 => return Err(CryptoError),
        digits => digits,
    };
    let at = out.len().checked_sub(number.len()).ok_or(CryptoError)?;
    out.get_mut(at..).ok_or(CryptoError)?.copy_from_slice(number);
    Ok(rest)
}

/// A private key in memory. Wiped when dropped; never printed.
pub struct SoftwareKey {
    secret: Secret,
    public: VerifyingKey,
}

enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    EcdsaP256(p256::ecdsa::SigningKey),
}

impl SoftwareKey {
    /// The key whose secret scalar or seed is `seed`.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when `seed` is no P-256 scalar, which happens about once in 2^32 random seeds.
    pub fn from_seed(algorithm: SignatureAlgorithm, seed: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(match algorithm {
            SignatureAlgorithm::Ed25519 => Self::ed25519(ed25519_dalek::SigningKey::from_bytes(seed)),
            SignatureAlgorithm::EcdsaP256 => {
                Self::p256(p256::ecdsa::SigningKey::from_slice(seed).map_err(|_| CryptoError)?)
            }
        })
    }

    fn ed25519(secret: ed25519_dalek::SigningKey) -> Self {
        let public = VerifyingKey::Ed25519(secret.verifying_key());
        Self { secret: Secret::Ed25519(secret), public }
    }

    fn p256(secret: p256::ecdsa::SigningKey) -> Self {
        let public = VerifyingKey::EcdsaP256(*secret.verifying_key());
        Self { secret: Secret::EcdsaP256(secret), public }
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        match &self.secret {
            Secret::Ed25519(key) => Ok(key.sign(message).to_bytes()),
            Secret::EcdsaP256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(|_| CryptoError)?;
                Ok(signature.to_bytes().into())
            }
        }
    }
}

#[cfg(feature = "std")]
mod host {
    use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
    use rand_core::CryptoRng;
    use std::vec::Vec;
    use zeroize::Zeroizing;

    use super::{Secret, SignatureAlgorithm, SoftwareKey, VerifyingKey};
    use crate::CryptoError;

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
            if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_der(der) {
                return Ok(Self::ed25519(key));
            }
            p256::ecdsa::SigningKey::from_pkcs8_der(der).map(Self::p256).map_err(|_| CryptoError)
        }

        /// Reads a PKCS#8 private key in PEM, label `PRIVATE KEY`: RFC 7468 §10.
        ///
        /// # Errors
        ///
        /// [`CryptoError`] when it is no such text, or no key of a known algorithm.
        pub fn from_pkcs8_pem(pem: &str) -> Result<Self, CryptoError> {
            if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
                return Ok(Self::ed25519(key));
            }
            p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Self::p256).map_err(|_| CryptoError)
        }

        /// The PKCS#8 private key, for sealing it and for handing it to TLS.
        ///
        /// # Errors
        ///
        /// [`CryptoError`] never, in practice: the encoder's own failure.
        pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
            let document = match &self.secret {
                Secret::Ed25519(key) => key.to_pkcs8_der(),
                Secret::EcdsaP256(key) => key.to_pkcs8_der(),
            };
            document.map(|d| Zeroizing::new(d.as_bytes().to_vec())).map_err(|_| CryptoError)
        }
    }

    impl VerifyingKey {
        /// The DER `SubjectPublicKeyInfo`.
        #[must_use]
        pub fn to_spki(&self) -> Vec<u8> {
            let mut buffer = [0; super::SPKI_BYTES_MAX];
            let len = self.write_spki(&mut buffer);
            buffer.iter().take(len).copied().collect()
        }
    }
}

#[cfg(test)]
mod tests;
