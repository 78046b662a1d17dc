//! Agreement of keys against RFC 7748, Wycheproof and another implementation.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use curve25519_dalek::montgomery::MontgomeryPoint;
use proptest::prelude::*;
use thingward_ed25519::x25519::{multiple, multiple_of_base};
use thingward_samples::standard::{AGREED, AGREEING, MULTIPLES, MULTIPLIED, PUBLIC, SMALL_ORDER};

fn array(text: &str) -> [u8; 32] {
    let bytes = (0..text.len()).step_by(2).map(|k| u8::from_str_radix(&text[k..k + 2], 16).unwrap());
    bytes.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn it_multiplies_as_rfc_7748_does() {
    for ((scalar, u), product) in MULTIPLIED.into_iter().zip(MULTIPLES) {
        assert_eq!(multiple(&scalar, &u), array(product));
    }
}

#[test]
fn two_sides_agree_on_the_secret_of_rfc_7748() {
    let [alice, bob] = AGREEING;
    assert_eq!([alice, bob].map(|secret| multiple_of_base(&secret)), PUBLIC.map(array));
    assert_eq!(multiple(&alice, &array(PUBLIC[1])), array(AGREED));
    assert_eq!(multiple(&bob, &array(PUBLIC[0])), array(AGREED));
}

/// RFC 7748 §5.2: what comes out goes in again.
#[test]
fn a_thousand_multiples_of_multiples_end_where_the_rfc_says() {
    let (mut scalar, mut u) = ([0; 32], [0; 32]);
    scalar[0] = 9;
    u[0] = 9;
    for round in 1..=1000 {
        (scalar, u) = (multiple(&scalar, &u), scalar);
        if round == 1 {
            assert_eq!(scalar, array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(scalar, array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn a_point_of_small_order_gives_zeros() {
    for u in SMALL_ORDER {
        assert_eq!(multiple(&[7; 32], &u), [0; 32]);
    }
}

/// Skips where the vectors are absent.
#[test]
fn it_comes_to_what_wycheproof_says() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/wycheproof/x25519_test.json");
    let Ok(file) = fs::read(&path) else {
        eprintln!("SKIPPED: {} is absent", path.display());
        return;
    };
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    for test in
        file["testGroups"].as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap())
    {
        let [secret, public, shared] =
            ["private", "public", "shared"].map(|name| array(test[name].as_str().unwrap()));
        assert_eq!(multiple(&secret, &public), shared, "{test}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_comes_to_what_another_implementation_does(scalar: [u8; 32], u: [u8; 32]) {
        prop_assert_eq!(multiple(&scalar, &u), MontgomeryPoint(u).mul_clamped(scalar).to_bytes());
        prop_assert_eq!(multiple_of_base(&scalar), MontgomeryPoint::mul_base_clamped(scalar).to_bytes());
    }
}
