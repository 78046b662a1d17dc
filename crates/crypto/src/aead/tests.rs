extern crate std;

use std::path::Path;
use std::vec::Vec;
use std::{fs, println};

use serde_json::Value;

use super::*;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Plays the Wycheproof groups of one file that fit the algorithm's sizes; skips where the vectors are absent.
fn wycheproof(file: &str, algorithm: AeadAlgorithm) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/wycheproof").join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: the shared vectors are not here ({file})");
        return;
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut played = 0;
    for group in json["testGroups"].as_array().unwrap() {
        let size = |name: &str| usize::try_from(group[name].as_u64().unwrap()).unwrap() / 8;
        let fits = size("keySize") == algorithm.key_bytes()
            && size("ivSize") == algorithm.nonce_bytes()
            && size("tagSize") == TAG_BYTES;
        if !fits {
            continue;
        }
        for test in group["tests"].as_array().unwrap() {
            let hex = |name: &str| unhex(test[name].as_str().unwrap());
            let key = AeadKey::new(algorithm, &hex("key")).unwrap();
            let (nonce, aad, tag) = (hex("iv"), hex("aad"), hex("tag").try_into().unwrap());
            let mut text = hex("ct");
            let opened = key.open(&nonce, &aad, &mut text, &tag).is_ok();
            assert_eq!(opened, test["result"] != "invalid", "{file} {}", test["tcId"]);
            if opened {
                assert_eq!(text, hex("msg"));
                assert_eq!(key.seal(&nonce, &aad, &mut text), Ok(tag));
                assert_eq!(text, hex("ct"));
            }
            played += 1;
        }
    }
    assert!(played > 20, "{file}: only {played} cases fit");
}

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    wycheproof("aes_gcm_test.json", AeadAlgorithm::Aes256Gcm);
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    wycheproof("chacha20_poly1305_test.json", AeadAlgorithm::ChaCha20Poly1305);
}

#[test]
fn ascon_aead128_agrees_with_wycheproof() {
    wycheproof("ascon_sp800_232_aead128_test.json", AeadAlgorithm::AsconAead128);
}

#[test]
fn a_key_or_nonce_of_another_length_is_refused() {
    for algorithm in AeadAlgorithm::ALL {
        assert!(AeadKey::new(algorithm, &[0; 15]).is_err());
        let key = AeadKey::new(algorithm, &[0_u8; 32][..algorithm.key_bytes()]).unwrap();
        assert!(key.seal(&[0; 11], b"", &mut []).is_err());
        assert_eq!(AeadAlgorithm::from_cose_id(algorithm.cose_id()), Some(algorithm));
    }
}
