//! X25519: public keys, and what they agree on with a key from elsewhere.
#![no_std]
#![no_main]

use thingward_chip::{black_box, measure, result};
use thingward_ed25519::x25519::{multiple, multiple_of_base};
use thingward_samples::{COUNT, coordinate, seed};

thingward_chip::image!(run);

fn run() {
    for number in 0..COUNT {
        let (secret, other) = (black_box(seed(number)), black_box(coordinate(number)));
        result("public", &measure("agreement-key", || multiple_of_base(&secret)));
        result("agreed", &measure("agree", || multiple(&secret, &other)));
    }
}
