//! Writes the compression function in AVR assembly: FIPS 180-4 §6.2.2. Words are little endian in memory.
//!
//! The eight working variables lie in a window that slides down by one word each round, so that none has to be moved; a and
//! e stay in registers, too. Rotations are by bytes, which are other names of registers, and by single bits.

#[path = "src/constants.rs"]
mod constants;

use std::path::PathBuf;
use std::{env, fs, io};

use thingward_assembly::{Assembly, Sha2, is_for_avr, op};

const SCRATCH: &str = "sha256_scratch";
const CONSTANTS: &str = "sha256_constants";
/// What to start from lies behind the constants of the rounds.
const START: u16 = 256;
const STATE_BYTES: u16 = 32;
/// The schedule of 16 words.
const SCHEDULE: u16 = 0;
const SCHEDULE_BYTES: u16 = 64;
/// The window of 8 words starts 16 words above this.
const WINDOW: u16 = SCHEDULE + SCHEDULE_BYTES;
const SCRATCH_BYTES: u16 = WINDOW + 96;

const SHA2: Sha2 = Sha2 { word_bytes: 4 };

type Word = [u8; 4];

/// Words in registers, lowest bytes first. `AB` is a ^ b of the round before, which is b ^ c of the next.
const A: Word = [2, 3, 4, 5];
const E: Word = [6, 7, 8, 9];
const T: Word = [10, 11, 12, 13];
const AB: Word = [14, 15, 16, 17];
const U: Word = [18, 19, 20, 21];
const V: Word = [22, 23, 24, 25];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/constants.rs");
    if !is_for_avr() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let words = constants::ROUNDS.iter().chain(&constants::START);
    let constants: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    fs::write(out.join("constants.bin"), constants)?;
    let mut asm = Assembly::default();
    start(&mut asm);
    block(&mut asm);
    asm.flash_table(CONSTANTS, &out.join("constants.bin").display().to_string());
    asm.scratch(SCRATCH, SCRATCH_BYTES, 0);
    asm.link(&out, "sha256_kernel")
}

/// `sha256_start(state)`.
fn start(asm: &mut Assembly) {
    asm.routine("sha256_start");
    op!(asm, "movw r26, r24");
    asm.address(30, CONSTANTS, START);
    op!(asm, "ldi r18, {STATE_BYTES}");
    asm.label("1");
    op!(asm, "lpm r0, Z+");
    op!(asm, "st X+, r0");
    op!(asm, "dec r18");
    op!(asm, "brne 1b");
    op!(asm, "ret");
}

/// `sha256_block(state, block)`.
fn block(asm: &mut Assembly) {
    asm.routine("sha256_block");
    asm.save_all();
    op!(asm, "push r24");
    op!(asm, "push r25");
    SHA2.read_block(asm, SCRATCH, SCHEDULE);
    op!(asm, "movw r30, r24");
    asm.address(28, SCRATCH, WINDOW + 64);
    op!(asm, "movw r26, r28");
    SHA2.copy_window(asm, "ld r19, Z+", "st X+, r19");
    asm.load(A[0], 4, 'Y', 0);
    asm.load(E[0], 4, 'Y', 16);
    asm.load(AB[0], 4, 'Y', 4);
    asm.load(U[0], 4, 'Y', 8);
    asm.exclusive_or(&AB, &U, 0);
    asm.address(30, CONSTANTS, 0);
    asm.label("sha256_pass");
    asm.address(26, SCRATCH, SCHEDULE);
    asm.label("sha256_round");
    round(asm);
    op!(asm, "cpi r26, lo8({SCRATCH}+{})", SCHEDULE + SCHEDULE_BYTES);
    op!(asm, "breq 1f");
    op!(asm, "jmp sha256_round");
    asm.label("1");
    op!(asm, "ldi r18, hi8({CONSTANTS}+{START})");
    op!(asm, "cpi r30, lo8({CONSTANTS}+{START})");
    op!(asm, "cpc r31, r18");
    op!(asm, "brne 1f");
    op!(asm, "jmp sha256_end");
    asm.label("1");
    SHA2.slide_back(asm);
    extend_schedule(asm);
    op!(asm, "jmp sha256_pass");
    asm.label("sha256_end");
    SHA2.add_to_state(asm);
    asm.restore_all_and_return();
}

