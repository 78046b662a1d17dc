//! Multicast nonces, which all members of a group draw in step: CC, Security 2, "MPAN".

use rand_core::CryptoRng;
use zeroize::ZeroizeOnDrop;

use super::aes128::{NONCE_BYTES, encrypt_block};
use super::span::entropy;
use crate::Key;

/// A multicast pre-agreed nonce generator: a counter, encrypted.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Mpan {
    state: u128,
}

impl Mpan {
    /// The generator in a state that another member told.
    #[must_use]
    pub const fn new(state: [u8; 16]) -> Self {
        Self { state: u128::from_be_bytes(state) }
    }

    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::new(entropy(rng))
    }

    /// Its state, for another member.
    #[must_use]
    pub const fn state(&self) -> [u8; 16] {
        self.state.to_be_bytes()
    }

    /// The next nonce, under the MPAN key of the group's class.
    pub fn next_nonce(&mut self, key: &Key) -> [u8; NONCE_BYTES] {
        let block = encrypt_block(key, self.state());
        self.state = self.state.wrapping_add(1);
        let mut nonce = [0; NONCE_BYTES];
        nonce.iter_mut().zip(block).for_each(|(out, byte)| *out = byte);
        nonce
    }
}
