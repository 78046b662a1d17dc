//! The shortest form of a double, by its bits: on a chip without a floating-point unit arithmetic takes kilobytes of flash.

/// Bits of a double behind its exponent.
const FRACTION_BITS: u32 = 52;
const FRACTION: u64 = (1 << FRACTION_BITS) - 1;
/// A double is its mantissa, as a whole number, times two to the power of its exponent field less this.
const BIAS: i32 = 1075;
/// The same of a single.
const SINGLE_BIAS: i32 = 150;
const SINGLE_FRACTION_BITS: u32 = 23;
const SINGLE_FRACTION: u32 = (1 << SINGLE_FRACTION_BITS) - 1;
/// Bits of a single's mantissa.
const SINGLE_BITS: i32 = 24;
/// Bits of a double's mantissa, and of whole numbers that are all exact.
const EXACT_BITS: i32 = 53;

/// The shortest of integer, single and double that gives back the same number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shortest {
    /// Below 2^53 either way. Minus zero is none, but a single.
    Whole(i64),
    /// What a single has room for.
    Single(f32),
    /// All others.
    Double(f64),
}

impl Shortest {
    /// The form of a number; `None` when it is not finite.
    #[must_use]
    pub const fn of(number: f64) -> Option<Self> {
        let bits = number.to_bits();
        let (is_negative, field) = (bits >> 63 == 1, (bits >> FRACTION_BITS & 0x7ff) as i32);
        let (mut mantissa, mut exponent) = match field {
            0x7ff => return None,
            0 => (bits & FRACTION, 1 - BIAS),
            _ => (bits & FRACTION | 1 << FRACTION_BITS, field - BIAS),
        };
        if mantissa == 0 {
            return Some(if is_negative { Self::Single(-0.0) } else { Self::Whole(0) });
        }
        while mantissa & 1 == 0 {
            (mantissa, exponent) = (mantissa >> 1, exponent + 1);
        }
        let len = bits_of(mantissa);
        // The number has its highest bit just below this power of two.
        let top = len + exponent;
        Some(if exponent >= 0 && top <= EXACT_BITS {
            let whole = (mantissa << exponent).cast_signed();
            Self::Whole(if is_negative { -whole } else { whole })
        } else if len <= SINGLE_BITS && exponent > -SINGLE_BIAS && top <= 128 {
            #[expect(clippy::cast_possible_truncation, reason = "as long as a single's")]
            let mantissa = mantissa as u32;
            Self::Single(single(is_negative, mantissa, exponent, top))
        } else {
            Self::Double(number)
        })
    }

    /// The number; `None` for a single that is not finite, and for a whole number that has no such form.
    #[must_use]
    pub const fn number(self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(number),
            Self::Whole(whole) if whole.unsigned_abs() >> EXACT_BITS != 0 => None,
            Self::Whole(whole) => Some(double(whole < 0, whole.unsigned_abs(), 0)),
            Self::Single(single) => {
                let bits = single.to_bits();
                let (is_negative, fraction) = (bits >> 31 == 1, (bits & SINGLE_FRACTION) as u64);
                let (mantissa, exponent) = match (bits >> SINGLE_FRACTION_BITS & 0xff) as i32 {
                    0xff => return None,
                    0 => (fraction, 1 - SINGLE_BIAS),
                    field => (fraction | 1 << SINGLE_FRACTION_BITS, field - SINGLE_BIAS),
                };
                Some(double(is_negative, mantissa, exponent))
            }
        }
    }
}

/// A whole number as a double.
pub(crate) const fn whole(number: u32) -> f64 {
    double(false, number as u64, 0)
}

/// An odd mantissa times a power of two, as a single, which has room for it.
const fn single(is_negative: bool, mantissa: u32, exponent: i32, top: i32) -> f32 {
    let field = top + SINGLE_BIAS - SINGLE_BITS;
    let (field, shift) =
        if field > 0 { (field, SINGLE_BITS - (top - exponent)) } else { (0, exponent + SINGLE_BIAS - 1) };
    let magnitude = field.cast_unsigned() << SINGLE_FRACTION_BITS | mantissa << shift & SINGLE_FRACTION;
    f32::from_bits((is_negative as u32) << 31 | magnitude)
}

/// A mantissa of at most 53 bits times a power of two that leaves the double a normal one.
const fn double(is_negative: bool, mut mantissa: u64, exponent: i32) -> f64 {
    let sign = (is_negative as u64) << 63;
    if mantissa == 0 {
        return f64::from_bits(sign);
    }
    let mut field = exponent + BIAS;
    while mantissa >> FRACTION_BITS == 0 {
        (mantissa, field) = (mantissa << 1, field - 1);
    }
    f64::from_bits(sign | (field.cast_unsigned() as u64) << FRACTION_BITS | mantissa & FRACTION)
}

/// By single steps, as all shifts here are on a chip in any case.
const fn bits_of(mut number: u64) -> i32 {
    let mut bits = 0;
    while number != 0 {
        (number, bits) = (number >> 1, bits + 1);
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same with arithmetic.
    #[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "what comes back is compared")]
    fn by_casts(number: f64) -> Option<Shortest> {
        let (whole, single) = (number as i64, number as f32);
        let is_minus_zero = number == 0.0 && number.is_sign_negative();
        if !number.is_finite() {
            None
        } else if number.abs() < 9_007_199_254_740_992.0 && whole as f64 == number && !is_minus_zero {
            Some(Shortest::Whole(whole))
        } else if f64::from(single) == number {
            Some(Shortest::Single(single))
        } else {
            Some(Shortest::Double(number))
        }
    }

    fn check(number: f64) {
        let shortest = Shortest::of(number);
        assert_eq!(shortest, by_casts(number), "{number:e}");
        if let Some(shortest) = shortest {
            assert_eq!(shortest.number().map(f64::to_bits), Some(number.to_bits()));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "32 000 numbers take too long")]
    fn numbers_at_the_ends_of_each_form_come_back() {
        let powers = (0..2047_u64).map(|exponent| exponent << FRACTION_BITS);
        for power in powers {
            // With the lowest bits that each form has, and one beyond.
            for fraction in
                [0, 1, 1 << 28, 1 << 29, 1 << 51, FRACTION, FRACTION ^ 1, FRACTION << 29 & FRACTION]
            {
                check(f64::from_bits(power | fraction));
                check(-f64::from_bits(power | fraction));
            }
        }
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].into_iter().for_each(check);
    }

    #[test]
    fn what_is_not_finite_or_not_exact_is_no_number() {
        for single in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(Shortest::Single(single).number().is_none());
        }
        for whole in [i64::MIN, -(1 << 53), 1 << 53, i64::MAX] {
            assert!(Shortest::Whole(whole).number().is_none());
        }
    }

    proptest! {
        #[test]
        fn every_double_has_the_form_that_arithmetic_gives_it(bits: u64) {
            check(f64::from_bits(bits));
        }

        #[test]
        fn every_single_does(bits: u32) {
            check(f64::from(f32::from_bits(bits)));
        }

        #[test]
        fn every_whole_number_does(whole in -(1_i64 << 54)..(1 << 54)) {
            check(whole as f64);
        }
    }
}
