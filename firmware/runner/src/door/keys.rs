//! The keys that a device secret and an image make, computed here.

use std::process::Command;

use thingward_crypto::{MacKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_device::{DeviceSecret, Dice, KeyStore, Measurement, Purpose};
use zeroize::Zeroizing;

use crate::Result;
use crate::chip::Chip;

/// As the chip measures its flash.
const PAGE_BYTES: usize = 256;

pub(super) struct Keys {
    pub(super) public: VerifyingKey,
    secrets: Vec<Vec<u8>>,
}

impl Keys {
    /// What nobody shall read.
    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        self.secrets.clone()
    }
}

pub(super) fn of(chip: &Chip, secret: &[u8; 32]) -> Result<Keys> {
    let mut image = chip.flash("door")?;
    image.resize(image.len().next_multiple_of(PAGE_BYTES), 0);
    let (mut measurement, mut digest) = (Measurement::default(), [0; 32]);
    for page in image.chunks(PAGE_BYTES) {
        measurement.take(page);
        digest = sha256(&[&digest, page]);
    }
    let dice = Dice::start(Secret(*secret), &measurement)?;
    let compound = MacKey::new(secret).derive(&[&digest]);
    let seed = compound.derive(&[b"thingward identity"]);
    let identity = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, seed.expose())?;
    if identity.public_key() != dice.public_key() {
        return Err("an identity is derived in another way".into());
    }
    let derived = [Purpose::Sealing, Purpose::Random].map(|purpose| dice.secret(purpose));
    let all = [MacKey::new(secret), compound, seed].into_iter().chain(derived.into_iter().flatten());
    // Ciphers take half of a key.
    let secrets = all.map(|key| key.expose()[..16].to_vec()).collect();
    Ok(Keys { public: dice.public_key().clone(), secrets })
}

struct Secret([u8; 32]);

impl DeviceSecret for Secret {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new(self.0))
    }

    fn erase(&mut self) {}
}

impl Chip {
    /// What an image has in flash.
    fn flash(&self, image: &str) -> Result<Vec<u8>> {
        let file = self.file(image);
        let raw = file.with_extension("raw");
        let tool = if self.is_avr() { "avr-objcopy" } else { "arm-none-eabi-objcopy" };
        match Command::new(tool).args(["-O", "binary"]).arg(file).arg(&raw).status()? {
            status if status.success() => Ok(std::fs::read(raw)?),
            _ => Err("no image".into()),
        }
    }
}
