//! The compression function of SHA-512: FIPS 180-4 §6.4.2. Words are little endian in memory.
//!
//! The eight working variables lie in a window that slides down by one word each round, so that none has to be moved.
//! Rotations are by bytes, which costs nothing but other names of registers, and then by single bits.

use crate::field::SCRATCH;
use thingward_assembly::{ADD, Assembly, Sha2, op};

/// The schedule of 16 words, at an address divisible by 128.
const SCHEDULE: u16 = 0;
/// The window of 8 words starts 16 words above this.
const WINDOW: u16 = 128;
/// What routines need, in bytes: schedule and window.
pub(crate) const SCRATCH_BYTES: u16 = WINDOW + 192;

/// Three words in registers, lowest bytes first.
const T: u8 = 2;
const E: u8 = 10;
const U: u8 = 18;

const SHA2: Sha2 = Sha2 { word_bytes: 8 };

type Word = [u8; 8];

fn word(first: u8) -> Word {
    std::array::from_fn(|k| first + k as u8)
}

/// `sha512_block(state, block)`.
pub(crate) fn block(asm: &mut Assembly) {
    asm.routine("ed25519_sha512_block");
    asm.save_all();
    op!(asm, "push r24");
    op!(asm, "push r25");
    SHA2.read_block(asm, SCRATCH, SCHEDULE);
    op!(asm, "movw r30, r24");
    asm.address(28, SCRATCH, WINDOW + 128);
    op!(asm, "movw r26, r28");
    SHA2.copy_window(asm, "ld r19, Z+", "st X+, r19");
    asm.address(30, "ed25519_sha512_constants", 0);
    op!(asm, "ldi r24, 5");
    op!(asm, "clr r1");
    asm.label("ed25519_sha512_pass");
    op!(asm, "push r24");
    asm.address(26, SCRATCH, SCHEDULE);
    op!(asm, "ldi r24, 16");
    op!(asm, "mov r0, r24");
    asm.label("ed25519_sha512_round");
    round(asm);
    op!(asm, "dec r0");
    op!(asm, "breq 1f");
    op!(asm, "jmp ed25519_sha512_round");
    asm.label("1");
    op!(asm, "pop r24");
    op!(asm, "dec r24");
    op!(asm, "brne 1f");
    op!(asm, "jmp ed25519_sha512_end");
    asm.label("1");
    op!(asm, "push r24");
    SHA2.slide_back(asm);
    extend_schedule(asm);
    op!(asm, "pop r24");
    op!(asm, "jmp ed25519_sha512_pass");
    asm.label("ed25519_sha512_end");
    SHA2.add_to_state(asm);
    asm.restore_all_and_return();
}

/// Y is the window, from `a` on: 8 bytes for each of a to h. X is the schedule, Z the constants, in flash.
fn round(asm: &mut Assembly) {
    let (t, e, u) = (word(T), word(E), word(U));
    // h + w + k
    asm.load(T, 8, 'Y', 56);
    for (k, r) in t.iter().enumerate() {
        op!(asm, "ld r18, X+");
        asm.chain(k == 0, ADD, *r, 18);
    }
    for (k, r) in t.iter().enumerate() {
        op!(asm, "lpm r18, Z+");
        asm.chain(k == 0, ADD, *r, 18);
    }
    // + (e >>> 14 ^ e >>> 18 ^ e >>> 41)
    asm.load(E, 8, 'Y', 32);
    asm.copy(&u, &e);
    asm.rotate_left(&u);
    asm.rotate_left(&u);
    asm.rotate_right(&e);
    asm.exclusive_or(&u, &e, 3);
    asm.rotate_right(&e);
    asm.exclusive_or(&u, &e, 0);
    asm.add(&t, &u, 2);
    // + (e & f ^ !e & g)
    op!(asm, "clc");
    for (k, r) in t.iter().enumerate() {
        op!(asm, "ldd r18, Y+{}", 40 + k);
        op!(asm, "ldd r19, Y+{}", 48 + k);
        op!(asm, "eor r18, r19");
        op!(asm, "ldd r20, Y+{}", 32 + k);
        op!(asm, "and r18, r20");
        op!(asm, "eor r18, r19");
        op!(asm, "adc r{r}, r18");
    }
    // d += it
    for (k, r) in t.iter().enumerate() {
        op!(asm, "ldd r18, Y+{}", 24 + k);
        asm.chain(k == 0, ADD, 18, *r);
        op!(asm, "std Y+{}, r18", 24 + k);
    }
    // + (a >>> 28 ^ a >>> 34 ^ a >>> 39)
    asm.load(E, 8, 'Y', 0);
    asm.copy(&u, &e);
    asm.rotate_left(&u);
    asm.rotate_right(&e);
    asm.rotate_right(&e);
    asm.exclusive_or(&u, &e, 7);
    asm.rotate_right(&e);
    asm.rotate_right(&e);
    asm.exclusive_or(&u, &e, 6);
    asm.add(&t, &u, 5);
    // + (a & b ^ a & c ^ b & c)
    op!(asm, "clc");
    for (k, r) in t.iter().enumerate() {
        op!(asm, "ldd r18, Y+{k}");
        op!(asm, "ldd r19, Y+{}", 8 + k);
        op!(asm, "ldd r20, Y+{}", 16 + k);
        op!(asm, "mov r21, r18");
        op!(asm, "or r21, r19");
        op!(asm, "and r21, r20");
        op!(asm, "and r18, r19");
        op!(asm, "or r18, r21");
        op!(asm, "adc r{r}, r18");
    }
    op!(asm, "sbiw r28, 8");
    for (k, r) in t.iter().enumerate() {
        op!(asm, "std Y+{k}, r{r}");
    }
}

