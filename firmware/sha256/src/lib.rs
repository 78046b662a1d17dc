//! SHA-256 (FIPS 180-4) for 8-bit chips. The usual crate takes twice as long there, and its constants take RAM. It takes as
//! long for one message as for any other of the same length, and wipes what it worked on.
//!
//! On AVR all of it shares one scratch area: do not hash in an interrupt handler.

#![no_std]

mod constants;
#[cfg_attr(target_arch = "avr", path = "avr.rs")]
#[cfg_attr(not(target_arch = "avr"), path = "portable.rs")]
mod kernel;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

const BLOCK_BYTES: usize = 64;
/// In the last block the message's length takes 8 bytes.
const LENGTH_AT: usize = BLOCK_BYTES - 8;

/// The hash of what `feed` hands to the hasher.
#[must_use]
pub fn sha256(feed: impl FnOnce(&mut Hasher)) -> [u8; HASH_BYTES] {
    let mut hasher = Hasher { state: [0; 8], block: [0; BLOCK_BYTES], filled: 0, length: 0 };
    kernel::start(&mut hasher.state);
    feed(&mut hasher);
    hasher.finish()
}

/// Takes a message in pieces.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Hasher {
    state: [u32; 8],
    block: [u8; BLOCK_BYTES],
    filled: usize,
    length: u64,
}

impl Hasher {
    /// Takes what comes next.
    #[inline(never)]
    pub fn update(&mut self, mut part: &[u8]) {
        self.length += part.len() as u64;
        while !part.is_empty() {
            let room = &mut self.block[self.filled..];
            let (now, later) = part.split_at(part.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            part = later;
            if self.filled == BLOCK_BYTES {
                self.compress();
            }
        }
    }

    #[inline(never)]
    fn finish(&mut self) -> [u8; HASH_BYTES] {
        self.block[self.filled] = 0x80;
        self.block[self.filled + 1..].fill(0);
        if self.filled >= LENGTH_AT {
            self.compress();
            self.block.fill(0);
        }
        self.block[LENGTH_AT..].copy_from_slice(&(self.length << 3).to_be_bytes());
        self.compress();
        kernel::wipe();
        let mut hash = [0; HASH_BYTES];
        for (out, word) in hash.chunks_exact_mut(4).zip(&self.state) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }

    fn compress(&mut self) {
        kernel::compress(&mut self.state, &self.block);
        self.filled = 0;
    }
}
