//! Ed25519 against RFC 8032.
#![no_std]
#![no_main]

use thingward_chip::{black_box, result};
use thingward_ed25519::SigningKey;
use thingward_samples::standard::SIGNED;

thingward_chip::image!(run);

fn run() {
    for (seed, message) in black_box(SIGNED) {
        let key = SigningKey::from_seed(&seed);
        result("public", &key.public_key().0);
        result("signature", &key.sign(message));
    }
}
