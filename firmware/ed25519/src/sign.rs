//! Signing: RFC 8032 §5.1.5 and §5.1.6.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::comb::multiple_of_base;
use crate::scalar::Scalar;
use crate::sha512::sha512;
use crate::{PublicKey, SIGNATURE_BYTES};

/// A private key, spread out. Wiped when dropped; never printed.
pub struct SigningKey {
    scalar: Scalar,
    prefix: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl ZeroizeOnDrop for SigningKey {}

impl SigningKey {
    /// The key that RFC 8032 makes of 32 secret bytes.
    #[must_use]
    #[inline(never)]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut prefix = Zeroizing::new([0; 32]);
        let scalar = spread(seed, &mut prefix);
        let public = PublicKey(multiple_of_base(&scalar));
        Self { scalar, prefix, public }
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`.
    #[must_use]
    #[inline(never)]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        let nonce = hash_to_scalar(&[self.prefix.as_ref()], &[message]);
        signature[..32].copy_from_slice(&multiple_of_base(&nonce));
        let challenge = hash_to_scalar(&[&signature[..32], &self.public.0], &[message]);
        let response = Scalar::product_and_sum(&challenge, &self.scalar, &nonce);
        signature[32..].copy_from_slice(&response.0);
        signature
    }
}

/// The scalar of a seed, modulo L, for the base point times it is the same; and the prefix of its nonces.
#[inline(never)]
fn spread(seed: &[u8; 32], prefix: &mut [u8; 32]) -> Scalar {
    let mut hash = sha512(&[seed], &[]);
    prefix.copy_from_slice(&hash[32..]);
    hash[32..].zeroize();
    hash[0] &= 0xf8;
    hash[31] = hash[31] & 0x7f | 0x40;
    Scalar::reduced(&hash)
}

/// The hash of all parts and of a message behind them, modulo L.
#[inline(never)]
pub(crate) fn hash_to_scalar(parts: &[&[u8]], message: &[&[u8]]) -> Scalar {
    Scalar::reduced(&sha512(parts, message))
}
