extern crate std;

use std::path::Path;
use std::vec::Vec;
use std::{fs, println};

use serde_json::Value;

use super::*;
use crate::system_rng;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Plays every signature of a Wycheproof file, which `read` makes ours; skips where the vectors are absent.
fn wycheproof(file: &str, read: impl Fn(&[u8]) -> Option<[u8; SIGNATURE_BYTES]>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/wycheproof").join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: the shared vectors are not here ({file})");
        return;
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut played = 0;
    for group in json["testGroups"].as_array().unwrap() {
        let key = VerifyingKey::from_spki(&unhex(group["publicKeyDer"].as_str().unwrap())).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let message = unhex(test["msg"].as_str().unwrap());
            let signature = read(&unhex(test["sig"].as_str().unwrap()));
            let valid = signature.is_some_and(|s| key.verify(&message, &s).is_ok());
            assert_eq!(valid, test["result"] == "valid", "{file} {} {}", test["tcId"], test["comment"]);
            played += 1;
        }
    }
    assert!(played > 50, "{file}: only {played} cases");
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    wycheproof("ed25519_test.json", |s| s.try_into().ok());
}

#[test]
fn ecdsa_p256_agrees_with_wycheproof() {
    wycheproof("ecdsa_secp256r1_sha256_p1363_test.json", |s| s.try_into().ok());
    wycheproof("ecdsa_secp256r1_sha256_test.json", |s| p256_signature_from_der(s).ok());
}

#[test]
fn a_key_comes_back_from_its_encodings_and_signs_the_same() {
    for algorithm in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::EcdsaP256] {
        let key = SoftwareKey::generate(algorithm, &mut system_rng());
        let again = SoftwareKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(key.public_key(), again.public_key());
        let public = VerifyingKey::from_spki(&key.public_key().to_spki()).unwrap();
        assert_eq!(&public, key.public_key());
        let signature = again.sign(b"reading").unwrap();
        assert_eq!(public.verify(b"reading", &signature), Ok(()));
        assert_eq!(public.verify(b"Reading", &signature), Err(CryptoError));
        assert_eq!(SignatureAlgorithm::from_cose_id(algorithm.cose_id()), Some(algorithm));
    }
}

#[test]
fn a_compressed_or_cut_public_key_is_refused() {
    let spki = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng()).public_key().to_spki();
    for cut in 0..spki.len() {
        assert!(VerifyingKey::from_spki(&spki[..cut]).is_err(), "cut to {cut} bytes");
    }
}
