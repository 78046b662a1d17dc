//! Readings as SenML packs in CBOR: RFC 8428.
//!
//! A pack inside a record belongs to one stream of one device, which the chain names; a SenML name in it is the
//! field within that stream and is absent when the stream has a single value. Packs of foreign clients may use
//! full names; the part behind the last `/` or `:` is the field.

use core::fmt;

use minicbor::Decoder;
use minicbor::data::{Tag, Type};

use crate::cbor::{Full, Writer};
use crate::limits::{READINGS_PER_RECORD_MAX, UNIT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::name::{FieldName, NameError};
use crate::number::{self, Shortest};
use crate::time::Timestamp;

/// One value of one field at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Which of the stream's values; `None` when the stream has one.
    pub field: Option<FieldName>,
    /// Unit from the SenML units registry, for example `Cel`; empty when there is none.
    pub unit: &'a str,
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured.
    pub value: Value<'a>,
}

/// What a reading says. Numbers are doubles, as RFC 8428 §4.3 recommends for exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A finite number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Data(&'a [u8]),
}

impl From<u32> for Value<'_> {
    fn from(whole: u32) -> Self {
        Self::Number(number::whole(whole))
    }
}

/// Why a pack cannot be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SenmlError {
    /// The bytes are not the CBOR that SenML asks for.
    Malformed,
    /// The pack has no reading.
    Empty,
    /// The pack has more readings than a record may.
    TooManyReadings,
    /// The name's last part is not a field name.
    Name(NameError),
    /// The resolved name has more than 128 bytes.
    NameTooLong,
    /// A unit, text or data value is longer than the limit.
    TooLong,
    /// A number is infinite, not a number, or an integer that a double cannot hold.
    Number,
    /// A time is outside the range of a timestamp.
    Time,
    /// A record has no value, or more than one.
    Value,
    /// The pack uses sums, which streams do not have.
    Sum,
    /// The pack asks for a later version of SenML.
    Version,
    /// The output buffer is too small.
    BufferTooSmall,
}

impl fmt::Display for SenmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a SenML pack in CBOR",
            Self::Empty => "SenML pack has no readings",
            Self::TooManyReadings => "SenML pack has more than 64 readings",
            Self::Name(e) => return write!(f, "SenML name: {e}"),
            Self::NameTooLong => "SenML name is longer than 128 bytes",
            Self::TooLong => "SenML unit or value is too long",
            Self::Number => "SenML number is not finite or not exact as a double",
            Self::Time => "SenML time is out of range",
            Self::Value => "SenML record needs exactly one value",
            Self::Sum => "SenML sums are not supported",
            Self::Version => "SenML version is later than 10",
            Self::BufferTooSmall => "output buffer is too small for the SenML pack",
        })
    }
}

impl core::error::Error for SenmlError {}

impl From<Full> for SenmlError {
    fn from(_: Full) -> Self {
        Self::BufferTooSmall
    }
}

/// RFC 8428 §4.5.3: times below 2^28 seconds are relative to the time of receipt. Here they reach as far back, and no further.
const RELATIVE_TIME_LIMIT_SECONDS: f64 = 268_435_456.0;
/// RFC 8428 §4.4: the version that this code reads.
const VERSION: u64 = 10;
/// Integers beyond this are not all exact as doubles.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;
const FULL_NAME_BYTES_MAX: usize = 128;

/// CBOR labels: RFC 8428 §6, table 4.
mod label {
    pub(super) const BASE_VERSION: i64 = -1;
    pub(super) const BASE_NAME: i64 = -2;
    pub(super) const BASE_TIME: i64 = -3;
    pub(super) const BASE_UNIT: i64 = -4;
    pub(super) const BASE_VALUE: i64 = -5;
    pub(super) const BASE_SUM: i64 = -6;
    pub(super) const NAME: i64 = 0;
    pub(super) const UNIT: i64 = 1;
    pub(super) const VALUE: i64 = 2;
    pub(super) const TEXT: i64 = 3;
    pub(super) const BOOL: i64 = 4;
    pub(super) const SUM: i64 = 5;
    pub(super) const TIME: i64 = 6;
    pub(super) const DATA: i64 = 8;
}

