//! Scalars as odd digits with many zeros between them.

use crate::scalar::Scalar;

/// The non-adjacent form: each digit is 0, or odd and below 2^(width - 1) either way, with zeros behind it.
pub(super) struct Digits([i8; Self::COUNT]);

impl Digits {
    /// A scalar has 253 bits, and the last digit may carry once more.
    pub(super) const COUNT: usize = 254;

    #[inline(never)]
    pub(super) fn new(scalar: &Scalar, width: usize) -> Self {
        let mut digits = [0; Self::COUNT];
        let mut carry = 0;
        let mut position = 0;
        while position < Self::COUNT {
            let bit = bit(scalar, position);
            if bit == carry {
                // Even: a zero, and the carry goes on.
                position += 1;
                continue;
            }
            let low = (0..width).map(|k| self::bit(scalar, position + k) << k).sum::<u8>() + carry;
            carry = low >> (width - 1);
            digits[position] = (i16::from(low) - (i16::from(carry) << width)) as i8;
            position += width;
        }
        Self(digits)
    }

    pub(super) fn at(&self, position: usize) -> i8 {
        self.0[position]
    }
}

fn bit(scalar: &Scalar, position: usize) -> u8 {
    scalar.0.get(position / 8).map_or(0, |byte| byte >> (position % 8) & 1)
}
