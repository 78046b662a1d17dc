//! A device decides about a symmetric grant that was narrowed once, and about what is one no more.
#![no_std]
#![no_main]

use thingward_chip::{measure, result};
use thingward_grant::{Standing, TrustedKey};
use thingward_samples::grants::{SYMMETRIC, shared_key, verdict};

thingward_chip::image!(run);

fn run() {
    let (key, standing) = (shared_key(), Standing::default());
    let mut shown = SYMMETRIC;
    let decide = |shown: &[u8]| verdict(shown, TrustedKey::Symmetric(&key), &standing);
    result("verdict", &[measure("decide", || decide(&shown))]);
    for at in 0..shown.len() {
        shown[at] ^= 1;
        result("changed", &[decide(&shown)]);
        shown[at] ^= 1;
    }
}