/// Writes `readings` as one pack and returns its length in bytes. The first reading's time is the base time.
///
/// # Errors
///
/// [`SenmlError`] when a reading is outside the limits or `out` is too small; `out` then holds garbage.
#[inline(never)]
pub fn encode(readings: &[Reading<'_>], out: &mut [u8]) -> Result<usize, SenmlError> {
    let Some(first) = readings.first() else { return Err(SenmlError::Empty) };
    if readings.len() > READINGS_PER_RECORD_MAX {
        return Err(SenmlError::TooManyReadings);
    }
    let mut e = Writer::new(out);
    e.array(readings.len())?;
    for (i, reading) in readings.iter().enumerate() {
        let base = if i == 0 { None } else { Some(first.time) };
        encode_reading(&mut e, reading, base)?;
    }
    Ok(e.position())
}

#[inline(never)]
fn encode_reading(
    e: &mut Writer<'_>,
    reading: &Reading<'_>,
    base: Option<Timestamp>,
) -> Result<(), SenmlError> {
    if reading.unit.len() > UNIT_BYTES_MAX {
        return Err(SenmlError::TooLong);
    }
    let own_time = base != Some(reading.time);
    let entries = 1
        + usize::from(own_time)
        + usize::from(reading.field.is_some())
        + usize::from(!reading.unit.is_empty());
    e.map(entries)?;
    if own_time {
        let (key, micros) = match base {
            None => (label::BASE_TIME, reading.time.as_micros()),
            Some(base) => (label::TIME, reading.time.micros_since(base)),
        };
        e.int(key)?;
        encode_seconds(e, micros)?;
    }
    if let Some(field) = &reading.field {
        let name = field.as_bytes();
        e.int(label::NAME)?.str_len(name.len())?.raw(name)?;
    }
    if !reading.unit.is_empty() {
        e.int(label::UNIT)?.str(reading.unit)?;
    }
    match reading.value {
        Value::Number(n) => return encode_number(e.int(label::VALUE)?, n),
        Value::Bool(b) => e.int(label::BOOL)?.bool(b)?,
        Value::Text(t) if t.len() <= VALUE_BYTES_MAX => e.int(label::TEXT)?.str(t)?,
        Value::Data(d) if d.len() <= VALUE_BYTES_MAX => e.int(label::DATA)?.bytes(d)?,
        Value::Text(_) | Value::Data(_) => return Err(SenmlError::TooLong),
    };
    Ok(())
}

/// Seconds as an integer where they are whole, else as the decimal fraction of RFC 8949 §3.4.4, which is exact.
fn encode_seconds(e: &mut Writer<'_>, micros: i64) -> Result<(), SenmlError> {
    if let (seconds, 0) = Timestamp::from_micros(micros).split() {
        e.int(seconds)?;
    } else {
        e.tag(4)?.array(2)?.int(-6)?.int(micros)?;
    }
    Ok(())
}

/// The shortest form that gives back the same double, except that a negative zero stays a float.
#[inline(never)]
fn encode_number(e: &mut Writer<'_>, n: f64) -> Result<(), SenmlError> {
    match Shortest::of(n).ok_or(SenmlError::Number)? {
        Shortest::Whole(whole) => e.int(whole)?,
        Shortest::Single(single) => e.f32(single)?,
        Shortest::Double(double) => e.f64(double)?,
    };
    Ok(())
}

/// Reads a pack and hands each reading to `each`, in order. Times relative to receipt are resolved against `now`.
///
/// # Errors
///
/// [`SenmlError`] names the first problem; readings before it have been handed over.
pub fn decode<'a>(
    pack: &'a [u8],
    now: Timestamp,
    mut each: impl FnMut(Reading<'a>),
) -> Result<(), SenmlError> {
    let mut d = Decoder::new(pack);
    let count = d.array().ok().flatten().ok_or(SenmlError::Malformed)?;
    if count == 0 {
        return Err(SenmlError::Empty);
    }
    if count > READINGS_PER_RECORD_MAX as u64 {
        return Err(SenmlError::TooManyReadings);
    }
    let mut base = Base::default();
    for _ in 0..count {
        each(decode_reading(&mut d, &mut base, now)?);
    }
    if d.position() == pack.len() { Ok(()) } else { Err(SenmlError::Malformed) }
}

/// What earlier records of the pack set for later ones: RFC 8428 §4.1.
#[derive(Default)]
struct Base<'a> {
    name: &'a str,
    unit: &'a str,
    time: Seconds,
    value: Option<f64>,
}

/// A time in microseconds that may still be relative.
#[derive(Default, Clone, Copy)]
struct Seconds(f64, i64);

