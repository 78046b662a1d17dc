//! A message is hashed and authenticated; its tag is checked, and refused when one byte is another, whichever it is.
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
        let mut tag = measure("mac-64", || key.tag(&[&message]));
        result("tag", &tag);
        let good = measure("check-64", || key.verify(&[&message], &tag).is_ok());
        tag[usize::from(number) * 4] ^= 1;
        let changed = measure("refuse-64", || key.verify(&[&message], &tag).is_ok());
        result("verdicts", &[good, changed].map(u8::from));
    }
}
