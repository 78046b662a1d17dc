//! Ascon's permutation (NIST SP 800-232 §3), in assembly on AVR: crates put 64-bit words together from bytes there and
//! take twice as long. It has what `ascon-aead` asks of the crate that it stands in for, and always wipes itself.

#![no_std]

#[cfg_attr(target_arch = "avr", path = "avr.rs")]
#[cfg_attr(not(target_arch = "avr"), path = "portable.rs")]
mod kernel;

use core::ops::{Index, IndexMut};

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The constant of the first of 12 rounds; each round's is 15 less than the one before, up to [`END`].
const FIRST_OF_12: u8 = 0xf0;
/// The constant of the first of 8 rounds.
const FIRST_OF_8: u8 = 0xb4;
/// The constant that no round has any more.
#[cfg_attr(target_arch = "avr", allow(dead_code, reason = "the kernel has its own"))]
const END: u8 = 0x3c;

/// Five words of 64 bits.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct State([u64; 5]);

impl State {
    /// The state of these words.
    #[must_use]
    pub const fn new(x0: u64, x1: u64, x2: u64, x3: u64, x4: u64) -> Self {
        Self([x0, x1, x2, x3, x4])
    }

    /// 12 rounds.
    pub fn permute_12(&mut self) {
        kernel::permute(&mut self.0, FIRST_OF_12);
    }

    /// 8 rounds.
    pub fn permute_8(&mut self) {
        kernel::permute(&mut self.0, FIRST_OF_8);
    }
}

impl Index<usize> for State {
    type Output = u64;

    fn index(&self, word: usize) -> &u64 {
        &self.0[word]
    }
}

impl IndexMut<usize> for State {
    fn index_mut(&mut self, word: usize) -> &mut u64 {
        &mut self.0[word]
    }
}
