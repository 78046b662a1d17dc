//! Readings that standard clients send: SenML in CBOR or JSON (RFC 8428), or plain JSON.

mod json;

use serde_json::Value as Json;
use thingward_model::limits::{READINGS_PER_RECORD_MAX, UNIT_BYTES_MAX, VALUE_BYTES_MAX};
use thingward_model::{FieldName, SenmlError, Timestamp, senml};
use thingward_store::{Reading, Value};

use self::json::{Part, Text};

/// Largest payload of a standard client, in bytes.
pub const PLAIN_BYTES_MAX: usize = 64 * 1024;

/// Why a payload has no readings. Never with a part of it: what devices measure belongs in no log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Too many bytes.
    #[error("payload is larger than {PLAIN_BYTES_MAX} bytes")]
    TooLarge,
    /// Neither SenML nor JSON.
    #[error("payload is neither SenML nor JSON")]
    Unknown,
    /// Looks like SenML, but breaks a rule.
    #[error(transparent)]
    Senml(#[from] SenmlError),
    /// A JSON value that cannot be a reading.
    #[error("JSON value is not a number, text, true or false")]
    NotAReading,
    /// A JSON name that cannot be a field.
    #[error("JSON name is not a field name")]
    NotAField,
    /// More readings than a record may have, or none.
    #[error("payload has no readings, or more than 64")]
    Count,
}

/// Reads the readings of a payload, which arrived at `now`.
///
/// # Errors
///
/// [`PayloadError`] names the first problem.
pub fn parse(payload: &[u8], now: Timestamp) -> Result<Vec<Reading>, PayloadError> {
    if payload.len() > PLAIN_BYTES_MAX {
        return Err(PayloadError::TooLarge);
    }
    // A SenML pack in CBOR is an array, 0x80 to 0x9b; no JSON text starts so.
    let readings = match payload.first() {
        None => return Err(PayloadError::Count),
        Some(0x80..=0x9b) => parse_cbor(payload, now)?,
        Some(_) => match serde_json::from_slice(payload).map_err(|_| PayloadError::Unknown)? {
            Text::Array(pack) => parse_senml_json(&pack, now)?,
            Text::Object(fields) => {
                fields.into_iter().map(|(n, v)| plain(&n, v, now)).collect::<Result<_, _>>()?
            }
            Text::Value(v) => vec![Reading { field: None, time: now, value: value(v)?, unit: None }],
        },
    };
    if readings.is_empty() || readings.len() > READINGS_PER_RECORD_MAX {
        return Err(PayloadError::Count);
    }
    Ok(readings)
}

fn parse_cbor(payload: &[u8], now: Timestamp) -> Result<Vec<Reading>, SenmlError> {
    let mut readings = Vec::new();
    senml::decode(payload, now, |r| readings.push(owned(&r)))?;
    Ok(readings)
}

/// A reading of the wire as the store keeps it.
#[must_use]
pub fn owned(r: &thingward_model::Reading<'_>) -> Reading {
    let value = match r.value {
        thingward_model::Value::Number(n) => Value::Number(n),
        thingward_model::Value::Bool(b) => Value::Bool(b),
        thingward_model::Value::Text(t) => Value::Text(t.to_owned()),
        thingward_model::Value::Data(d) => Value::Data(d.to_vec()),
    };
    let unit = (!r.unit.is_empty()).then(|| r.unit.to_owned());
    Reading { field: r.field, time: r.time, value, unit }
}

/// `{"temperature": 21.5, "door": {"value": "open"}, "power": {"value": 3, "unit": "W"}}`
fn plain(name: &str, part: Part, now: Timestamp) -> Result<Reading, PayloadError> {
    let field = FieldName::new(name).map_err(|_| PayloadError::NotAField)?;
    let (part, unit) = match part {
        Part::Object(parts) => {
            let part = parts.get("value").map(Part::from).ok_or(PayloadError::NotAReading)?;
            (part, parts.get("unit").and_then(Json::as_str).map(str::to_owned))
        }
        part => (part, None),
    };
    if unit.as_ref().is_some_and(|u| u.len() > UNIT_BYTES_MAX) {
        return Err(SenmlError::TooLong.into());
    }
    let unit = unit.filter(|u| !u.is_empty());
    Ok(Reading { field: Some(field), time: now, value: value(part)?, unit })
}

