//! SHA-512: FIPS 180-4. What it hashes is secret, so it wipes what it worked on.

mod constants;
#[cfg(target_arch = "avr")]
#[path = "avr.rs"]
mod kernel;
#[cfg(not(target_arch = "avr"))]
#[path = "portable.rs"]
mod kernel;

use zeroize::{Zeroize, Zeroizing};

const BLOCK_BYTES: usize = 128;
/// In the last block the message's length takes 16 bytes.
const LENGTH_AT: usize = BLOCK_BYTES - 16;

/// The hash of all parts, one behind the other.
#[inline(never)]
pub(crate) fn sha512(parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut state = Zeroizing::new(constants::START);
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    let mut filled = 0;
    let mut put = |state: &mut [u64; 8], block: &mut [u8; BLOCK_BYTES], byte: u8| {
        block[filled] = byte;
        filled += 1;
        if filled == BLOCK_BYTES {
            kernel::compress(state, block);
            filled = 0;
        }
        filled
    };
    let mut length = 0_u64;
    for part in parts {
        length += part.len() as u64;
        for byte in *part {
            put(&mut state, &mut block, *byte);
        }
    }
    let mut filled = put(&mut state, &mut block, 0x80);
    while filled != LENGTH_AT {
        filled = put(&mut state, &mut block, 0);
    }
    block[LENGTH_AT..].zeroize();
    block[BLOCK_BYTES - 8..].copy_from_slice(&(length << 3).to_be_bytes());
    kernel::compress(&mut state, &block);
    kernel::wipe();
    let mut hash = Zeroizing::new([0; 64]);
    for (out, word) in hash.chunks_exact_mut(8).zip(state.iter()) {
        out.copy_from_slice(&word.to_be_bytes());
    }
    hash
}
