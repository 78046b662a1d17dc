//! Ours against RFC 8032, Wycheproof and another implementation.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use ed25519_dalek::Signer as _;
use proptest::prelude::*;
use thingward_ed25519::{PublicKey, SigningKey};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|k| u8::from_str_radix(&text[k..k + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

/// RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn it_signs_as_rfc_8032_does() {
    for [seed, public, message, signature] in RFC_8032 {
        let key = SigningKey::from_seed(&array(seed));
        assert_eq!(key.public_key().0, array(public));
        assert_eq!(key.sign(&unhex(message)), array(signature));
        assert_eq!(key.public_key().verify(&unhex(message), &array(signature)), Ok(()));
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

    /// Whatever the bytes are, both agree about them.
    #[test]
    fn it_judges_as_another_implementation_does(key: [u8; 32], signature: [u8; 64], message: [u8; 5]) {
        let theirs = ed25519_dalek::VerifyingKey::from_bytes(&key)
            .and_then(|key| key.verify_strict(&message, &ed25519_dalek::Signature::from_bytes(&signature)));
        prop_assert_eq!(PublicKey(key).verify(&message, &signature).is_ok(), theirs.is_ok());
    }
}
