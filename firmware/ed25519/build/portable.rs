//! Arithmetic modulo 2^256 - 38, as simple as it can be.

pub(crate) type Element = [u8; 32];

pub(crate) fn add(a: &Element, b: &Element) -> Element {
    fold(a.iter().zip(b).map(|(a, b)| i32::from(*a) + i32::from(*b)))
}

/// The modulus is added first, so that nothing is negative at the end.
pub(crate) fn subtract(a: &Element, b: &Element) -> Element {
    let modulus = [218].into_iter().chain([255; 31]);
    fold(a.iter().zip(b).zip(modulus).map(|((a, b), m)| m + i32::from(*a) - i32::from(*b)))
}

pub(crate) fn multiply(a: &Element, b: &Element) -> Element {
    let mut columns = [0; 64];
    for (i, a) in a.iter().enumerate() {
        for (column, b) in columns[i..].iter_mut().zip(b) {
            *column += i32::from(*a) * i32::from(*b);
        }
    }
    let (low, high) = columns.split_at(32);
    // A column holds up to 32 products, and 38 times that fits.
    fold(low.iter().zip(high).map(|(low, high)| low + 38 * high))
}

/// Carries through the columns; what goes over at the top comes back 38 times, until nothing does.
fn fold(columns: impl Iterator<Item = i32>) -> Element {
    let mut element = [0; 32];
    let mut carry = 0;
    for (byte, column) in element.iter_mut().zip(columns) {
        carry += column;
        *byte = carry as u8;
        carry >>= 8;
    }
    for _ in 0..3 {
        carry *= 38;
        for byte in &mut element {
            carry += i32::from(*byte);
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    element
}