/// The next 16 words of the schedule, in place of the last. r0 walks it in bytes.
fn extend_schedule(asm: &mut Assembly) {
    let (e, u) = (word(E), word(U));
    op!(asm, "push r30");
    op!(asm, "push r31");
    op!(asm, "ldi r31, hi8({SCRATCH}+{SCHEDULE})");
    op!(asm, "clr r0");
    asm.label("ed25519_sha512_extend");
    // w[1] >>> 1 ^ w[1] >>> 8 ^ w[1] >> 7, the last one as a shift by a bit to the left and by a byte to the right
    point_at(asm, 8);
    asm.load(E, 8, 'Z', 0);
    asm.copy(&u, &e);
    op!(asm, "clr r9");
    op!(asm, "lsl r{}", u[0]);
    for r in &u[1..] {
        op!(asm, "rol r{r}");
    }
    op!(asm, "rol r9");
    let sum: Word = [u[1], u[2], u[3], u[4], u[5], u[6], u[7], 9];
    asm.exclusive_or(&sum, &e, 1);
    asm.rotate_right(&e);
    asm.exclusive_or(&sum, &e, 0);
    // + w[9] + w[0]
    for offset in [72, 0] {
        point_at(asm, offset);
        for (k, r) in sum.iter().enumerate() {
            op!(asm, "ldd r18, Z+{k}");
            asm.chain(k == 0, ADD, *r, 18);
        }
    }
    // + (w[14] >>> 19 ^ w[14] >>> 61 ^ w[14] >> 6)
    let v: Word = [18, 2, 3, 4, 5, 6, 7, 8];
    point_at(asm, 112);
    for (k, r) in v.iter().enumerate() {
        op!(asm, "ldd r{r}, Z+{k}");
    }
    asm.rotate_left(&v);
    asm.rotate_left(&v);
    for (to, from) in e.iter().zip(v) {
        op!(asm, "mov r{to}, r{from}");
    }
    asm.rotate_left(&e);
    // In place of a shift by 6 a rotation, without the two bits that come around; a byte to the right comes later.
    op!(asm, "andi r18, 3");
    asm.exclusive_or(&v, &e, 7);
    asm.load(E, 8, 'Z', 0);
    for _ in 0..3 {
        asm.rotate_right(&e);
    }
    asm.exclusive_or(&v, &e, 1);
    asm.add(&sum, &v, 1);
    point_at(asm, 0);
    for (k, r) in sum.iter().enumerate() {
        op!(asm, "std Z+{k}, r{r}");
    }
    op!(asm, "ldi r18, 8");
    op!(asm, "add r0, r18");
    op!(asm, "sbrc r0, 7");
    op!(asm, "rjmp 1f");
    op!(asm, "jmp ed25519_sha512_extend");
    asm.label("1");
    op!(asm, "pop r31");
    op!(asm, "pop r30");
}

/// Z = the schedule's word that many bytes behind r0, around its end.
fn point_at(asm: &mut Assembly, offset: u8) {
    op!(asm, "mov r30, r0");
    if offset > 0 {
        op!(asm, "subi r30, {}", offset.wrapping_neg());
    }
    op!(asm, "andi r30, 0x7f");
    op!(asm, "ori r30, lo8({SCRATCH}+{SCHEDULE})");
}
