//! Signatures are verified, and refused when they or their message were changed.
#![no_std]
#![no_main]

use thingward_chip::{measure, result};
use thingward_ed25519::SigningKey;
use thingward_samples::{COUNT, message, seed};

thingward_chip::image!(run);

fn run() {
    for number in 0..COUNT {
        let key = SigningKey::from_seed(&seed(number));
        let mut message = message(number);
        let mut signature = key.sign(&message);
        let good = measure("verify", || key.public_key().verify(&message, &signature).is_ok());
        message[usize::from(number)] ^= 1;
        let other_message = key.public_key().verify(&message, &signature).is_ok();
        message[usize::from(number)] ^= 1;
        signature[usize::from(number) * 8] ^= 0x10;
        let other_signature = key.public_key().verify(&message, &signature).is_ok();
        signature[usize::from(number) * 8] ^= 0x10;
        add_order(&mut signature);
        let order_more = key.public_key().verify(&message, &signature).is_ok();
        result("verdicts", &[good, other_message, other_signature, order_more].map(u8::from));
    }
}

/// S + L instead of S: the equation holds as before, and only the check of its range refuses it.
fn add_order(signature: &mut [u8; 64]) {
    const ORDER: [u8; 16] =
        [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];
    let mut carry = 0_u16;
    for (k, byte) in signature[32..].iter_mut().enumerate() {
        let order = ORDER.get(k).copied().unwrap_or(if k == 31 { 0x10 } else { 0 });
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
}
