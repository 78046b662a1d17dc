//! Our data files: lines of comma-separated fields under a heading, and numbers in them.
//!
//! A line that cannot be read has no object; tests hold that there is none such.

/// A decimal factor as it is published, so that a value is rounded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factor {
    digits: i64,
    divisor: i64,
}

impl Factor {
    /// From digits with at most one point.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, divisor: 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)? })
    }

    /// `number` by the factor. Numbers of up to 48 bits come out as the nearest double.
    pub(crate) fn of(self, number: i64) -> f64 {
        double(number.saturating_mul(self.digits)) / double(self.divisor)
    }
}

/// The nearest double.
#[expect(clippy::cast_precision_loss, reason = "the nearest double is what is wanted")]
pub(crate) fn double(number: i64) -> f64 {
    number as f64
}

/// The lines under the heading, each as an iterator of its fields, which gives empty ones behind the last.
pub(crate) fn lines(file: &'static str) -> impl Iterator<Item = impl Iterator<Item = &'static str>> {
    file.lines().skip(1).map(|line| line.split(',').chain(std::iter::repeat("")))
}

/// An unsigned number of up to eight bytes, least significant first.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<i64> {
    let all = bytes.iter().rev().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)));
    i64::try_from(all?).ok()
}

/// A signed number of up to eight bytes in two's complement, least significant first.
pub(crate) fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

/// A finite float of four bytes, as the shortest decimal that stands for it; what was 26.1 is 26.1.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    let float = f32::from_le_bytes(bytes.try_into().ok()?);
    float.is_finite().then(|| float.to_string().parse().ok()).flatten()
}
