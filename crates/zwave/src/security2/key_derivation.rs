//! CKDF: keys from keys by AES-CMAC. CC, Security 2, "CKDF".

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::aes128::cmac;
use crate::{Dsk, Key};

/// What follows from one network key: CKDF-NetworkKeyExpand.
#[derive(Clone, ZeroizeOnDrop)]
pub struct NetworkKeys {
    /// The network key itself: what a node is given.
    pub network: Key,
    /// Encrypts messages.
    pub ccm: Key,
    /// Personalizes the generator of singlecast nonces.
    pub personalization: [u8; 32],
    /// Encrypts multicast nonces.
    pub mpan: Key,
}

impl NetworkKeys {
    /// Expands a network key.
    #[must_use]
    pub fn expand(network: Key) -> Self {
        let [ccm, second, third, mpan] = expand(&network, &[0x55; 15]);
        Self { ccm: Key::new(ccm), personalization: join(second, third), mpan: Key::new(mpan), network }
    }
}

/// The keys of one key exchange: CKDF-TempExtract and CKDF-TempExpand.
#[derive(Clone, ZeroizeOnDrop)]
pub struct TemporaryKeys {
    /// Encrypts messages.
    pub ccm: Key,
    /// Personalizes the generator of singlecast nonces.
    pub personalization: [u8; 32],
}

impl TemporaryKeys {
    /// From the shared secret and the public keys of the including and of the joining node.
    #[must_use]
    pub fn derive(shared: &SharedSecret, including: &[u8; 32], joining: &[u8; 32]) -> Self {
        let [ccm, second, third, _] = expand(&shared.extract(including, joining), &[0x88; 15]);
        Self { ccm: Key::new(ccm), personalization: join(second, third) }
    }
}

/// What two key pairs have in common.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// CKDF-TempExtract.
    #[must_use]
    pub fn extract(&self, including: &[u8; 32], joining: &[u8; 32]) -> Key {
        Key::new(cmac(&Key::new([0x33; 16]), &[&self.0, including, joining]))
    }
}

/// An ephemeral Curve25519 key pair.
pub struct KeyPair(StaticSecret);

impl KeyPair {
    /// A new random pair.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let pair = Self::from_private(bytes);
        bytes.zeroize();
        pair
    }

    /// A pair that is known: a joining node's, which lives as long as the node.
    #[must_use]
    pub fn from_private(private: [u8; 32]) -> Self {
        Self(StaticSecret::from(private))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// The first half of the public one: what a joining node shows.
    #[must_use]
    pub fn dsk(&self) -> Dsk {
        let mut dsk = [0; 16];
        dsk.iter_mut().zip(self.public()).for_each(|(out, byte)| *out = byte);
        Dsk(dsk)
    }

    /// What it has in common with another; `None` for a public key of small order, which has nothing to share.
    #[must_use]
    pub fn shared(&self, other: &[u8; 32]) -> Option<SharedSecret> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other));
        shared.was_contributory().then(|| SharedSecret(shared.to_bytes()))
    }
}

/// Four blocks, each the CMAC of the one before, a constant and a number.
fn expand(key: &Key, constant: &[u8; 15]) -> [[u8; 16]; 4] {
    let first = cmac(key, &[constant, &[1]]);
    let second = cmac(key, &[&first, constant, &[2]]);
    let third = cmac(key, &[&second, constant, &[3]]);
    let fourth = cmac(key, &[&third, constant, &[4]]);
    [first, second, third, fourth]
}

/// CKDF-MEI: the mixed entropy input of a singlecast nonce generator.
pub(super) fn mixed_entropy(sender: &[u8; 16], receiver: &[u8; 16]) -> [u8; 32] {
    const CONSTANT: [u8; 15] = [0x88; 15];
    let key = Key::new(cmac(&Key::new([0x26; 16]), &[sender, receiver]));
    let first = cmac(&key, &[&CONSTANT, &[0], &CONSTANT, &[1]]);
    let second = cmac(&key, &[&first, &CONSTANT, &[2]]);
    join(first, second)
}

fn join(left: [u8; 16], right: [u8; 16]) -> [u8; 32] {
    let mut both = [0; 32];
    both.iter_mut().zip(left.into_iter().chain(right)).for_each(|(out, byte)| *out = byte);
    both
}
