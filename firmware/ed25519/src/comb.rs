//! Multiples of the base point, from tables.

use zeroize::Zeroizing;

use crate::curve::Shape;
use crate::point::{Entry, Point, T};
use crate::scalar::Scalar;

pub(crate) const SHAPE: Shape = if cfg!(not(target_arch = "avr")) {
    Shape::WORDS
} else if cfg!(target_feature = "eijmpcall") {
    Shape::LARGE_AVR
} else {
    Shape::AVR
};
const TEETH: usize = SHAPE.teeth;
const TABLES: usize = SHAPE.tables;
const COLUMNS: usize = SHAPE.columns;

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
            table::read(&mut entry, table, index);
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
    table::read_odd_multiple(&mut entry, shift << (SHAPE.base_width - 2) | number);
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

    pub(super) fn read(entry: &mut Entry, table: usize, index: u8) {
        // SAFETY: writes the entry only.
        unsafe { ed25519_read_comb(entry, (table << (super::TEETH - 1)) as u8 | index) }
    }

    pub(super) fn read_odd_multiple(entry: &mut Entry, number: u8) {
        // SAFETY: writes the entry only.
        unsafe { ed25519_read_odd_multiples(entry, number) }
    }
}

#[cfg(not(target_arch = "avr"))]
mod table {
    use core::hint::black_box;

    use super::SHAPE;
    use crate::field::Element;
    use crate::point::Entry;

    /// Points in one of the tables for signing.
    const IN_TABLE: usize = SHAPE.sums() / SHAPE.tables;
    type Coordinates = [[u32; 8]; 3];

    static COMB: [Coordinates; SHAPE.sums()] = include!(concat!(env!("OUT_DIR"), "/comb.rs"));
    static ODD_MULTIPLES: [Coordinates; SHAPE.odd_multiples()] =
        include!(concat!(env!("OUT_DIR"), "/odd_multiples.rs"));

    /// Looks at the whole table, because there may be a cache.
    pub(super) fn read(entry: &mut Entry, table: usize, index: u8) {
        let mut coordinates = Coordinates::default();
        for (number, candidate) in (0..).zip(&COMB[table * IN_TABLE..][..IN_TABLE]) {
            // All ones when it is the one: less one, a byte of 0 reaches into the sign.
            // What it is nobody knows, for compilers make branches of what can only be two things.
            let mask = black_box(((i32::from(index ^ number) - 1) >> 31) as u32);
            let words = coordinates.as_flattened_mut().iter_mut();
            words.zip(candidate.as_flattened()).for_each(|(word, candidate)| *word |= candidate & mask);
        }
        *entry = from(&coordinates);
    }

    pub(super) fn read_odd_multiple(entry: &mut Entry, number: u8) {
        *entry = from(&ODD_MULTIPLES[usize::from(number)]);
    }

    fn from(coordinates: &Coordinates) -> Entry {
        let [sum, difference, product] = coordinates.map(Element::from_words);
        Entry { sum, difference, product }
    }
}
