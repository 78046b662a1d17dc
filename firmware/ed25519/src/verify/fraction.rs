//! A scalar as a fraction of two shorter ones.

use core::mem::swap;

use crate::scalar::{COFACTOR_TIMES_ORDER, Scalar};

/// A scalar k is numerator / denominator modulo 8 L, which every point's order divides. The denominator is odd and below
/// L, so that it has no factor in common with 8 L: an equation between points holds when it holds times the denominator,
/// and only then, whatever part of small order the points have.
pub(super) struct Fraction {
    /// Of about 128 bits. For few scalars there is none that short, and it may have as many as 8 L.
    pub(super) numerator: Scalar,
    pub(super) is_negative: bool,
    /// Below 2^128.
    pub(super) denominator: Scalar,
}

/// A number that is `times` k modulo 8 L, but for the sign.
struct Multiple {
    number: [u8; 32],
    times: [u8; 16],
}

impl Multiple {
    const fn new(number: [u8; 32], times: u8) -> Self {
        let mut multiple = Self { number, times: [0; 16] };
        multiple.times[0] = times;
        multiple
    }
}

impl Fraction {
    /// By Euclid's algorithm for 8 L and k, half of the way. The two multiples have times of opposite signs all along,
    /// and `larger.number smaller.times + smaller.number larger.times` is 8 L: so when the smaller number is the first
    /// below 2^128, its times are, too. They have no factor in common, so one of them is odd.
    #[inline(never)]
    pub(super) fn of(scalar: &Scalar) -> Self {
        let (mut larger, mut smaller) = (Multiple::new(COFACTOR_TIMES_ORDER, 0), Multiple::new(scalar.0, 1));
        let (mut larger, mut smaller) = (&mut larger, &mut smaller);
        let mut is_negative = false;
        while smaller.number[16..] != [0; 16] {
            reduce(larger, smaller);
            if larger.number.iter().rev().lt(smaller.number.iter().rev()) {
                swap(&mut larger, &mut smaller);
                is_negative = !is_negative;
            }
        }
        if smaller.times[0] & 1 == 0 {
            swap(&mut larger, &mut smaller);
            is_negative = !is_negative;
        }
        let mut denominator = Scalar::ZERO;
        denominator.0[..16].copy_from_slice(&smaller.times);
        Self { numerator: Scalar(smaller.number), is_negative, denominator }
    }
}

/// Takes the smaller one off the larger, times the greatest power of two that leaves something.
fn reduce(larger: &mut Multiple, smaller: &Multiple) {
    let mut shift = bits(&larger.number) - bits(&smaller.number);
    if subtract_shifted(&mut larger.number, &smaller.number, shift) {
        shift -= 1;
        add_shifted(&mut larger.number, &smaller.number, shift);
    }
    add_shifted(&mut larger.times, &smaller.times, shift);
}

fn bits(number: &[u8; 32]) -> usize {
    let last = number.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    8 * last + 8 - number[last].leading_zeros() as usize
}

/// Adds another number, shifted to the left.
#[inline(never)]
fn add_shifted(sum: &mut [u8], addend: &[u8], shift: usize) {
    let times = 1 << (shift % 8);
    let mut carry = 0_u16;
    for (byte, addend) in sum[shift / 8..].iter_mut().zip(addend) {
        carry += u16::from(*addend) * times + u16::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
    }
}

/// Takes another number off, shifted to the left. Whether what is left is negative.
#[inline(never)]
fn subtract_shifted(difference: &mut [u8], subtrahend: &[u8], shift: usize) -> bool {
    let times = 1 << (shift % 8);
    let mut carry = 0_u16;
    for (byte, subtrahend) in difference[shift / 8..].iter_mut().zip(subtrahend) {
        carry += u16::from(*subtrahend) * times;
        let borrows = *byte < carry as u8;
        *byte = byte.wrapping_sub(carry as u8);
        carry = (carry >> 8) + u16::from(borrows);
    }
    carry != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(scalar: &Scalar) {
        let Fraction { numerator, is_negative, denominator } = Fraction::of(scalar);
        assert_eq!((denominator.0[0] & 1, &denominator.0[16..]), (1, &[0; 16][..]));
        // Modulo L and modulo 8, which have no factor in common.
        let mut product = Scalar::product_and_sum(scalar, &denominator, &Scalar::ZERO);
        let mut of_eight = scalar.0[0].wrapping_mul(denominator.0[0]);
        if is_negative {
            product = Scalar::product_and_sum(&product, &minus_one(), &Scalar::ZERO);
            of_eight = of_eight.wrapping_neg();
        }
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&numerator.0);
        assert_eq!(product.0, Scalar::reduced(&wide).0);
        assert_eq!(of_eight & 7, numerator.0[0] & 7);
    }

    fn minus_one() -> Scalar {
        let mut one = [0; 64];
        one[0] = 1;
        let mut order = COFACTOR_TIMES_ORDER;
        subtract_shifted(&mut order, &Scalar::reduced(&one).0, 3);
        let mut eighth = [0; 32];
        for k in 0..32 {
            eighth[k] = order[k] >> 3 | order.get(k + 1).map_or(0, |above| above << 5);
        }
        Scalar(eighth)
    }

    #[test]
    fn the_least_and_the_greatest_scalars_are_fractions() {
        for number in 0..=17 {
            let mut scalar = [0; 32];
            scalar[0] = number;
            check(&Scalar(scalar));
            check(&Scalar::product_and_sum(&Scalar(scalar), &minus_one(), &Scalar::ZERO));
        }
    }

    /// As many bits as can be are zeros or ones, so that some quotients are large.
    #[test]
    fn scalars_near_powers_of_two_are_fractions() {
        for shift in 0..252 {
            for addend in [0_u8, 1, 0xff] {
                let mut wide = [0; 64];
                wide[shift / 8] = 1 << (shift % 8);
                wide[0] ^= addend;
                check(&Scalar::reduced(&wide));
            }
        }
    }

    proptest! {
        #[test]
        fn every_scalar_is_a_fraction(low: [u8; 32], high: [u8; 32]) {
            let wide = core::array::from_fn(|k| if k < 32 { low[k] } else { high[k - 32] });
            check(&Scalar::reduced(&wide));
        }
    }
}
