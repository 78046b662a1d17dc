//! The keys that a device secret and an image make, computed here.

use std::process::Command;

use thingward_attest::Endorsement;
use thingward_crypto::{MacKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_device::{DeviceSecret, Dice, KeyStore, Measurement, Purpose};
use zeroize::Zeroizing;

use crate::Result;
use crate::chip::Chip;

/// As the chip measures its flash.
const PAGE_BYTES: usize = 256;

pub(super) struct Keys {
    pub(super) public: VerifyingKey,
    pub(super) endorsement: Endorsement,
    of_firmware: Vec<Vec<u8>>,
    of_part: Vec<Vec<u8>>,
}

impl Keys {
    /// What nobody shall read.
    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        [self.of_firmware.as_slice(), &self.of_part].concat()
    }

    /// What firmware shall not read either, once it runs.
    pub(super) fn of_part(&self) -> &[Vec<u8>] {
        &self.of_part
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
    let device = MacKey::new(secret);
    let compound = device.derive(&[&digest]);
    let (seed, seed_of_part) =
        (compound.derive(&[b"thingward identity"]), device.derive(&[b"thingward part"]));
    let key = |seed: &MacKey| SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, seed.expose());
    let (identity, endorsement) =
        (key(&seed)?, Endorsement::sign(&key(&seed_of_part)?, digest, dice.public_key())?);
    if identity.public_key() != dice.public_key() || endorsement != *dice.endorsement() {
        return Err("an identity is derived in another way".into());
    }
    let derived = [Purpose::Sealing, Purpose::Random].map(|purpose| dice.secret(purpose));
    // Ciphers take half of a key.
    let half = |key: &MacKey| key.expose()[..16].to_vec();
    Ok(Keys {
        public: dice.public_key().clone(),
        endorsement,
        of_firmware: [compound, seed].iter().chain(derived.iter().flatten()).map(half).collect(),
        of_part: [device, seed_of_part].iter().map(half).collect(),
    })
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
