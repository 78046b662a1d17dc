//! The chains of things, as a gateway has them for those of its radios.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_crypto::{AeadAlgorithm, RecipientSecretKey, SignatureAlgorithm, SoftwareKey};
use thingward_model::clock::now;
use thingward_model::{Confidentiality, Reading, Timestamp, Value};
use thingward_seal::{ChainWriter, NewChain, Subject};

use crate::report::CHECKPOINT_EVERY;

/// The chain of one thing.
pub(crate) struct Chain {
    writer: ChainWriter,
    key: SoftwareKey,
    time: Timestamp,
    out: Vec<u8>,
}

impl Chain {
    pub(crate) fn new(thing: &str) -> Self {
        let recipient = RecipientSecretKey::from_bytes([9; 32]).public_key().unwrap();
        let (tenant, device, stream) =
            ("acme".parse().unwrap(), thing.parse().unwrap(), "readings".parse().unwrap());
        let new = NewChain {
            subject: Subject { tenant, device, stream },
            confidentiality: Confidentiality::Service,
            recipient: &recipient,
            cipher: AeadAlgorithm::AsconAead128,
            previous: None,
        };
        let key = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
        let (mut out, time) = (vec![0; 2048], now());
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let (writer, _) = ChainWriter::open(&new, time, &key, &mut rng, &mut out).unwrap();
        Self { writer, key, time, out }
    }

    /// A value of a property becomes a record, and from time to time a checkpoint follows.
    pub(crate) fn add(&mut self, name: &str, unit: &str, value: Value<'_>) {
        let reading = Reading { field: Some(name.parse().unwrap()), unit, time: self.time, value };
        self.writer.append(&[reading], &mut self.out).unwrap();
        if self.writer.unsigned() >= CHECKPOINT_EVERY {
            self.writer.checkpoint(self.time, &self.key, &mut self.out).unwrap();
        }
    }
}
