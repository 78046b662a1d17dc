//! Verification of Ed25519 against a sample of Wycheproof's cases.
#![no_std]
#![no_main]

use thingward_chip::{black_box, result};
use thingward_ed25519::PublicKey;

thingward_chip::image!(run);

static CASES: &[u8] = include_bytes!(concat!(env!("THINGWARD_WYCHEPROOF"), "/verify"));

fn run() {
    let mut rest = black_box(CASES);
    while let Some((key, behind)) = rest.split_first_chunk()
        && let Some((signature, behind)) = behind.split_first_chunk()
        && let Some((len, behind)) = behind.split_first()
        && let Some((message, behind)) = behind.split_at_checked(usize::from(*len))
    {
        let is_good = PublicKey(*key).verify(message, signature).is_ok();
        result("verdict", &[u8::from(is_good)]);
        rest = behind;
    }
}
