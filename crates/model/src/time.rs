//! Points in time.

use core::fmt;

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Microseconds because that is what Parquet stores without loss and what a SenML time in seconds as a double
/// still resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS_PER_SECOND: i64 = 1_000_000;

/// [`Timestamp::split`] bit by bit. Chips divide nothing else of 64 bits, and a division takes a kilobyte of their flash.
#[cfg(any(target_os = "none", test))]
const fn split_by_bits(micros: i64) -> (i64, i64) {
    let (mut seconds, mut rest) = (0, micros.unsigned_abs());
    let mut part = MICROS_PER_SECOND.unsigned_abs() << 43;
    while part >= MICROS_PER_SECOND.unsigned_abs() {
        seconds <<= 1;
        if rest >= part {
            rest -= part;
            seconds |= 1;
        }
        part >>= 1;
    }
    let rest = rest.cast_signed();
    match (micros < 0, rest) {
        (false, _) => (seconds, rest),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, MICROS_PER_SECOND - rest),
    }
}
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The start of the epoch.
    pub const EPOCH: Self = Self(0);

    /// `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// `seconds` seconds after the epoch; saturates at the ends of the range.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.split().0
    }

    /// Whole seconds since the epoch, rounded down, and the microseconds behind them.
    #[must_use]
    pub const fn split(self) -> (i64, i64) {
        #[cfg(not(target_os = "none"))]
        return (self.0.div_euclid(MICROS_PER_SECOND), self.0.rem_euclid(MICROS_PER_SECOND));
        #[cfg(target_os = "none")]
        return split_by_bits(self.0);
    }

    /// This time plus `micros`; saturates at the ends of the range.
    #[must_use]
    #[cfg_attr(target_os = "none", inline(never))]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this time; negative when `earlier` is later.
    #[must_use]
    #[cfg_attr(target_os = "none", inline(never))]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses `YYYY-MM-DDThh:mm:ss[.ffffff]Z` or with an offset `+hh:mm`: RFC 3339, §5.6. A space may stand
    /// for the `T`; without a zone the time is UTC.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        let num = |from: usize, len: usize| -> Option<i64> {
            let digits = b.get(from..from.checked_add(len)?)?;
            digits.iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
        };
        let is = |at: usize, want: &[u8]| b.get(at).is_some_and(|c| want.contains(c));
        let (year, month, day) = (num(0, 4)?, num(5, 2)?, num(8, 2)?);
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (hour, minute, second) = (num(11, 2)?, num(14, 2)?, num(17, 2)?);
        let in_range = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !in_range {
            return None;
        }
        let mut at = 19;
        let mut micros = 0;
        if is(at, b".") {
            at += 1;
            let start = at;
            let mut scale = 100_000;
            while let Some(d) = b.get(at).filter(|d| d.is_ascii_digit()) {
                micros += i64::from(d - b'0') * scale;
                scale /= 10;
                at += 1;
            }
            if at == start {
                return None;
            }
        }
        let offset_seconds = match b.get(at..)? {
            [] | [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (h, m) = (num(at + 1, 2)?, num(at + 4, 2)?);
                if h > 23 || m > 59 {
                    return None;
                }
                let s = h * 3600 + m * 60;
                if *sign == b'-' { -s } else { s }
            }
            _ => return None,
        };
        let days = days_from_civil(year, month, day);
        let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset_seconds;
        Some(Self(seconds * MICROS_PER_SECOND + micros))
    }
}

/// RFC 3339 in UTC, with as many fraction digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = self.split();
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")?;
        if micros % 1000 != 0 {
            write!(f, ".{micros:06}")?;
        } else if micros != 0 {
            write!(f, ".{:03}", micros / 1000)?;
        }
        f.write_str("Z")
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in 400-year eras that start on
/// 1 March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[track_caller]
    fn check(text: &str, micros: i64, shown: &str) {
        let got = Timestamp::parse_rfc3339(text);
        assert_eq!(got, Some(Timestamp::from_micros(micros)), "{text}");
        assert_eq!(Timestamp::from_micros(micros).to_string(), shown, "{text}");
    }

    #[test]
    fn chips_split_times_as_hosts_do() {
        for seconds in [0, 1, 59, 1_800_000_000, i64::MAX / MICROS_PER_SECOND - 1] {
            for micros in [0, 1, 999_999] {
                for time in [seconds * MICROS_PER_SECOND + micros, -seconds * MICROS_PER_SECOND - micros] {
                    assert_eq!(split_by_bits(time), Timestamp::from_micros(time).split(), "{time}");
                }
            }
        }
        for time in [i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(split_by_bits(time), Timestamp::from_micros(time).split(), "{time}");
        }
    }

    #[test]
    fn rfc3339_texts_become_microseconds_and_back() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z");
        check("2015-02-04 17:51:59", 1_423_072_319_000_000, "2015-02-04T17:51:59Z");
        check("2000-02-29T12:00:00+01:00", 951_822_000_000_000, "2000-02-29T11:00:00Z");
        check("1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59.999999Z");
        check("2026-11-22T21:34:46.120Z", 1_795_383_286_120_000, "2026-11-22T21:34:46.120Z");
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in [
            "",
            "2015",
            "2015-13-01T00:00:00Z",
            "2015-02-29T00:00:00Z",
            "2015-02-04T24:00:00Z",
            "2015-02-04T17:51:59.Z",
            "2015-02-04T17:51:59+1:00",
            "2015-02-04T17:51:59Zx",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "every day takes too long")]
    fn every_day_of_eight_centuries_comes_back() {
        let first = days_from_civil(1600, 1, 1);
        for days in first..days_from_civil(2400, 1, 1) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }
}
