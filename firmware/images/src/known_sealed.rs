//! Ascon-AEAD128 against its designers.
#![no_std]
#![no_main]

use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};
use thingward_chip::{black_box, end, result};
use thingward_samples::standard::{DATA, KEY, NONCE, TEXT};

thingward_chip::image!(run);

fn run() {
    let cipher = AsconAead128::new(&black_box(KEY).into());
    let mut text = black_box(TEXT);
    let tag = cipher.encrypt_inout_detached(&NONCE.into(), &DATA, text.as_mut_slice().into());
    let Ok(tag) = tag else { end(false) };
    result("sealed", &text);
    result("tag", &tag);
}
