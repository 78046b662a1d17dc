//! Session state at rest: sealed, since it holds messages that wait for their readers.
//!
//! ```text
//! value = run(8) | counter(8, big endian) | ciphertext | tag(16)
//! ```
//!
//! Each run of the process has a key of its own, derived from the sealing key and a random run id, and counts its
//! nonces; so none comes twice however long the installation lives. The entry's key is associated data.

use std::collections::HashMap;

use rand_core::Rng;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{AeadKey, CryptoError, system_rng};

type RunId = [u8; 8];
const TAG_BYTES: usize = 16;

/// Seals values of this run, opens those of any.
pub(crate) struct Sealer {
    master: SealingKey,
    run: RunId,
    key: AeadKey,
    counter: u64,
    /// Keys of earlier runs, used while the state is read back.
    earlier: HashMap<RunId, AeadKey>,
}

impl Sealer {
    /// A sealer for a new run.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] never, in practice.
    pub(crate) fn new(master: SealingKey) -> Result<Self, CryptoError> {
        let mut run = [0; 8];
        system_rng().fill_bytes(&mut run);
        let key = run_key(&master, &run)?;
        Ok(Self { master, run, key, counter: 0, earlier: HashMap::new() })
    }

    /// # Errors
    ///
    /// [`CryptoError`] when the value is too long for the cipher.
    pub(crate) fn seal(&mut self, entry: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let counter = self.counter.to_be_bytes();
        self.counter += 1;
        let mut sealed = Vec::with_capacity(16 + plain.len() + TAG_BYTES);
        sealed.extend_from_slice(&self.run);
        sealed.extend_from_slice(&counter);
        sealed.extend_from_slice(plain);
        let text = sealed.get_mut(16..).ok_or(CryptoError)?;
        let tag = self.key.seal(&nonce(&counter), entry, text)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// # Errors
    ///
    /// [`CryptoError`] when the value was not sealed for this entry under this master key.
    pub(crate) fn open(&mut self, entry: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (run, rest) = sealed.split_first_chunk::<8>().ok_or(CryptoError)?;
        let (counter, rest) = rest.split_first_chunk::<8>().ok_or(CryptoError)?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(CryptoError)?;
        if !self.earlier.contains_key(run) {
            self.earlier.insert(*run, run_key(&self.master, run)?);
        }
        let key = self.earlier.get(run).ok_or(CryptoError)?;
        let mut plain = text.to_vec();
        key.open(&nonce(counter), entry, &mut plain, tag)?;
        Ok(plain)
    }
}

fn run_key(master: &SealingKey, run: &RunId) -> Result<AeadKey, CryptoError> {
    let mut purpose = b"thingward sessions ".to_vec();
    purpose.extend_from_slice(run);
    master.derive(&purpose)
}

fn nonce(counter: &[u8; 8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (slot, byte) in nonce.iter_mut().skip(4).zip(counter) {
        *slot = *byte;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_in_later_runs_and_only_under_its_entry() {
        let master = SealingKey::generate(&mut system_rng()).unwrap();
        let mut first = Sealer::new(master.clone()).unwrap();
        let (one, two) = (first.seal(b"a", b"secret").unwrap(), first.seal(b"a", b"secret").unwrap());
        assert_ne!(one, two);
        let mut second = Sealer::new(master).unwrap();
        assert_eq!(second.open(b"a", &one).unwrap(), b"secret");
        assert_eq!(second.open(b"b", &one), Err(CryptoError));
        let other = SealingKey::generate(&mut system_rng()).unwrap();
        assert_eq!(Sealer::new(other).unwrap().open(b"a", &one), Err(CryptoError));
    }
}
