//! X25519 against RFC 7748, and coordinates of small order.
#![no_std]
#![no_main]

use thingward_chip::{black_box, result};
use thingward_ed25519::x25519::{multiple, multiple_of_base};
use thingward_samples::standard::{AGREEING, MULTIPLIED, SMALL_ORDER};

thingward_chip::image!(run);

fn run() {
    for (scalar, u) in black_box(MULTIPLIED) {
        result("multiple", &multiple(&scalar, &u));
    }
    let [alice, bob] = black_box(AGREEING);
    let public = multiple_of_base(&bob);
    result("public", &public);
    result("agreed", &multiple(&alice, &public));
    for u in black_box(SMALL_ORDER) {
        result("small-order", &multiple(&alice, &u));
    }
}
