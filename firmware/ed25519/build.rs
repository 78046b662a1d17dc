//! Makes what the crate cannot have as source: the table of multiples of the base point, and AVR's kernels.

#[path = "build/comb.rs"]
mod comb;
#[path = "build/combination.rs"]
mod combination;
#[path = "src/sha512/constants.rs"]
mod constants;
#[path = "build/field.rs"]
mod field;
#[path = "build/product.rs"]
mod product;
#[path = "build/sha512.rs"]
mod sha512;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use comb::Shape;
use thingward_assembly::{Assembly, is_for_avr, op};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let shape = match (is_for_avr(), has_far_calls()) {
        (true, true) => Shape::LARGE_AVR,
        (true, false) => Shape::AVR,
        (false, _) => Shape::WORDS,
    };
    let tables = [("comb", comb::table(shape)), ("odd_multiples", comb::odd_multiples(shape))];
    if !is_for_avr() {
        return tables.iter().try_for_each(|(name, table)| write_words(&out.join(name), table));
    }
    for (name, table) in tables {
        fs::write(out.join(name).with_extension("bin"), table)?;
    }
    let constants: Vec<u8> = constants::ROUNDS.iter().flat_map(|k| k.to_le_bytes()).collect();
    fs::write(out.join("sha512_constants.bin"), constants)?;
    kernels(&out.display().to_string()).link(&out, "ed25519_kernels")
}

/// Whether it is for an AVR with more than 128 KB of flash.
fn has_far_calls() -> bool {
    env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|features| features.split(',').any(|f| f == "eijmpcall"))
}

/// As an expression: for each point its coordinates, as words.
fn write_words(file: &Path, table: &[u8]) -> io::Result<()> {
    let number = |bytes: &[u8]| {
        let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(std::array::from_fn(|k| word[k])));
        words.collect::<Vec<_>>()
    };
    let points = table.chunks_exact(comb::ENTRY_BYTES);
    let points = points.map(|point| point.chunks_exact(32).map(number).collect::<Vec<_>>());
    fs::write(file.with_extension("rs"), format!("{:?}", points.collect::<Vec<_>>()))
}

fn kernels(out: &str) -> Assembly {
    let mut asm = Assembly::default();
    field::routines(&mut asm);
    combination::combine(&mut asm);
    sha512::block(&mut asm);
    for (table, file) in [("comb", "comb.bin"), ("odd_multiples", "odd_multiples.bin")] {
        asm.flash_table(&format!("ed25519_{table}"), &format!("{out}/{file}"));
        read_entry(&mut asm, table);
    }
    asm.flash_table("ed25519_sha512_constants", &format!("{out}/sha512_constants.bin"));
    asm.scratch("ed25519_scratch", sha512::SCRATCH_BYTES, 7);
    asm
}

/// `read_NAME(entry, index)` copies 96 bytes out of flash. The address is secret for the comb: there is no cache, and
/// every byte takes as long as another.
fn read_entry(asm: &mut Assembly, table: &str) {
    asm.routine(&format!("ed25519_read_{table}"));
    op!(asm, "movw r26, r24");
    op!(asm, "ldi r24, {}", comb::ENTRY_BYTES);
    op!(asm, "mul r22, r24");
    op!(asm, "movw r30, r0");
    op!(asm, "clr r1");
    op!(asm, "subi r30, lo8(-(ed25519_{table}))");
    op!(asm, "sbci r31, hi8(-(ed25519_{table}))");
    asm.label("1");
    op!(asm, "lpm r0, Z+");
    op!(asm, "st X+, r0");
    op!(asm, "dec r24");
    op!(asm, "brne 1b");
    op!(asm, "ret");
}
