//! Scalars as odd digits with many zeros between them.

/// The non-adjacent form: each digit is 0, or odd and below 2^(width - 1) either way, with zeros behind it. There is room for
/// 8 `BYTES` of them, of which at most `MOST` are not 0. The last digit may carry, so that there is one more than the number
/// has bits.
pub(super) struct Digits<const BYTES: usize, const MOST: usize> {
    /// A bit for each digit: whether it is not 0.
    places: [u8; BYTES],
    /// Those that are not, the lowest first.
    digits: [i8; MOST],
    /// How many of them were not taken yet.
    left: usize,
}

impl<const BYTES: usize, const MOST: usize> Digits<BYTES, MOST> {
    #[inline(never)]
    pub(super) fn new(number: &[u8], width: usize) -> Self {
        let mut new = Self { places: [0; BYTES], digits: [0; MOST], left: 0 };
        let mut carry = 0;
        let mut position = 0;
        while position < 8 * BYTES {
            let bit = bit(number, position);
            if bit == carry {
                // Even: a zero, and the carry goes on.
                position += 1;
                continue;
            }
            let low = (0..width).map(|k| self::bit(number, position + k) << k).sum::<u8>() + carry;
            carry = low >> (width - 1);
            new.places[position / 8] |= 1 << (position % 8);
            new.digits[new.left] = (i16::from(low) - (i16::from(carry) << width)) as i8;
            new.left += 1;
            position += width;
        }
        new
    }

    /// The digit of this place. They are to be taken from the highest on.
    pub(super) fn take(&mut self, position: usize) -> i8 {
        if bit(&self.places, position) == 0 {
            return 0;
        }
        self.left -= 1;
        self.digits[self.left]
    }

    /// From here on there are zeros only.
    pub(super) fn top(&self) -> usize {
        (0..8 * BYTES).rev().find(|position| bit(&self.places, *position) == 1).map_or(0, |last| last + 1)
    }
}

fn bit(number: &[u8], position: usize) -> u8 {
    number.get(position / 8).map_or(0, |byte| byte >> (position % 8) & 1)
}