fn decode_reading<'a>(
    d: &mut Decoder<'a>,
    base: &mut Base<'a>,
    now: Timestamp,
) -> Result<Reading<'a>, SenmlError> {
    let malformed = |_| SenmlError::Malformed;
    let entries = d.map().map_err(malformed)?.ok_or(SenmlError::Malformed)?;
    let (mut name, mut unit, mut time) = ("", None, Seconds::default());
    let mut value: Option<Value<'a>> = None;
    let mut base_value_alone = false;
    for _ in 0..entries {
        if !matches!(
            d.datatype().map_err(malformed)?,
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64
        ) {
            // A text label is an extension: RFC 8428 §4.4 says to ignore it unless it ends in `_`.
            if d.str().map_err(malformed)?.ends_with('_') {
                return Err(SenmlError::Version);
            }
            d.skip().map_err(malformed)?;
            continue;
        }
        let found = match d.i64().map_err(malformed)? {
            label::BASE_VERSION => {
                if d.u64().map_err(malformed)? > VERSION {
                    return Err(SenmlError::Version);
                }
                continue;
            }
            label::BASE_NAME => {
                base.name = d.str().map_err(malformed)?;
                continue;
            }
            label::BASE_TIME => {
                base.time = decode_seconds(d)?;
                continue;
            }
            label::BASE_UNIT => {
                base.unit = d.str().map_err(malformed)?;
                continue;
            }
            label::BASE_VALUE => {
                base.value = Some(decode_number(d)?);
                base_value_alone = true;
                continue;
            }
            label::NAME => {
                name = d.str().map_err(malformed)?;
                continue;
            }
            label::UNIT => {
                unit = Some(d.str().map_err(malformed)?);
                continue;
            }
            label::TIME => {
                time = decode_seconds(d)?;
                continue;
            }
            label::VALUE => Value::Number(decode_number(d)?),
            label::TEXT => Value::Text(d.str().map_err(malformed)?),
            label::BOOL => Value::Bool(d.bool().map_err(malformed)?),
            label::DATA => Value::Data(d.bytes().map_err(malformed)?),
            label::SUM | label::BASE_SUM => return Err(SenmlError::Sum),
            _ => {
                d.skip().map_err(malformed)?;
                continue;
            }
        };
        if value.replace(found).is_some() {
            return Err(SenmlError::Value);
        }
    }
    let value = match (value, base.value) {
        (Some(Value::Number(v)), Some(b)) => Value::Number(v + b),
        (Some(v), _) => v,
        (None, Some(b)) if base_value_alone => Value::Number(b),
        (None, _) => return Err(SenmlError::Value),
    };
    check_value(value)?;
    let unit = unit.unwrap_or(base.unit);
    if unit.len() > UNIT_BYTES_MAX {
        return Err(SenmlError::TooLong);
    }
    Ok(Reading { field: field_of(base.name, name)?, unit, time: resolve(base.time, time, now)?, value })
}

fn check_value(value: Value<'_>) -> Result<(), SenmlError> {
    match value {
        Value::Number(n) if !n.is_finite() => Err(SenmlError::Number),
        Value::Text(t) if t.len() > VALUE_BYTES_MAX => Err(SenmlError::TooLong),
        Value::Data(b) if b.len() > VALUE_BYTES_MAX => Err(SenmlError::TooLong),
        Value::Number(_) | Value::Bool(_) | Value::Text(_) | Value::Data(_) => Ok(()),
    }
}

/// The field that a base name and a name spell together: RFC 8428 §4.5.1.
///
/// # Errors
///
/// [`SenmlError::Name`] when the last part is no field name, [`SenmlError::NameTooLong`] past 128 bytes.
pub fn field_of(base: &str, name: &str) -> Result<Option<FieldName>, SenmlError> {
    let mut full = [0; FULL_NAME_BYTES_MAX];
    let len = base.len() + name.len();
    let buffer = full.get_mut(..len).ok_or(SenmlError::NameTooLong)?;
    let (head, tail) = buffer.split_at_mut(base.len());
    head.copy_from_slice(base.as_bytes());
    tail.copy_from_slice(name.as_bytes());
    let text = core::str::from_utf8(buffer).map_err(|_| SenmlError::Malformed)?;
    let last = text.rsplit(['/', ':']).next().unwrap_or_default();
    if last.is_empty() {
        return Ok(None);
    }
    FieldName::new(last).map(Some).map_err(SenmlError::Name)
}

