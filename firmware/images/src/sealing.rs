//! Sealing and opening, for the images that do it.

use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};
use thingward_chip::{black_box, measure, result};
use thingward_samples::{COUNT, HEADER, message, seed};

/// Seals and opens each message: 64 bytes, with 8 that are bound to them.
pub(crate) fn run() {
    for number in 0..COUNT {
        let (secret, mut text) = (black_box(seed(number)), black_box(message(number)));
        let (key, nonce) = secret.split_at(16);
        let (Ok(key), Ok(nonce)) = (key.try_into(), nonce.try_into()) else { return };
        let tag = measure("seal-64", || {
            AsconAead128::new(key).encrypt_inout_detached(nonce, &HEADER, text.as_mut_slice().into())
        });
        let Ok(tag) = tag else { return };
        result("sealed", &text);
        result("tag", &tag);
        let opened = measure("open-64", || {
            AsconAead128::new(key).decrypt_inout_detached(nonce, &HEADER, text.as_mut_slice().into(), &tag)
        });
        result("opened", &[u8::from(opened.is_ok() && text == message(number))]);
    }
}
