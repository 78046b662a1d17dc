//! SHA-512: FIPS 180-4. What it hashes is secret, so it wipes what it worked on.

mod constants;
#[cfg(target_arch = "avr")]
#[path = "avr.rs"]
mod kernel;
#[cfg(not(target_arch = "avr"))]
#[path = "portable.rs"]
mod kernel;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const BLOCK_BYTES: usize = 128;
/// In the last block the message's length takes 16 bytes.
const LENGTH_AT: usize = BLOCK_BYTES - 16;

/// The hash of all parts, one behind the other, and those of a message behind them.
#[inline(never)]
pub(crate) fn sha512(parts: &[&[u8]], message: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut hasher = Hasher { state: constants::START, block: [0; BLOCK_BYTES], filled: 0 };
    let mut length = 0_u64;
    for part in parts.iter().chain(message) {
        length += part.len() as u64;
        part.iter().for_each(|byte| hasher.put(*byte));
    }
    hasher.put(0x80);
    while hasher.filled != LENGTH_AT {
        hasher.put(0);
    }
    hasher.block[LENGTH_AT..].fill(0);
    hasher.block[BLOCK_BYTES - 8..].copy_from_slice(&(length << 3).to_be_bytes());
    kernel::compress(&mut hasher.state, &hasher.block);
    kernel::wipe();
    let mut hash = Zeroizing::new([0; 64]);
    for (out, word) in hash.chunks_exact_mut(8).zip(hasher.state) {
        out.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Hasher {
    state: [u64; 8],
    block: [u8; BLOCK_BYTES],
    filled: usize,
}

impl Hasher {
    #[inline(never)]
    fn put(&mut self, byte: u8) {
        self.block[self.filled] = byte;
        self.filled += 1;
        if self.filled == BLOCK_BYTES {
            kernel::compress(&mut self.state, &self.block);
            self.filled = 0;
        }
    }
}
