//! Constants of the curve, and the shape of the tables of its base point's multiples. The build script reads them too.

/// How many points there are tables of, and for what.
///
/// For signing, a scalar's digits, each plus or minus one, are laid out in `tables` times `teeth` rows of `columns`: at least
/// 253 of them, as a scalar has bits. A column is one addition for each table and, but for the last one, a doubling.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) teeth: usize,
    pub(crate) tables: usize,
    pub(crate) columns: usize,
    /// Width of the base point's digits in verifying.
    pub(crate) base_width: usize,
}

impl Shape {
    /// 44 additions and 21 doublings from 6 KB of flash, and 12 KB for verifying: time is what there is least of.
    pub(crate) const LARGE_AVR: Self = Self { teeth: 6, tables: 2, columns: 22, base_width: 8 };
    /// 51 additions and 16 doublings from 4.5 KB of flash, and 384 bytes for verifying.
    pub(crate) const AVR: Self = Self { teeth: 5, tables: 3, columns: 17, base_width: 3 };
    /// 85 additions and 84 doublings from 384 bytes of flash, and as many for verifying: a whole device has little of it.
    pub(crate) const WORDS: Self = Self { teeth: 3, tables: 1, columns: 85, base_width: 3 };

    /// Digits of a scalar.
    pub(crate) const fn digits(self) -> usize {
        self.teeth * self.tables * self.columns
    }

    /// Points in the tables for signing.
    #[allow(dead_code, reason = "on AVR the tables are the linker's")]
    pub(crate) const fn sums(self) -> usize {
        self.tables << (self.teeth - 1)
    }

    /// Points in the tables for verifying.
    #[allow(dead_code, reason = "on AVR the tables are the linker's")]
    pub(crate) const fn odd_multiples(self) -> usize {
        2 << (self.base_width - 2)
    }
}

/// There is another table of 2^128 times the base point, since its scalar is twice as long as the others in verifying.
pub(crate) const BASE_SHIFT: usize = 128;

/// d, of the curve's equation: -121665/121666.
pub(crate) const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98,
    0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];
