//! Constants of the curve, and the shape of the comb that multiplies its base point. The build script reads them too.
//!
//! A scalar's digits, each plus or minus one, are laid out in `TABLES` times `TEETH` rows of `COLUMNS`. A column is
//! one addition for each table, so 12 rows of 22 make 44 additions and 21 doublings, from 64 points in 6 KB of flash.

pub(crate) const TEETH: usize = 6;
pub(crate) const TABLES: usize = 2;
/// 12 rows of 22 hold the 253 digits of a scalar.
pub(crate) const COLUMNS: usize = 22;

/// Width of the base point's digits in verifying: wider takes fewer additions and twice the tables, here 12 KB of flash.
pub(crate) const BASE_WIDTH: usize = 8;
/// There is another table of 2^128 times the base point, since its scalar is twice as long as the others in verifying.
pub(crate) const BASE_SHIFT: usize = 128;

/// d, of the curve's equation: -121665/121666.
pub(crate) const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98,
    0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];
