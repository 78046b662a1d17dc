//! Singlecast nonces, which both ends draw in step: CC, Security 2, "SPAN".

use rand_core::CryptoRng;

use super::CtrDrbg;
use super::aes128::NONCE_BYTES;
use super::key_derivation::mixed_entropy;

/// What one end contributes to a SPAN. It travels in the clear.
pub type EntropyInput = [u8; 16];

/// A singlecast pre-agreed nonce generator.
#[derive(Clone)]
pub struct Span(CtrDrbg);

impl Span {
    /// The generator that follows from what sender and receiver contributed, under one key.
    #[must_use]
    pub fn new(sender: &EntropyInput, receiver: &EntropyInput, personalization: &[u8; 32]) -> Self {
        Self(CtrDrbg::new(&mixed_entropy(sender, receiver), personalization))
    }

    /// The next nonce.
    pub fn next_nonce(&mut self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        self.0.generate(&mut nonce);
        nonce
    }
}

pub(super) fn entropy(rng: &mut impl CryptoRng) -> EntropyInput {
    let mut entropy = [0; 16];
    rng.fill_bytes(&mut entropy);
    entropy
}
