//! What the compression functions of SHA-256 and SHA-512 have in common: FIPS 180-4 §6.2.2 and §6.4.2. Words are little
//! endian in memory, and the eight working variables lie in a window that slides down by one word each round.

use crate::{Assembly, op};

/// Words in a block, in the schedule, and for which the window has room to slide.
const BLOCK_WORDS: u16 = 16;
/// Working variables.
const VARIABLES: u16 = 8;

/// One of the two, by the bytes of its words.
#[derive(Clone, Copy)]
pub struct Sha2 {
    /// 4 or 8.
    pub word_bytes: u16,
}

impl Sha2 {
    /// Reads the block at r22 into the schedule at `scratch`: big endian words there.
    pub fn read_block(self, asm: &mut Assembly, scratch: &str, schedule: u16) {
        op!(asm, "movw r26, r22");
        asm.address(30, scratch, schedule);
        op!(asm, "ldi r18, {BLOCK_WORDS}");
        asm.label("1");
        for k in (0..self.word_bytes).rev() {
            op!(asm, "ld r19, X+");
            op!(asm, "std Z+{k}, r19");
        }
        op!(asm, "adiw r30, {}", self.word_bytes);
        op!(asm, "dec r18");
        op!(asm, "brne 1b");
    }

    /// Copies the window with these two instructions, through r19.
    pub fn copy_window(self, asm: &mut Assembly, load: &str, store: &str) {
        op!(asm, "ldi r18, {}", VARIABLES * self.word_bytes);
        asm.label("1");
        op!(asm, "{load}");
        op!(asm, "{store}");
        op!(asm, "dec r18");
        op!(asm, "brne 1b");
    }

    /// After 16 rounds the window, at Y, is 16 words lower: it goes back up.
    pub fn slide_back(self, asm: &mut Assembly) {
        let up = (BLOCK_WORDS * self.word_bytes).wrapping_neg();
        op!(asm, "movw r26, r28");
        op!(asm, "subi r28, {:#x}", up & 0xff);
        op!(asm, "sbci r29, {:#x}", up >> 8);
        op!(asm, "push r28");
        op!(asm, "push r29");
        self.copy_window(asm, "ld r19, X+", "st Y+, r19");
        op!(asm, "pop r29");
        op!(asm, "pop r28");
    }

    /// Adds the window, at Y, to the state whose address is on the stack.
    pub fn add_to_state(self, asm: &mut Assembly) {
        op!(asm, "pop r27");
        op!(asm, "pop r26");
        op!(asm, "ldi r18, {VARIABLES}");
        asm.label("1");
        op!(asm, "clc");
        for _ in 0..self.word_bytes {
            op!(asm, "ld r19, X");
            op!(asm, "ld r20, Y+");
            op!(asm, "adc r19, r20");
            op!(asm, "st X+, r19");
        }
        op!(asm, "dec r18");
        op!(asm, "brne 1b");
    }
}
