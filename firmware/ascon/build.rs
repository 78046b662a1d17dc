//! Writes the permutation in AVR assembly. Words are little endian in memory; Y is the state all the time.
//!
//! The substitution works on one byte of each word at a time. It leaves two of the words in registers, where the linear
//! layer takes them up. Rotations are by bytes, which are other names of registers, and by single bits.

use std::path::PathBuf;
use std::{env, io};

use thingward_assembly::{Assembly, is_for_avr, op};

const ZERO: u8 = 1;
/// The last two words between substitution and linear layer.
const WORD_3: u8 = 2;
const WORD_4: u8 = 10;
/// A word that is being put together.
const SUM: u8 = 18;
/// One byte of each word, and what is added to each.
const X: [u8; 5] = [18, 19, 20, 21, 22];
const T: [u8; 5] = [23, 24, 25, 26, 27];
const CONSTANT: u8 = 30;
const AFTER_LAST_ROUND: u8 = 0x3c;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if is_for_avr() { permutation().link(&out, "ascon_kernel") } else { Ok(()) }
}

/// `permute(state, constant of the first round)`.
fn permutation() -> Assembly {
    let mut asm = Assembly::default();
    asm.routine("ascon_permute");
    asm.save_all();
    op!(asm, "movw r28, r24");
    op!(asm, "mov r{CONSTANT}, r22");
    asm.label("ascon_round");
    for byte in 0..8 {
        substitute(&mut asm, byte);
    }
    // Rotations right by 7 and 41: one to the left with a byte, then one to the right with five.
    copy(&mut asm, SUM, WORD_4);
    left(&mut asm, WORD_4);
    add(&mut asm, WORD_4, 1);
    right(&mut asm, WORD_4);
    right(&mut asm, WORD_4);
    add(&mut asm, WORD_4, 5);
    store(&mut asm, 4);
    // 17 and 10.
    copy(&mut asm, SUM, WORD_3);
    right(&mut asm, WORD_3);
    add(&mut asm, WORD_3, 2);
    right(&mut asm, WORD_3);
    add(&mut asm, WORD_3, 1);
    store(&mut asm, 3);
    // 19 and 28.
    let word = load(&mut asm, 0);
    for _ in 0..3 {
        right(&mut asm, word);
    }
    add(&mut asm, word, 2);
    right(&mut asm, word);
    add(&mut asm, word, 3);
    store(&mut asm, 0);
    // 39 and 61.
    let word = load(&mut asm, 1);
    left(&mut asm, word);
    add(&mut asm, word, 5);
    left(&mut asm, word);
    left(&mut asm, word);
    add(&mut asm, word, 0);
    store(&mut asm, 1);
    // 1 and 6, which are far apart: from two copies.
    let word = load(&mut asm, 2);
    copy(&mut asm, WORD_4, word);
    right(&mut asm, word);
    add(&mut asm, word, 0);
    left(&mut asm, WORD_4);
    left(&mut asm, WORD_4);
    add(&mut asm, WORD_4, 1);
    store(&mut asm, 2);
    op!(asm, "subi r{CONSTANT}, 15");
    op!(asm, "cpi r{CONSTANT}, {AFTER_LAST_ROUND}");
    op!(asm, "breq 1f");
    op!(asm, "jmp ascon_round");
    asm.label("1");
    asm.restore_all_and_return();
    asm
}

/// SP 800-232 §3.3 on one byte of every word, with the constant of §3.2 in the lowest.
fn substitute(asm: &mut Assembly, byte: u8) {
    for (word, x) in (0..).zip(X) {
        op!(asm, "ldd r{x}, Y+{}", 8 * word + byte);
    }
    if byte == 0 {
        op!(asm, "eor r{}, r{CONSTANT}", X[2]);
    }
    for (to, from) in [(0, 4), (4, 3), (2, 1)] {
        op!(asm, "eor r{}, r{}", X[to], X[from]);
    }
    for k in 0..5 {
        op!(asm, "mov r{}, r{}", T[k], X[k]);
        op!(asm, "com r{}", T[k]);
        op!(asm, "and r{}, r{}", T[k], X[(k + 1) % 5]);
    }
    for k in 0..5 {
        op!(asm, "eor r{}, r{}", X[k], T[(k + 1) % 5]);
    }
    for (to, from) in [(1, 0), (0, 4), (3, 2)] {
        op!(asm, "eor r{}, r{}", X[to], X[from]);
    }
    op!(asm, "com r{}", X[2]);
    for (word, x) in (0..3).zip(X) {
        op!(asm, "std Y+{}, r{x}", 8 * word + byte);
    }
    op!(asm, "mov r{}, r{}", WORD_3 + byte, X[3]);
    op!(asm, "mov r{}, r{}", WORD_4 + byte, X[4]);
}

/// A word for the linear layer, twice; gives the one that may be rotated.
fn load(asm: &mut Assembly, word: u8) -> u8 {
    asm.load(WORD_3, 8, 'Y', 8 * word);
    copy(asm, SUM, WORD_3);
    WORD_3
}

fn store(asm: &mut Assembly, word: u8) {
    for k in 0..8 {
        op!(asm, "std Y+{}, r{}", 8 * word + k, SUM + k);
    }
}

fn copy(asm: &mut Assembly, to: u8, from: u8) {
    for k in (0..8).step_by(2) {
        op!(asm, "movw r{}, r{}", to + k, from + k);
    }
}

/// Adds a word, rotated right by bytes.
fn add(asm: &mut Assembly, word: u8, bytes: u8) {
    for k in 0..8 {
        op!(asm, "eor r{}, r{}", SUM + k, word + (k + bytes) % 8);
    }
}

/// By one bit.
fn left(asm: &mut Assembly, word: u8) {
    op!(asm, "lsl r{word}");
    for k in 1..8 {
        op!(asm, "rol r{}", word + k);
    }
    op!(asm, "adc r{word}, r{ZERO}");
}

/// By one bit.
fn right(asm: &mut Assembly, word: u8) {
    op!(asm, "bst r{word}, 0");
    op!(asm, "lsr r{}", word + 7);
    for k in (0..7).rev() {
        op!(asm, "ror r{}", word + k);
    }
    op!(asm, "bld r{}, 7", word + 7);
}
