//! Log entries: exact, bounded, and of their signer.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;

use thingward_audit::entry::{
    DETAILS_MAX, EVIDENCE_BYTES_MAX, Entry, EntryError, SignedEntry, VALUE_BYTES_MAX,
};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

fn key(algorithm: SignatureAlgorithm, seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &[seed; 32]).unwrap()
}

fn entry() -> Entry {
    Entry {
        time: 1_800_000_000_000_000,
        action: "device.revoke".to_owned(),
        actor: "token/3f2a".to_owned(),
        target: "device/meter-1".to_owned(),
        details: BTreeMap::from([("reason".to_owned(), "key-compromise".to_owned())]),
        evidence: Some(vec![1, 2, 3]),
    }
}

#[test]
fn an_entry_comes_back_as_it_was_signed_and_on_its_signers_word_only() {
    for algorithm in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::EcdsaP256] {
        let signer = key(algorithm, 1);
        for entry in [entry(), Entry { evidence: None, details: BTreeMap::new(), ..entry() }] {
            let bytes = entry.sign(&signer).unwrap();
            let signed = SignedEntry::decode(&bytes).unwrap();
            assert_eq!(signed.key_id(), signer.public_key().id());
            assert_eq!(signed.verify(signer.public_key()), Ok(&entry));
            assert_eq!(signed.verify(key(algorithm, 2).public_key()), Err(EntryError::Signature));
        }
    }
}

#[test]
fn no_bent_byte_of_an_entry_passes_and_no_cut_one_is_read() {
    let signer = key(SignatureAlgorithm::Ed25519, 1);
    let bytes = entry().sign(&signer).unwrap();
    for at in 0..bytes.len() {
        assert!(SignedEntry::decode(&bytes[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << bit;
            let passes = SignedEntry::decode(&bent).is_ok_and(|e| e.verify(signer.public_key()).is_ok());
            assert!(!passes, "bit {bit} of byte {at}");
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(SignedEntry::decode(&longer), Err(EntryError::Malformed));
}

#[test]
fn parts_past_their_bounds_are_refused_by_the_writer() {
    let signer = key(SignatureAlgorithm::Ed25519, 1);
    let many = (0..=DETAILS_MAX).map(|i| (i.to_string(), String::new())).collect();
    let long = BTreeMap::from([("note".to_owned(), "x".repeat(VALUE_BYTES_MAX + 1))]);
    for entry in [
        Entry { action: "a".repeat(257), ..entry() },
        Entry { actor: "a".repeat(257), ..entry() },
        Entry { target: "a".repeat(257), ..entry() },
        Entry { details: many, ..entry() },
        Entry { details: long, ..entry() },
        Entry { evidence: Some(vec![0; EVIDENCE_BYTES_MAX + 1]), ..entry() },
    ] {
        assert_eq!(entry.sign(&signer), Err(EntryError::TooLarge));
    }
}
