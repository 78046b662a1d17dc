//! Text of AVR assembly, as the kernels write it. Registers are numbers; a routine gets a section of its own, so that the
//! linker can leave it out.

use std::fmt::Write;

#[derive(Default)]
pub(crate) struct Assembly(pub(crate) String);

/// One instruction.
macro_rules! op {
    ($asm:expr, $($instruction:tt)*) => { $asm.line(format_args!($($instruction)*)) };
}
pub(crate) use op;

/// The registers that a routine has to give back as it found them.
const SAVED: [u8; 18] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29];

impl Assembly {
    pub(crate) fn line(&mut self, instruction: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = writeln!(self.0, "    {instruction}");
    }

    pub(crate) fn routine(&mut self, name: &str) {
        let _ = writeln!(self.0, ".section .text.{name},\"ax\",@progbits\n.global {name}\n{name}:");
    }

    pub(crate) fn label(&mut self, label: &str) {
        let _ = writeln!(self.0, "{label}:");
    }

    pub(crate) fn save_all(&mut self) {
        for r in SAVED {
            op!(self, "push r{r}");
        }
    }

    pub(crate) fn restore_all_and_return(&mut self) {
        for r in SAVED.into_iter().rev() {
            op!(self, "pop r{r}");
        }
        op!(self, "clr r1");
        op!(self, "ret");
    }

    /// `add` for the first byte of a sum, `adc` for those behind it; likewise `sub` and `sbc`.
    pub(crate) fn chain(&mut self, first: bool, [start, rest]: [&str; 2], to: u8, from: u8) {
        op!(self, "{} r{to}, r{from}", if first { start } else { rest });
    }

    /// Loads the address of a symbol with an offset into `Y` (28) or `Z` (30) or another pair.
    pub(crate) fn address(&mut self, pair: u8, symbol: &str, offset: u16) {
        op!(self, "ldi r{pair}, lo8({symbol}+{offset})");
        op!(self, "ldi r{}, hi8({symbol}+{offset})", pair + 1);
    }

    /// Loads bytes behind a pointer into registers that follow each other.
    pub(crate) fn load(&mut self, to: u8, count: u8, pointer: char, offset: u8) {
        for k in 0..count {
            op!(self, "ldd r{}, {pointer}+{}", to + k, offset + k);
        }
    }
}

pub(crate) const ADD: [&str; 2] = ["add", "adc"];
pub(crate) const SUB: [&str; 2] = ["sub", "sbc"];
