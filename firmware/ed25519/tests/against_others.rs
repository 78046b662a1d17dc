//! Ours against RFC 8032, Wycheproof and another implementation.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Signer as _;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};
use thingward_ed25519::{PublicKey, SigningKey};
use thingward_samples::standard::{SIGNATURES, SIGNED};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|k| u8::from_str_radix(&text[k..k + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

#[test]
fn it_signs_as_rfc_8032_does() {
    for ((seed, message), [public, signature]) in SIGNED.into_iter().zip(SIGNATURES) {
        let key = SigningKey::from_seed(&seed);
        assert_eq!(key.public_key().0, array(public));
        assert_eq!(key.sign(message), array(signature));
        assert_eq!(key.public_key().verify(message, &array(signature)), Ok(()));
    }
}

/// Skips where the vectors are absent.
#[test]
fn it_verifies_what_wycheproof_says() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/wycheproof/ed25519_test.json");
    let Ok(file) = fs::read(&path) else {
        eprintln!("SKIPPED: {} is absent", path.display());
        return;
    };
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    for group in file["testGroups"].as_array().unwrap() {
        let key = PublicKey(array(group["publicKey"]["pk"].as_str().unwrap()));
        for test in group["tests"].as_array().unwrap() {
            let message = unhex(test["msg"].as_str().unwrap());
            let signature = unhex(test["sig"].as_str().unwrap()).try_into();
            let good = signature.is_ok_and(|signature| key.verify(&message, &signature).is_ok());
            assert_eq!(good, test["result"] == "valid", "{test}");
        }
    }
}

/// y of the points of small order, and y that are p or more: as keys and as commitments.
const ODD_ENCODINGS: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn it_refuses_keys_and_commitments_of_small_order() {
    let key = SigningKey::from_seed(&[7; 32]);
    for encoding in ODD_ENCODINGS {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&unhex(encoding));
        // With a response of 0 the equation holds for some of these, whatever the message.
        for message in 0..32_u8 {
            assert!(PublicKey(array(encoding)).verify(&[message], &signature).is_err(), "{encoding}");
            assert!(key.public_key().verify(&[message], &signature).is_err(), "{encoding}");
        }
    }
}

/// Keys and commitments of small order, or with such a part: whether their equation holds depends on the message. What
/// hosts verify with has to judge the same.
#[test]
fn it_judges_points_of_small_and_mixed_order_as_others_do() {
    let [secret, nonce] = [[5; 32], [9; 32]].map(Scalar::from_bytes_mod_order);
    let mut good = 0;
    for (secret, nonce) in
        [(secret, nonce), (secret, Scalar::ZERO), (Scalar::ZERO, nonce), (Scalar::ZERO, Scalar::ZERO)]
    {
        for (of_key, of_commitment) in (0..64).map(|k| (EIGHT_TORSION[k / 8], EIGHT_TORSION[k % 8])) {
            let key = (ED25519_BASEPOINT_POINT * secret + of_key).compress().0;
            let commitment = (ED25519_BASEPOINT_POINT * nonce + of_commitment).compress().0;
            for message in 0..16_u8 {
                let hash = Sha512::new().chain_update(commitment).chain_update(key).chain_update([message]);
                let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&commitment);
                signature[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
                good += usize::from(judged(&key, &[message], &signature));
            }
        }
    }
    assert!((64..1024).contains(&good), "{good} of 4096 are good");
}

/// What all three say.
fn judged(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let theirs = ed25519_dalek::VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)));
    let of_hosts =
        thingward_crypto::VerifyingKey::from_ed25519(key).and_then(|key| key.verify(message, signature));
    let ours = PublicKey(*key).verify(message, signature);
    assert_eq!([ours.is_ok(), of_hosts.is_ok()], [theirs.is_ok(); 2]);
    ours.is_ok()
}

proptest! {
    #[test]
    fn it_agrees_with_another_implementation(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..300)) {
        let (ours, theirs) = (SigningKey::from_seed(&seed), ed25519_dalek::SigningKey::from_bytes(&seed));
        prop_assert_eq!(ours.public_key().0, theirs.verifying_key().to_bytes());
        let signature = theirs.sign(&message).to_bytes();
        prop_assert_eq!(ours.sign(&message), signature);
        prop_assert_eq!(ours.public_key().verify(&message, &signature), Ok(()));
    }

    #[test]
    fn it_refuses_what_was_changed(seed: [u8; 32], message: [u8; 20], bit in 0..512_usize) {
        let key = SigningKey::from_seed(&seed);
        let mut signature = key.sign(&message);
        signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.public_key().verify(&message, &signature).is_err());
        signature[bit / 8] ^= 1 << (bit % 8);
        let mut changed = message;
        changed[bit % 20] ^= 1;
        prop_assert!(key.public_key().verify(&changed, &signature).is_err());
        let mut other = *key.public_key();
        other.0[bit / 16] ^= 1 << (bit % 8);
        prop_assert!(other.verify(&message, &signature).is_err());
    }

    /// Whatever the bytes are, all agree about them.
    #[test]
    fn it_judges_as_others_do(key: [u8; 32], signature: [u8; 64], message: [u8; 5]) {
        judged(&key, &message, &signature);
    }
}
