//! A device decides about a symmetric grant that was narrowed once, and about what is one no more.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "a buffer that is there once")]

use thingward_chip::{measure, result};
use thingward_grant::{Standing, TrustedKey};
use thingward_samples::grants::{NEXT_NONCE, NONCE, SYMMETRIC, shared_key, verdict};

thingward_chip::image!(run);

/// What the device received: in RAM once, where it is changed, too.
static mut SHOWN: [u8; SYMMETRIC.len()] = SYMMETRIC;

fn run() {
    // SAFETY: called once.
    let shown = unsafe { &mut *(&raw mut SHOWN) };
    let (key, standing) = (shared_key(), Standing::default());
    let decide = |shown: &[u8], nonce| verdict(shown, nonce, TrustedKey::Symmetric(&key), &standing);
    result("verdict", &[measure("decide", || decide(shown, &NONCE))]);
    result("replayed", &[decide(shown, &NEXT_NONCE)]);
    for at in 0..shown.len() {
        shown[at] ^= 1;
        result("changed", &[decide(shown, &NONCE)]);
        shown[at] ^= 1;
    }
}