/// Y is the window, from `a` on: 4 bytes for each of a to h. X is the schedule, Z the constants, in flash.
fn round(asm: &mut Assembly) {
    // h + w + k
    asm.load(T[0], 4, 'Y', 28);
    for (k, r) in T.into_iter().enumerate() {
        op!(asm, "ld r0, X+");
        asm.chain(k == 0, thingward_assembly::ADD, r, 0);
    }
    for (k, r) in T.into_iter().enumerate() {
        op!(asm, "lpm r0, Z+");
        asm.chain(k == 0, thingward_assembly::ADD, r, 0);
    }
    // + (e >>> 6 ^ e >>> 11 ^ e >>> 25)
    asm.copy(&U, &E);
    asm.copy(&V, &E);
    asm.rotate_left(&U);
    asm.rotate_left(&U);
    asm.rotate_right(&V);
    asm.exclusive_or(&U, &V, 2);
    asm.rotate_right(&V);
    asm.rotate_right(&V);
    asm.exclusive_or(&U, &V, 0);
    asm.add(&T, &U, 1);
    // + (e & f ^ !e & g)
    op!(asm, "clc");
    for (k, (t, e)) in T.into_iter().zip(E).enumerate() {
        op!(asm, "ldd r18, Y+{}", 20 + k);
        op!(asm, "ldd r0, Y+{}", 24 + k);
        op!(asm, "eor r18, r0");
        op!(asm, "and r18, r{e}");
        op!(asm, "eor r18, r0");
        op!(asm, "adc r{t}, r18");
    }
    // e of the next round is d and it.
    asm.load(E[0], 4, 'Y', 12);
    asm.add(&E, &T, 0);
    store(asm, 12, E);
    // + (a >>> 2 ^ a >>> 13 ^ a >>> 22)
    asm.copy(&U, &A);
    asm.copy(&V, &A);
    asm.rotate_left(&U);
    asm.rotate_left(&U);
    asm.rotate_right(&V);
    asm.rotate_right(&V);
    asm.exclusive_or(&V, &U, 3);
    asm.rotate_left(&U);
    asm.exclusive_or(&V, &U, 2);
    asm.add(&T, &V, 0);
    // + (a & b ^ a & c ^ b & c), which is (a ^ b) & (b ^ c) ^ b
    op!(asm, "clc");
    for (k, (t, (a, ab))) in T.into_iter().zip(A.into_iter().zip(AB)).enumerate() {
        op!(asm, "ldd r0, Y+{}", 4 + k);
        op!(asm, "eor r{a}, r0");
        op!(asm, "and r{ab}, r{a}");
        op!(asm, "eor r{ab}, r0");
        op!(asm, "adc r{t}, r{ab}");
    }
    asm.copy(&AB, &A);
    asm.copy(&A, &T);
    op!(asm, "sbiw r28, 4");
    store(asm, 0, A);
}

fn store(asm: &mut Assembly, offset: usize, word: Word) {
    for (k, r) in word.into_iter().enumerate() {
        op!(asm, "std Y+{}, r{r}", offset + k);
    }
}

/// The next 16 words of the schedule, in place of the last. r26 walks it in bytes.
fn extend_schedule(asm: &mut Assembly) {
    op!(asm, "push r30");
    op!(asm, "push r31");
    op!(asm, "clr r26");
    asm.label("sha256_extend");
    // w[1] >>> 7 ^ w[1] >>> 18 ^ w[1] >> 3
    point_at(asm, 4);
    asm.load(V[0], 4, 'Z', 0);
    asm.copy(&U, &V);
    asm.rotate_left(&U);
    let sum: Word = [U[1], U[2], U[3], U[0]];
    asm.rotate_right(&V);
    asm.rotate_right(&V);
    asm.exclusive_or(&sum, &V, 2);
    asm.rotate_right(&V);
    // In place of a shift by 3 a rotation, without the bits that come around.
    op!(asm, "andi r{}, 0x1f", V[3]);
    asm.exclusive_or(&sum, &V, 0);
    // + w[9] + w[0]
    for offset in [36, 0] {
        point_at(asm, offset);
        for (k, r) in sum.into_iter().enumerate() {
            op!(asm, "ldd r0, Z+{k}");
            asm.chain(k == 0, thingward_assembly::ADD, r, 0);
        }
    }
    // + (w[14] >>> 17 ^ w[14] >>> 19 ^ w[14] >> 10)
    point_at(asm, 56);
    asm.load(V[0], 4, 'Z', 0);
    asm.rotate_right(&V);
    asm.copy(&T, &V);
    asm.rotate_right(&V);
    // A shift by 2, and by the byte that the other two are rotated more.
    op!(asm, "mov r27, r{}", V[3]);
    op!(asm, "andi r27, 0x3f");
    for (to, from) in [(T[2], V[1]), (T[3], V[2]), (T[0], 27)] {
        op!(asm, "eor r{to}, r{from}");
    }
    asm.rotate_right(&V);
    asm.exclusive_or(&T, &V, 0);
    asm.add(&sum, &T, 2);
    point_at(asm, 0);
    for (k, r) in sum.into_iter().enumerate() {
        op!(asm, "std Z+{k}, r{r}");
    }
    op!(asm, "subi r26, {}", 4_u8.wrapping_neg());
    op!(asm, "cpi r26, {SCHEDULE_BYTES}");
    op!(asm, "breq 1f");
    op!(asm, "jmp sha256_extend");
    asm.label("1");
    op!(asm, "pop r31");
    op!(asm, "pop r30");
}

/// Z = the schedule's word that many bytes behind r26, around its end.
fn point_at(asm: &mut Assembly, offset: u8) {
    op!(asm, "mov r30, r26");
    if offset > 0 {
        op!(asm, "subi r30, {}", offset.wrapping_neg());
    }
    op!(asm, "andi r30, {}", SCHEDULE_BYTES - 1);
    op!(asm, "ldi r31, 0");
    op!(asm, "subi r30, lo8(-({SCRATCH}+{SCHEDULE}))");
    op!(asm, "sbci r31, hi8(-({SCRATCH}+{SCHEDULE}))");
}
