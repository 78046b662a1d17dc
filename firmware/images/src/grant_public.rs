//! A device decides about a public grant that was narrowed once, and about what is one no more.
#![no_std]
#![no_main]

use thingward_chip::{end, measure, result};
use thingward_grant::{Standing, TrustedKey};
use thingward_samples::grants::{CHANGED, NEXT_NONCE, NONCE, PUBLIC, issuer_key, verdict};

thingward_chip::image!(run);

fn run() {
    let Ok(key) = issuer_key() else { end(false) };
    let standing = Standing::default();
    let mut shown = PUBLIC;
    let decide = |shown: &[u8], nonce| verdict(shown, nonce, TrustedKey::Public(&key), &standing);
    result("verdict", &[measure("decide", || decide(&shown, &NONCE))]);
    result("replayed", &[decide(&shown, &NEXT_NONCE)]);
    for at in (0..shown.len()).step_by(CHANGED) {
        shown[at] ^= 1;
        result("changed", &[decide(&shown, &NONCE)]);
        shown[at] ^= 1;
    }
}
