//! Multiples of the base point, from tables.

use zeroize::Zeroizing;

use crate::curve::{BASE_WIDTH, COLUMNS, TABLES, TEETH};
use crate::point::{Entry, Point, T};
use crate::scalar::Scalar;

/// The base point times a secret scalar, as 32 bytes. No branch depends on it; addresses do, where no cache tells.
#[inline(never)]
pub(crate) fn multiple_of_base(scalar: &Scalar) -> [u8; 32] {
    // Its coordinates tell of the scalar, other than what they stand for.
    let mut point = Zeroizing::new(Point::identity());
    add_columns(&mut point, scalar);
    point.encoded()
}

/// Adds the base point times a secret scalar.
#[inline(never)]
pub(crate) fn add_columns(point: &mut Point, scalar: &Scalar) {
    let digits = scalar.signed_digits();
    let mut entry = Zeroizing::new(Entry::EMPTY);
    for column in (0..COLUMNS).rev() {
        if column + 1 < COLUMNS {
            point.double(T::Needed);
        }
        for table in 0..TABLES {
            let teeth = teeth(&digits, column, table);
            // Tables have the half in which the highest tooth is plus one; the other half is its negative.
            let negative = (teeth >> (TEETH - 1)).wrapping_sub(1);
            let index = (teeth ^ negative) & ((1 << (TEETH - 1)) - 1);
            table::read(&mut entry, (table << (TEETH - 1)) as u8 | index);
            let t = if table + 1 < TABLES { T::Needed } else { T::Skipped };
            point.add(&mut entry, negative, t);
        }
    }
}

/// The digits of one column in the rows of one table; a bit is 1 where a digit is plus one.
fn teeth(digits: &[u8; 33], column: usize, table: usize) -> u8 {
    let mut teeth = 0;
    for tooth in (0..TEETH).rev() {
        let position = column + COLUMNS * (tooth + TEETH * table);
        teeth = teeth << 1 | digits[position / 8] >> (position % 8) & 1;
    }
    teeth
}

/// An odd multiple of the base point, or of that shifted once: 1 is number 0, 3 is number 1.
pub(crate) fn odd_multiple(shift: u8, number: u8) -> Entry {
    let mut entry = Entry::EMPTY;
    table::read_odd_multiple(&mut entry, shift << (BASE_WIDTH - 2) | number);
    entry
}

#[cfg(target_arch = "avr")]
mod table {
    #![allow(unsafe_code, reason = "calls into assembly")]

    use crate::point::Entry;

    unsafe extern "C" {
        fn ed25519_read_comb(entry: *mut Entry, index: u8);
        fn ed25519_read_odd_multiples(entry: *mut Entry, index: u8);
    }

    pub(super) fn read(entry: &mut Entry, index: u8) {
        // SAFETY: writes the entry only.
        unsafe { ed25519_read_comb(entry, index) }
    }

    pub(super) fn read_odd_multiple(entry: &mut Entry, number: u8) {
        // SAFETY: writes the entry only.
        unsafe { ed25519_read_odd_multiples(entry, number) }
    }
}

#[cfg(not(target_arch = "avr"))]
mod table {
    use crate::field::Element;
    use crate::point::Entry;

    const COMB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/comb.bin"));
    const ODD_MULTIPLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/odd_multiples.bin"));

    /// Looks at the whole table, because there may be a cache.
    pub(super) fn read(entry: &mut Entry, index: u8) {
        let mut bytes = [0; 96];
        for (number, candidate) in (0..).zip(COMB.chunks_exact(96)) {
            let mask = (u16::from(index ^ number).wrapping_sub(1) >> 8) as u8;
            for (byte, candidate) in bytes.iter_mut().zip(candidate) {
                *byte |= candidate & mask;
            }
        }
        *entry = from_bytes(&bytes);
    }

    pub(super) fn read_odd_multiple(entry: &mut Entry, number: u8) {
        *entry = from_bytes(&ODD_MULTIPLES[usize::from(number) * 96..][..96]);
    }

    fn from_bytes(entry: &[u8]) -> Entry {
        let element = |k: usize| Element(core::array::from_fn(|byte| entry[32 * k + byte]));
        Entry { sum: element(0), difference: element(1), product: element(2) }
    }
}
