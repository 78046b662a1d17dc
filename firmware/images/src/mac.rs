//! A message is hashed and authenticated.
#![no_std]
#![no_main]

use thingward_chip::{black_box, measure, result};
use thingward_crypto::{MacKey, sha256};
use thingward_samples::{COUNT, message, seed};

thingward_chip::image!(run);

fn run() {
    for number in 0..COUNT {
        let (key, message) = (MacKey::new(&black_box(seed(number))), black_box(message(number)));
        result("hash", &measure("hash-64", || sha256(&[&message])));
        result("tag", &measure("mac-64", || key.tag(&[&message])));
    }
}
