//! Integers modulo L = 2^252 + C, the order of the base point. RFC 8032 §5.1. In constant time.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::comb::SHAPE;
use crate::field::multiply_16;

/// Below L. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Scalar(pub(crate) [u8; 32]);

/// L - 2^252.
const C: [u8; 16] =
    [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];

/// 8 L, which is 2^255 + 8 C.
pub(crate) const COFACTOR_TIMES_ORDER: [u8; 32] = {
    let mut product = [0; 32];
    let mut k = 0;
    while k < C.len() {
        product[k] |= C[k] << 3;
        product[k + 1] = C[k] >> 5;
        k += 1;
    }
    product[31] = 0x80;
    product
};

/// 2^n - 1 modulo L, for as many digits n as the comb takes: 2^252 is -C.
const ALL_ONES: [u8; 32] = {
    let mut number = [0; 32];
    let (mut carry, mut k) = (-1, 0);
    while k < number.len() {
        let (c, top) = if k < C.len() { (C[k] as i32, 0) } else { (0, if k == 31 { 0x10 } else { 0 }) };
        carry += c - (c << (SHAPE.digits() - 252)) + top;
        number[k] = carry as u8;
        carry >>= 8;
        k += 1;
    }
    number
};

/// A number that may be negative, in two's complement.
type Wide = [u8; 33];

impl Scalar {
    pub(crate) const ZERO: Self = Self([0; 32]);

    /// From any number of 64 bytes, little endian.
    #[inline(never)]
    pub(crate) fn reduced(number: &[u8; 64]) -> Self {
        // 2^256 is -16 C, so everything above 32 bytes comes down as a product with C, three times.
        let (low, high) = number.split_at(32);
        let mut rest = Zeroizing::new([0; 33]);
        rest[..32].copy_from_slice(low);
        let mut first = Zeroizing::new([0; 50]);
        times_16_c(first.as_mut(), high);
        let (low, high) = first.split_at(32);
        subtract_from(rest.as_mut(), low);
        let mut second = Zeroizing::new([0; 34]);
        times_16_c(second.as_mut(), high);
        let (low, high) = second.split_at(32);
        add_to(rest.as_mut(), low);
        let mut third = Zeroizing::new([0; 20]);
        times_16_c(third.as_mut(), high);
        subtract_from(rest.as_mut(), third.as_ref());
        for _ in 0..2 {
            // What is above 2^252, with its sign, times L.
            let times = (rest[32] << 4 | rest[31] >> 4) as i8;
            add_multiple_of_order(&mut rest, times.wrapping_neg());
        }
        Self::brought_into_range(rest)
    }

    /// From a number less than L away from the range.
    fn brought_into_range(mut number: Zeroizing<Wide>) -> Self {
        let negative = number[32] >> 7;
        add_multiple_of_order(&mut number, negative as i8);
        add_multiple_of_order(&mut number, -1);
        let negative = number[32] >> 7;
        add_multiple_of_order(&mut number, negative as i8);
        let mut scalar = Self([0; 32]);
        scalar.0.copy_from_slice(&number[..32]);
        scalar
    }

    /// `a b + c`.
    #[inline(never)]
    pub(crate) fn product_and_sum(a: &Self, b: &Self, c: &Self) -> Self {
        let mut sum = Zeroizing::new([0; 64]);
        for i in [0, 16] {
            for j in [0, 16] {
                let mut product = Zeroizing::new([0; 32]);
                multiply_16(&mut product, &part(&a.0, i), &part(&b.0, j));
                add_to(&mut sum[i + j..], product.as_ref());
            }
        }
        add_to(sum.as_mut(), &c.0);
        Self::reduced(&sum)
    }

    /// Bits that stand for digits of plus one, or minus one where they are 0: those of (k + 2^n - 1) / 2, for n digits.
    #[inline(never)]
    pub(crate) fn signed_digits(&self) -> Zeroizing<[u8; 33]> {
        let mut number = Zeroizing::new([0; 33]);
        number[..32].copy_from_slice(&self.0);
        add_to(number.as_mut(), &ALL_ONES);
        let mut number = Self::brought_into_range(number);
        let mut digits = Zeroizing::new([0; 33]);
        digits[..32].copy_from_slice(&number.0);
        number.zeroize();
        // Half of it modulo L: L is odd, so it is added to odd numbers.
        let odd = digits[0] & 1;
        add_multiple_of_order(&mut digits, odd as i8);
        let mut above = 0;
        for byte in digits.iter_mut().rev() {
            let whole = *byte;
            *byte = above << 7 | whole >> 1;
            above = whole;
        }
        digits
    }

    /// Reads 32 bytes; `None` when they are L or more. They are public.
    pub(crate) fn from_canonical(bytes: &[u8; 32]) -> Option<Self> {
        let mut number = [0; 33];
        number[..32].copy_from_slice(bytes);
        add_multiple_of_order(&mut number, -1);
        (number[32] >> 7 == 1).then_some(Self(*bytes))
    }
}

fn part(bytes: &[u8; 32], from: usize) -> [u8; 16] {
    core::array::from_fn(|k| bytes[from + k])
}

/// Adds at the low end, and carries through.
#[inline(never)]
fn add_to(sum: &mut [u8], addend: &[u8]) {
    let mut carry = 0_u16;
    for (k, byte) in sum.iter_mut().enumerate() {
        carry += u16::from(*byte) + u16::from(addend.get(k).copied().unwrap_or(0));
        *byte = carry as u8;
        carry >>= 8;
    }
}

#[inline(never)]
fn subtract_from(difference: &mut [u8], subtrahend: &[u8]) {
    let mut carry = 0_i16;
    for (k, byte) in difference.iter_mut().enumerate() {
        carry += i16::from(*byte) - i16::from(subtrahend.get(k).copied().unwrap_or(0));
        *byte = carry as u8;
        carry >>= 8;
    }
}

/// Adds `times` L.
#[inline(never)]
fn add_multiple_of_order(number: &mut Wide, times: i8) {
    let mut carry = 0_i16;
    for (k, byte) in number.iter_mut().enumerate() {
        let order = C.get(k).copied().unwrap_or(if k == 31 { 0x10 } else { 0 });
        carry += i16::from(*byte) + i16::from(order) * i16::from(times);
        *byte = carry as u8;
        carry >>= 8;
    }
}

/// 16 C times a number, in blocks of 16 bytes.
#[inline(never)]
fn times_16_c(result: &mut [u8], number: &[u8]) {
    for (k, block) in number.chunks(16).enumerate() {
        let mut whole = Zeroizing::new([0; 16]);
        whole[..block.len()].copy_from_slice(block);
        let mut product = Zeroizing::new([0; 32]);
        multiply_16(&mut product, &whole, &C);
        add_to(&mut result[16 * k..], product.as_ref());
    }
    let mut below = 0;
    for byte in result {
        let whole = *byte;
        *byte = whole << 4 | below >> 4;
        below = whole;
    }
}
