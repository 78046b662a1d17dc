//! Ours against FIPS 180-4's examples, and another implementation.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use proptest::prelude::*;
use sha2::Digest as _;
use thingward_samples::standard::{HASHED, HASHES};
use thingward_sha256::sha256;

#[test]
fn it_hashes_as_fips_180_4_does() {
    for (message, hash) in HASHED.into_iter().zip(HASHES) {
        let hex: String =
            sha256(|hasher| hasher.update(message)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, hash);
    }
}

proptest! {
    #[test]
    fn it_agrees_with_another_implementation_about_messages_in_any_parts(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..5),
    ) {
        let theirs: [u8; 32] = sha2::Sha256::digest(parts.concat()).into();
        let ours = sha256(|hasher| parts.iter().for_each(|part| hasher.update(part)));
        prop_assert_eq!(ours, theirs);
    }
}
