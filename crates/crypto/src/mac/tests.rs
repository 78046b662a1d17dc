extern crate std;

use std::path::Path;
use std::vec::Vec;
use std::{fs, println};

use serde_json::Value;

use super::*;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn a_tag_is_that_of_rfc_4231_and_of_nothing_else() {
    // RFC 4231 §4.2, with the zeros that HMAC appends to a short key written out.
    let mut key = [0; MAC_KEY_BYTES];
    key[..20].fill(0x0b);
    let key = MacKey::new(&key);
    let tag = unhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_eq!(key.tag(&[b"Hi", b" There"]).to_vec(), tag);
    assert_eq!(key.derive(&[b"Hi There"]).expose().to_vec(), tag);
    let mut tag: MacTag = tag.try_into().unwrap();
    assert_eq!(key.verify(&[b"Hi There"], &tag), Ok(()));
    assert_eq!(key.verify(&[b"Hi there"], &tag), Err(CryptoError));
    for bit in 0..MAC_TAG_BYTES * 8 {
        tag[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(&[b"Hi There"], &tag), Err(CryptoError), "bit {bit}");
        tag[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn tags_agree_with_wycheproof() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors/wycheproof/hmac_sha256_test.json");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: the shared vectors are not here");
        return;
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut played = 0;
    for group in json["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let field = |name: &str| unhex(test[name].as_str().unwrap());
            let (Ok(key), Ok(tag)) = (field("key").try_into(), field("tag").try_into()) else { continue };
            let is_ours = MacKey::new(&key).verify(&[&field("msg")], &tag).is_ok();
            assert_eq!(is_ours, test["result"] == "valid", "{} {}", test["tcId"], test["comment"]);
            played += 1;
        }
    }
    assert!(played > 30, "only {played} cases");
}
