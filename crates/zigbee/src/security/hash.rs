//! The hash of Zigbee, which is AES in Matyas-Meyer-Oseas mode, and the keyed hash over it: annexes B.1.3, B.1.4, B.6.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use super::Key;

/// The hash of a message.
#[must_use]
pub fn hash(message: &[u8]) -> [u8; 16] {
    let mut padded = Zeroizing::new(message.to_vec());
    let bits = (message.len() as u64).saturating_mul(8);
    padded.push(0x80);
    // A message of 2^16 bits or more has a longer length, and two zero octets behind it: B.6.
    if let Ok(bits) = u16::try_from(bits) {
        pad(&mut padded, 14);
        padded.extend(bits.to_be_bytes());
    } else {
        pad(&mut padded, 10);
        let [.., a, b, c, d] = bits.to_be_bytes();
        padded.extend([a, b, c, d, 0, 0]);
    }
    let (blocks, _) = padded.as_chunks::<16>();
    blocks.iter().fold([0; 16], |digest, block| xor(&encrypt(&digest, block), block))
}

/// The keyed hash of a message: HMAC over [`hash`].
#[must_use]
pub fn keyed_hash(key: &Key, message: &[u8]) -> [u8; 16] {
    let with = |pad: u8, message: &[u8]| {
        let key = xor(key.octets(), &[pad; 16]);
        hash(&Zeroizing::new([&key, message].concat()))
    };
    with(0x5c, &with(0x36, message))
}

fn pad(message: &mut Vec<u8>, to: usize) {
    while message.len() % 16 != to {
        message.push(0);
    }
}

fn encrypt(key: &[u8; 16], block: &[u8; 16]) -> [u8; 16] {
    let mut out = (*block).into();
    Aes128::new(key.into()).encrypt_block(&mut out);
    out.into()
}

fn xor(a: &[u8; 16], b: &[u8; 16]) -> [u8; 16] {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}
