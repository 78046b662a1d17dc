//! X25519 against a sample of Wycheproof's cases.
#![no_std]
#![no_main]

use thingward_chip::{black_box, result};
use thingward_ed25519::x25519::multiple;

thingward_chip::image!(run);

static CASES: &[u8] = include_bytes!(concat!(env!("THINGWARD_WYCHEPROOF"), "/agree"));

fn run() {
    let mut rest = black_box(CASES);
    while let Some((secret, behind)) = rest.split_first_chunk()
        && let Some((public, behind)) = behind.split_first_chunk()
    {
        result("agreed", &multiple(secret, public));
        rest = behind;
    }
}
