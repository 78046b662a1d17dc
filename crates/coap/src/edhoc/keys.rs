//! Diffie-Hellman keys on P-256 and Curve25519.

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::{Curve, EdhocError};

/// Length of a private key and of a public key in messages, in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// A public key in messages: the x-coordinate of a point on P-256, or as RFC 7748 has it. RFC 9528 §3.7.
pub(super) type PublicX = [u8; KEY_BYTES];

/// A private key, static or ephemeral. Wiped when dropped; never printed.
pub struct DhKey(Secret);

enum Secret {
    P256(SecretKey),
    X25519(StaticSecret),
}

impl DhKey {
    /// The key on P-256 of these bytes, which are uniformly random.
    ///
    /// # Errors
    ///
    /// [`EdhocError::PublicKey`] for the few bytes that are no key.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Result<Self, EdhocError> {
        let key = SecretKey::from_slice(bytes).map_err(|_| EdhocError::PublicKey)?;
        Ok(Self(Secret::P256(key)))
    }

    /// The key on Curve25519 of these bytes, which are uniformly random.
    #[must_use]
    pub fn x25519(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Secret::X25519(StaticSecret::from(*bytes)))
    }

    /// A new key on P-256, and the bytes that bring it back. `random` fills what it is given.
    #[must_use]
    pub fn fresh(mut random: impl FnMut(&mut [u8])) -> (Self, Zeroizing<[u8; KEY_BYTES]>) {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        loop {
            random(bytes.as_mut_slice());
            // Few bytes are no key.
            if let Ok(key) = Self::new(&bytes) {
                return (key, bytes);
            }
        }
    }

    /// A new key on this curve for one session. `random` fills what it is given.
    #[must_use]
    pub fn ephemeral(curve: Curve, mut random: impl FnMut(&mut [u8])) -> Self {
        match curve {
            Curve::P256 => Self::fresh(random).0,
            Curve::X25519 => {
                let mut bytes = Zeroizing::new([0; KEY_BYTES]);
                random(bytes.as_mut_slice());
                Self::x25519(&bytes)
            }
        }
    }

    #[must_use]
    pub const fn curve(&self) -> Curve {
        match &self.0 {
            Secret::P256(_) => Curve::P256,
            Secret::X25519(_) => Curve::X25519,
        }
    }

    /// The public key as messages have it.
    #[must_use]
    pub fn public(&self) -> PublicX {
        match &self.0 {
            Secret::P256(key) => {
                let compressed = key.public_key().to_sec1_point(true);
                compressed.as_bytes().last_chunk().copied().unwrap_or_default()
            }
            Secret::X25519(key) => x25519_dalek::PublicKey::from(key).to_bytes(),
        }
    }

    /// The coordinates of the public key's point; `None` where messages have all of the key.
    pub(super) fn point(&self) -> Option<(PublicX, PublicX)> {
        let Secret::P256(key) = &self.0 else { return None };
        let uncompressed = key.public_key().to_sec1_point(false);
        let both = uncompressed.as_bytes();
        Some((*both.get(1..)?.first_chunk()?, *both.last_chunk()?))
    }

    /// What is shared with the other key's owner: on P-256 the x-coordinate, for which it makes no difference which of the two
    /// points the other has.
    pub(super) fn agree(&self, other: &PublicX) -> Result<Zeroizing<[u8; KEY_BYTES]>, EdhocError> {
        match &self.0 {
            Secret::P256(key) => agree_p256(key, other),
            Secret::X25519(key) => {
                let shared = key.diffie_hellman(&x25519_dalek::PublicKey::from(*other));
                // A point of low order: RFC 9528 §9.2.
                if !shared.was_contributory() {
                    return Err(EdhocError::PublicKey);
                }
                Ok(Zeroizing::new(shared.to_bytes()))
            }
        }
    }
}

fn agree_p256(key: &SecretKey, other: &PublicX) -> Result<Zeroizing<[u8; KEY_BYTES]>, EdhocError> {
    let mut compressed = [2; 1 + KEY_BYTES];
    compressed.iter_mut().skip(1).zip(other).for_each(|(byte, other)| *byte = *other);
    let other = PublicKey::from_sec1_bytes(&compressed).map_err(|_| EdhocError::PublicKey)?;
    let own = Zeroizing::new(key.to_nonzero_scalar());
    let shared = p256::ecdh::diffie_hellman(&*own, other.as_affine());
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    bytes.copy_from_slice(shared.raw_secret_bytes());
    Ok(bytes)
}
