//! Arithmetic modulo 2^256 - 38 without assembly: what the kernels for AVR have to agree with. The build script uses it.
//! No branch and no address depends on a value.

type Element = [u8; 32];

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

/// 121665 a + b.
pub(crate) fn multiply_and_add_into(result: &mut Element, a: &Element, b: &Element) {
    *result = fold(a.iter().zip(b).map(|(a, b)| 121_665 * i32::from(*a) + i32::from(*b)));
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

/// The one representative below 2^255 - 19.
pub(crate) fn canonical(a: &Element) -> Element {
    let mut value = *a;
    for _ in 0..2 {
        let over = value[31] >> 7;
        value[31] &= 0x7f;
        add_small(&mut value, 19 * over);
    }
    // It is the prime or more when 19 more reach 2^255. Not by choosing one of two arrays: compilers choose the address.
    let mut more = value;
    add_small(&mut more, 19);
    add_small(&mut value, 19 * (more[31] >> 7));
    value[31] &= 0x7f;
    value
}

fn add_small(value: &mut Element, small: u8) {
    let mut carry = u16::from(small);
    for byte in value {
        carry += u16::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
    }
}

pub(crate) fn square(a: &mut Element) {
    *a = multiply(a, a);
}

pub(crate) fn add_into(result: &mut Element, a: &Element, b: &Element) {
    *result = add(a, b);
}

pub(crate) fn subtract_into(result: &mut Element, a: &Element, b: &Element) {
    *result = subtract(a, b);
}

pub(crate) fn multiply_into(result: &mut Element, a: &Element, b: &Element) {
    *result = multiply(a, b);
}

pub(crate) fn add_here(a: &mut Element, b: &Element) {
    *a = add(a, b);
}

pub(crate) fn double(a: &mut Element) {
    *a = add(a, a);
}

pub(crate) fn multiply_here(a: &mut Element, b: &Element) {
    *a = multiply(a, b);
}

pub(crate) fn swap_if(a: &mut Element, b: &mut Element, mask: u8) {
    for (a, b) in a.iter_mut().zip(b) {
        let difference = (*a ^ *b) & mask;
        *a ^= difference;
        *b ^= difference;
    }
}

/// The whole product of two numbers of 16 bytes.
pub(crate) fn multiply_16(result: &mut Element, a: &[u8; 16], b: &[u8; 16]) {
    let mut columns = [0; 32];
    for (i, a) in a.iter().enumerate() {
        for (column, b) in columns[i..].iter_mut().zip(b) {
            *column += i32::from(*a) * i32::from(*b);
        }
    }
    *result = fold(columns.into_iter());
}
