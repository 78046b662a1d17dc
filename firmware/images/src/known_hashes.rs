//! SHA-256 against FIPS 180-4, and HMAC against RFC 4231.
#![no_std]
#![no_main]

use thingward_chip::{black_box, result};
use thingward_crypto::{MacKey, sha256};
use thingward_samples::standard::{AUTHENTICATED, HASHED};

thingward_chip::image!(run);

fn run() {
    for message in black_box(HASHED) {
        result("hash", &sha256(&[message]));
    }
    for (key, message) in black_box(AUTHENTICATED) {
        result("tag", &MacKey::new(&key).tag(&[message]));
    }
}