fn decode_number(d: &mut Decoder<'_>) -> Result<f64, SenmlError> {
    let malformed = |_| SenmlError::Malformed;
    match d.datatype().map_err(malformed)? {
        Type::F16 => decode_half(d),
        Type::F32 => Ok(f64::from(d.f32().map_err(malformed)?)),
        Type::F64 => d.f64().map_err(malformed),
        Type::Tag => {
            let (exponent, mantissa) = decode_decimal_fraction(d)?;
            decimal_to_double(mantissa, exponent)
        }
        _ => {
            let n = d.i64().map_err(malformed)? as f64;
            if n.abs() < EXACT_INTEGER_MAX { Ok(n) } else { Err(SenmlError::Number) }
        }
    }
}

/// RFC 8949 appendix D; by hand because the codec's own needs a crate that chips have no room for.
fn decode_half(d: &mut Decoder<'_>) -> Result<f64, SenmlError> {
    let start = d.position();
    d.skip().map_err(|_| SenmlError::Malformed)?;
    let Some([_, high, low]) = d.input().get(start..d.position()) else { return Err(SenmlError::Malformed) };
    let bits = u16::from_be_bytes([*high, *low]);
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let power = |n: i32| (0..n.abs()).fold(1.0, |p, _| if n < 0 { p / 2.0 } else { p * 2.0 });
    let magnitude = match exponent {
        0 => mantissa * power(-24),
        31 => return Err(SenmlError::Number),
        _ => (mantissa + 1024.0) * power(exponent - 25),
    };
    Ok(if bits >> 15 == 0 { magnitude } else { -magnitude })
}

fn decode_decimal_fraction(d: &mut Decoder<'_>) -> Result<(i64, i64), SenmlError> {
    let malformed = |_| SenmlError::Malformed;
    if d.tag().map_err(malformed)? != Tag::new(4) || d.array().map_err(malformed)? != Some(2) {
        return Err(SenmlError::Malformed);
    }
    Ok((d.i64().map_err(malformed)?, d.i64().map_err(malformed)?))
}

/// `mantissa · 10^exponent`, correctly rounded because both factors are exact doubles.
fn decimal_to_double(mantissa: i64, exponent: i64) -> Result<f64, SenmlError> {
    let m = mantissa as f64;
    if m.abs() >= EXACT_INTEGER_MAX || !(-22..=22).contains(&exponent) {
        return Err(SenmlError::Number);
    }
    let power = (0..exponent.abs()).fold(1.0, |p, _| p * 10.0);
    Ok(if exponent < 0 { m / power } else { m * power })
}

fn decode_seconds(d: &mut Decoder<'_>) -> Result<Seconds, SenmlError> {
    if d.datatype().map_err(|_| SenmlError::Malformed)? == Type::Tag {
        let (exponent, mantissa) = decode_decimal_fraction(d)?;
        if exponent == -6 {
            return Ok(Seconds(mantissa as f64 / 1e6, mantissa));
        }
        return seconds_from(decimal_to_double(mantissa, exponent)?);
    }
    seconds_from(decode_number(d)?)
}

/// A SenML time in seconds, as JSON carries it, in microseconds; relative times are resolved against `now`.
///
/// # Errors
///
/// [`SenmlError::Time`] when it is out of range.
pub fn timestamp(base_seconds: f64, seconds: f64, now: Timestamp) -> Result<Timestamp, SenmlError> {
    resolve(seconds_from(base_seconds)?, seconds_from(seconds)?, now)
}

fn seconds_from(seconds: f64) -> Result<Seconds, SenmlError> {
    let micros = seconds * 1e6;
    if micros.is_nan() || micros.abs() >= EXACT_INTEGER_MAX {
        return Err(SenmlError::Time);
    }
    // Half a microsecond away from zero, then cut: `f64::round` needs the standard library.
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked just above")]
    let rounded = (if micros < 0.0 { micros - 0.5 } else { micros + 0.5 }) as i64;
    Ok(Seconds(seconds, rounded))
}

fn resolve(base: Seconds, own: Seconds, now: Timestamp) -> Result<Timestamp, SenmlError> {
    let micros = base.1.checked_add(own.1).ok_or(SenmlError::Time)?;
    let seconds = base.0 + own.0;
    if seconds < -RELATIVE_TIME_LIMIT_SECONDS {
        // From now that may be so long ago that, written anew, it would be relative itself.
        return Err(SenmlError::Time);
    }
    if seconds < RELATIVE_TIME_LIMIT_SECONDS {
        // Relative to receipt; a device that means 1970 has no clock.
        return Ok(now.plus_micros(micros));
    }
    Ok(Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests;
