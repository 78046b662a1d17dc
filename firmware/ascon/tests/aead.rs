//! Ascon-AEAD128 on top of this permutation, against the designers' known answers.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|k| u8::from_str_radix(&text[k..k + 2], 16).unwrap()).collect()
}

/// Key, nonce, text, associated data, sealed text with tag.
fn check([key, nonce, text, data, sealed]: [&str; 5]) {
    let (key, nonce): ([u8; 16], [u8; 16]) =
        (unhex(key).try_into().unwrap(), unhex(nonce).try_into().unwrap());
    let cipher = AsconAead128::new(&key.into());
    let mut bytes = unhex(text);
    let tag =
        cipher.encrypt_inout_detached(&nonce.into(), &unhex(data), bytes.as_mut_slice().into()).unwrap();
    bytes.extend(tag);
    assert_eq!(bytes, unhex(sealed), "{text} {data}");
}

const KEY: &str = "000102030405060708090A0B0C0D0E0F";
const NONCE: &str = "101112131415161718191A1B1C1D1E1F";

#[test]
fn it_seals_as_the_designers_say() {
    check([KEY, NONCE, "", "", "4F9C278211BEC9316BF68F46EE8B2EC6"]);
    check([
        KEY,
        NONCE,
        "202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F",
        "303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E",
        "4B392E5FA60E0CBBCA547DB96E3262BD8382D6C0E608E24F441AAAFC4726E5AD779233DA0AE25E0BDE856E4805896EC2",
    ]);
}

/// Skips where the vectors are absent.
#[test]
fn it_seals_all_known_answers() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/ascon/ascon_aead128_kat.txt");
    let Ok(file) = fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is absent", path.display());
        return;
    };
    for answer in file.split("\n\n").filter(|answer| !answer.trim().is_empty()) {
        let field = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(" =")).unwrap().trim()
        };
        check(["Key", "Nonce", "PT", "AD", "CT"].map(field));
    }
}
