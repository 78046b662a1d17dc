//! How build scripts write kernels in AVR assembly. Registers are numbers; a routine gets a section of its own, so that
//! the linker can leave it out.

mod sha2;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

pub use sha2::Sha2;

/// The text of some routines.
#[derive(Default)]
pub struct Assembly(String);

/// One instruction.
#[macro_export]
macro_rules! op {
    ($asm:expr, $($instruction:tt)*) => { $asm.line(format_args!($($instruction)*)) };
}
/// The registers that a routine has to give back as it found them.
const SAVED: [u8; 18] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29];

impl Assembly {
    /// A line, such as [`op`] writes.
    pub fn line(&mut self, instruction: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = writeln!(self.0, "    {instruction}");
    }

    /// Begins a routine.
    pub fn routine(&mut self, name: &str) {
        let _ = writeln!(self.0, ".section .text.{name},\"ax\",@progbits\n.global {name}\n{name}:");
    }

    /// A place to jump to.
    pub fn label(&mut self, label: &str) {
        let _ = writeln!(self.0, "{label}:");
    }

    /// Saves what a routine has to give back.
    pub fn save_all(&mut self) {
        for r in SAVED {
            op!(self, "push r{r}");
        }
    }

    /// The end of a routine that began with [`Self::save_all`]; r1 is zero between routines.
    pub fn restore_all_and_return(&mut self) {
        for r in SAVED.into_iter().rev() {
            op!(self, "pop r{r}");
        }
        op!(self, "clr r1");
        op!(self, "ret");
    }

    /// `add` for the first byte of a sum, `adc` for those behind it; likewise `sub` and `sbc`.
    pub fn chain(&mut self, first: bool, [start, rest]: [&str; 2], to: u8, from: u8) {
        op!(self, "{} r{to}, r{from}", if first { start } else { rest });
    }

    /// Loads the address of a symbol with an offset into `Y` (28) or `Z` (30) or another pair.
    pub fn address(&mut self, pair: u8, symbol: &str, offset: u16) {
        op!(self, "ldi r{pair}, lo8({symbol}+{offset})");
        op!(self, "ldi r{}, hi8({symbol}+{offset})", pair + 1);
    }

    /// Loads bytes behind a pointer into registers that follow each other.
    pub fn load(&mut self, to: u8, count: u8, pointer: char, offset: u8) {
        for k in 0..count {
            op!(self, "ldd r{}, {pointer}+{}", to + k, offset + k);
        }
    }

    /// Copies a word, by pairs of registers.
    pub fn copy(&mut self, to: &[u8], from: &[u8]) {
        for (to, from) in to.iter().zip(from).step_by(2) {
            op!(self, "movw r{to}, r{from}");
        }
    }

    /// Rotates a word, lowest byte first, to the left by one bit; r1 is zero.
    pub fn rotate_left(&mut self, word: &[u8]) {
        for (k, r) in word.iter().enumerate() {
            op!(self, "{} r{r}", if k == 0 { "lsl" } else { "rol" });
        }
        op!(self, "adc r{}, r1", word[0]);
    }

    /// Rotates a word to the right by one bit.
    pub fn rotate_right(&mut self, word: &[u8]) {
        let last = word.len() - 1;
        op!(self, "bst r{}, 0", word[0]);
        for (k, r) in word.iter().enumerate().rev() {
            op!(self, "{} r{r}", if k == last { "lsr" } else { "ror" });
        }
        op!(self, "bld r{}, 7", word[last]);
    }

    /// `to ^= from >>> 8 bytes`.
    pub fn exclusive_or(&mut self, to: &[u8], from: &[u8], bytes: usize) {
        for (k, r) in to.iter().enumerate() {
            op!(self, "eor r{r}, r{}", from[(k + bytes) % from.len()]);
        }
    }

    /// `to += from >>> 8 bytes`.
    pub fn add(&mut self, to: &[u8], from: &[u8], bytes: usize) {
        for (k, r) in to.iter().enumerate() {
            self.chain(k == 0, ADD, *r, from[(k + bytes) % from.len()]);
        }
    }

    /// A table that stays in flash: read-only data goes into RAM on AVR, unless it is asked not to.
    pub fn flash_table(&mut self, name: &str, file: &str) {
        op!(self, ".section .progmem.data.{name},\"a\",@progbits");
        op!(self, "{name}: .incbin \"{file}\"");
    }

    /// Memory at an address divisible by a power of two, for a kernel alone.
    pub fn scratch(&mut self, name: &str, bytes: u16, power: u8) {
        op!(self, ".section .bss.{name},\"aw\",@nobits");
        op!(self, ".global {name}");
        op!(self, ".p2align {power}");
        op!(self, "{name}: .skip {bytes}");
        op!(self, ".text");
    }

    /// Assembles all of it into a library that the crate being built is linked with, if that is for AVR. rustc's own
    /// assembler does not know the chip that it builds for.
    ///
    /// # Errors
    ///
    /// Whatever keeps the assembler from running to its end.
    pub fn link(&self, out: &Path, library: &str) -> io::Result<()> {
        let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        let chip = flags.split('\x1f').find_map(|flag| flag.strip_prefix("-Ctarget-cpu=")).unwrap_or("avr5");
        let [source, object, archive] = ["s", "o", "a"].map(|suffix| format!("lib{library}.{suffix}"));
        fs::write(out.join(&source), &self.0)?;
        let mut assembler = Command::new("avr-as");
        run(assembler.arg(format!("-mmcu={chip}")).args(["-o", &object, &source]).current_dir(out))?;
        run(Command::new("avr-ar").args(["rcs", &archive, &object]).current_dir(out))?;
        println!("cargo::rustc-link-search=native={}", out.display());
        println!("cargo::rustc-link-lib=static={library}");
        Ok(())
    }
}

/// For [`Assembly::chain`].
pub const ADD: [&str; 2] = ["add", "adc"];
/// For [`Assembly::chain`].
pub const SUB: [&str; 2] = ["sub", "sbc"];

/// Whether the crate that a build script belongs to is built for AVR.
#[must_use]
pub fn is_for_avr() -> bool {
    env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "avr")
}

fn run(command: &mut Command) -> io::Result<()> {
    if command.status()?.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} failed"))) }
}
