//! Times and lengths of time as people type them.

use std::time::Duration;

use thingward_model::Timestamp;

/// A length of time with its unit: `500ms`, `10s`, `5m`, `2h`, `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write e.g. 10s, 5m, 2h or 30d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    };
    // What is longer than a thousand years is a slip of the finger.
    duration.filter(|d| d.as_secs() < 1_000 * 366 * 86_400).ok_or_else(wrong)
}

/// A number of bytes with its unit: `500B`, `64KiB`, `64MiB`, `2GiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write e.g. 256KiB, 64MiB or 2GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A point in time: RFC 3339, or how long ago.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        return Ok(time);
    }
    let ago = duration(text).map_err(|_| {
        format!("`{text}` is not a time; write e.g. 2026-01-31T12:00:00Z, or 1h for an hour ago")
    })?;
    Ok(now.plus_micros(-i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_sizes_and_times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("0B"), Ok(0));
        let now = Timestamp::from_seconds(1_800_000_000);
        assert_eq!(moment("1h", now), Ok(Timestamp::from_seconds(1_800_000_000 - 3600)));
        assert_eq!(moment("1970-01-01T00:00:01Z", now), Ok(Timestamp::from_seconds(1)));
    }

    #[test]
    fn what_has_no_unit_or_no_end_is_refused() {
        for text in ["", "5", "h", "5 m", "-5m", "99999999999999999999d", "366000001d", "5M"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "5", "MiB", "5MB", "17179869184GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(moment("yesterday", Timestamp::EPOCH).is_err());
    }
}
