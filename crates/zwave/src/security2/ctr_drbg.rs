//! CTR_DRBG with AES-128 and without a derivation function: NIST SP 800-90A, §10.2.1.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::aes128::encrypt_block;
use crate::Key;

/// Bytes of a seed: a key and a block.
const SEED_BYTES: usize = 32;

/// A deterministic generator. Both ends of a link hold the same one.
#[derive(Clone, ZeroizeOnDrop)]
pub struct CtrDrbg {
    key: Key,
    counter: u128,
}

impl CtrDrbg {
    /// Instantiates from full entropy: §10.2.1.3.1.
    #[must_use]
    pub fn new(entropy: &[u8; SEED_BYTES], personalization: &[u8; SEED_BYTES]) -> Self {
        let mut seed = *entropy;
        seed.iter_mut().zip(personalization).for_each(|(seed, other)| *seed ^= other);
        let mut drbg = Self { key: Key::new([0; 16]), counter: 0 };
        drbg.update(&seed);
        seed.zeroize();
        drbg
    }

    /// Mixes in new entropy: §10.2.1.4.1.
    pub fn reseed(&mut self, entropy: &[u8; SEED_BYTES]) {
        self.update(entropy);
    }

    /// Fills `out` with the next bytes: §10.2.1.5.1, without additional input.
    pub fn generate(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(16) {
            chunk.iter_mut().zip(self.block()).for_each(|(out, byte)| *out = byte);
        }
        self.update(&[0; SEED_BYTES]);
    }

    fn block(&mut self) -> [u8; 16] {
        self.counter = self.counter.wrapping_add(1);
        encrypt_block(&self.key, self.counter.to_be_bytes())
    }

    /// §10.2.1.2.
    fn update(&mut self, provided: &[u8; SEED_BYTES]) {
        let [mut key, mut counter] = [self.block(), self.block()];
        let (left, right) = provided.split_at(16);
        key.iter_mut().zip(left).for_each(|(byte, other)| *byte ^= other);
        counter.iter_mut().zip(right).for_each(|(byte, other)| *byte ^= other);
        self.key = Key::new(key);
        self.counter = u128::from_be_bytes(counter);
        key.zeroize();
        counter.zeroize();
    }
}
