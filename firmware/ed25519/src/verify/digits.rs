//! Scalars as odd digits with many zeros between them.

/// The non-adjacent form: each digit is 0, or odd and below 2^(width - 1) either way, with zeros behind it. The last digit
/// may carry, so that there is one more than the number has bits.
pub(super) struct Digits<const COUNT: usize>([i8; COUNT]);

impl<const COUNT: usize> Digits<COUNT> {
    #[inline(never)]
    pub(super) fn new(number: &[u8], width: usize) -> Self {
        let mut digits = [0; COUNT];
        let mut carry = 0;
        let mut position = 0;
        while position < COUNT {
            let bit = bit(number, position);
            if bit == carry {
                // Even: a zero, and the carry goes on.
                position += 1;
                continue;
            }
            let low = (0..width).map(|k| self::bit(number, position + k) << k).sum::<u8>() + carry;
            carry = low >> (width - 1);
            digits[position] = (i16::from(low) - (i16::from(carry) << width)) as i8;
            position += width;
        }
        Self(digits)
    }

    pub(super) fn at(&self, position: usize) -> i8 {
        self.0.get(position).copied().unwrap_or(0)
    }

    /// From here on there are zeros only.
    pub(super) fn top(&self) -> usize {
        self.0.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1)
    }
}

fn bit(number: &[u8], position: usize) -> u8 {
    number.get(position / 8).map_or(0, |byte| byte >> (position % 8) & 1)
}