fn value(part: Part) -> Result<Value, PayloadError> {
    match part {
        Part::Number(n) if n.is_finite() => Ok(Value::Number(n)),
        Part::Number(_) => Err(SenmlError::Number.into()),
        Part::Bool(b) => Ok(Value::Bool(b)),
        Part::Text(s) if s.len() <= VALUE_BYTES_MAX => Ok(Value::Text(s)),
        Part::Text(_) => Err(SenmlError::TooLong.into()),
        Part::Object(_) | Part::Other => Err(PayloadError::NotAReading),
    }
}

/// SenML in JSON: RFC 8428 §5.
fn parse_senml_json(pack: &[Json], now: Timestamp) -> Result<Vec<Reading>, PayloadError> {
    let (mut base_name, mut base_unit) = (String::new(), None);
    let (mut base_time, mut base_value) = (0.0, None);
    let mut readings = Vec::new();
    for record in pack.iter().take(READINGS_PER_RECORD_MAX + 1) {
        let record = record.as_object().ok_or(SenmlError::Malformed)?;
        let number = |key: &str| -> Result<Option<f64>, SenmlError> {
            record.get(key).map(|v| v.as_f64().ok_or(SenmlError::Malformed)).transpose()
        };
        let text = |key: &str| -> Result<Option<&str>, SenmlError> {
            record.get(key).map(|v| v.as_str().ok_or(SenmlError::Malformed)).transpose()
        };
        if record.keys().any(|k| k.ends_with('_')) || number("bver")?.is_some_and(|v| v > 10.0) {
            return Err(SenmlError::Version.into());
        }
        if record.contains_key("s") || record.contains_key("bs") {
            return Err(SenmlError::Sum.into());
        }
        if let Some(name) = text("bn")? {
            name.clone_into(&mut base_name);
        }
        base_unit = text("bu")?.map(str::to_owned).or(base_unit);
        base_time = number("bt")?.unwrap_or(base_time);
        let own_base_value = number("bv")?;
        base_value = own_base_value.or(base_value);
        let mut values = Vec::new();
        if let Some(v) = number("v")? {
            values.push(Value::Number(v + base_value.unwrap_or_default()));
        }
        if let Some(v) = text("vs")? {
            values.push(Value::Text(v.to_owned()));
        }
        if let Some(v) = record.get("vb") {
            values.push(Value::Bool(v.as_bool().ok_or(SenmlError::Malformed)?));
        }
        if let Some(v) = text("vd")? {
            values.push(Value::Data(base64url(v)?));
        }
        if values.is_empty() {
            values.extend(own_base_value.map(Value::Number));
        }
        let (Some(value), None) = (values.pop(), values.pop()) else { return Err(SenmlError::Value.into()) };
        check(&value)?;
        let unit = text("u")?.map(str::to_owned).or_else(|| base_unit.clone()).filter(|u| !u.is_empty());
        if unit.as_ref().is_some_and(|u| u.len() > UNIT_BYTES_MAX) {
            return Err(SenmlError::TooLong.into());
        }
        let field = senml::field_of(&base_name, text("n")?.unwrap_or_default())?;
        let time = senml::timestamp(base_time, number("t")?.unwrap_or_default(), now)?;
        readings.push(Reading { field, time, value, unit });
    }
    Ok(readings)
}

fn check(value: &Value) -> Result<(), SenmlError> {
    match value {
        Value::Number(n) if !n.is_finite() => Err(SenmlError::Number),
        Value::Text(t) if t.len() > VALUE_BYTES_MAX => Err(SenmlError::TooLong),
        Value::Data(d) if d.len() > VALUE_BYTES_MAX => Err(SenmlError::TooLong),
        _ => Ok(()),
    }
}

fn base64url(text: &str) -> Result<Vec<u8>, SenmlError> {
    use base64::Engine;
    let text = text.trim_end_matches('=');
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).map_err(|_| SenmlError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[track_caller]
    fn check_reads(payload: &[u8], want: &[(&str, Value, Option<&str>)]) {
        let got = parse(payload, NOW).unwrap();
        let got: Vec<_> = got
            .iter()
            .map(|r| (r.field.map_or(String::new(), |f| f.to_string()), r.value.clone(), r.unit.clone()))
            .collect();
        let want: Vec<_> =
            want.iter().map(|(n, v, u)| ((*n).to_owned(), v.clone(), u.map(str::to_owned))).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn plain_json_and_senml_in_both_forms_are_read() {
        check_reads(b"21.5", &[("", Value::Number(21.5), None)]);
        check_reads(b"\"open\"", &[("", Value::Text("open".to_owned()), None)]);
        check_reads(
            br#"{"temperature":{"value":21.5,"unit":"Cel"},"on":true}"#,
            &[("temperature", Value::Number(21.5), Some("Cel")), ("on", Value::Bool(true), None)],
        );
        check_reads(
            br#"[{"bn":"urn:dev:hall/","bt":1.8e9,"bu":"A","n":"current","v":1.2},{"n":"door","vs":"open"}]"#,
            &[
                ("current", Value::Number(1.2), Some("A")),
                ("door", Value::Text("open".to_owned()), Some("A")),
            ],
        );
        check_reads(b"\x81\xa2\x00\x61t\x02\x15", &[("t", Value::Number(21.0), None)]);
    }

    #[test]
    fn a_name_that_comes_again_has_its_last_value_and_escapes_are_read() {
        check_reads(
            br#"{"a":1,"b":{"value":"x"},"\u0061":2}"#,
            &[("a", Value::Number(2.0), None), ("b", Value::Text("x".to_owned()), None)],
        );
        let many: Vec<_> = (0..65).map(|n| format!("\"f{n}\":{n}")).collect();
        check_refused(format!("{{{}}}", many.join(",")).as_bytes(), PayloadError::Count);
        assert_eq!(parse(format!("{{{}}}", many[1..].join(",")).as_bytes(), NOW).unwrap().len(), 64);
    }

    #[track_caller]
    fn check_refused(payload: &[u8], want: PayloadError) {
        assert_eq!(parse(payload, NOW), Err(want), "{}", String::from_utf8_lossy(payload));
    }

    #[test]
    fn what_is_no_reading_is_refused_by_name() {
        check_refused(b"", PayloadError::Count);
        check_refused(b"{}", PayloadError::Count);
        check_refused(b"hello", PayloadError::Unknown);
        check_refused(b"\xff\xfe", PayloadError::Unknown);
        check_refused(b"null", PayloadError::NotAReading);
        check_refused(br#"{"a":[1]}"#, PayloadError::NotAReading);
        check_refused(br#"{"a":{"value":{"b":1}}}"#, PayloadError::NotAReading);
        check_refused(br#"{"a":{"unit":"W"}}"#, PayloadError::NotAReading);
        check_refused(b"1 2", PayloadError::Unknown);
        check_refused(b"1e999", PayloadError::Unknown);
        check_refused(br#"{"a b":1}"#, PayloadError::NotAField);
        check_refused(br#"[{"n":"a"}]"#, SenmlError::Value.into());
        check_refused(br#"[{"n":"a","v":1,"vb":true}]"#, SenmlError::Value.into());
        check_refused(br#"[{"n":"a","v":1,"x_":1}]"#, SenmlError::Version.into());
        check_refused(&vec![b'1'; PLAIN_BYTES_MAX + 1], PayloadError::TooLarge);
        let nested = "[".repeat(10_000);
        check_refused(nested.as_bytes(), PayloadError::Unknown);
    }
}
