//! One line of the socket.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thingward_model::{NameError, StreamName, Timestamp};

use crate::reading::{OwnedReading, OwnedValue, ReadingError, check_record};

/// What a local program wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Make readings durable.
    Record {
        /// Of this stream.
        stream: StreamName,
        /// At least one.
        readings: Vec<OwnedReading>,
    },
    /// Say how the device is.
    Status,
    /// Wait for something to do.
    NextAction,
    /// Something is done.
    Done {
        /// Which command.
        id: String,
        /// What it gave; null for nothing.
        output: Value,
    },
    /// Something was not done.
    Failed {
        /// Which command.
        id: String,
        /// Why.
        reason: String,
    },
}

/// Why a line is no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Longer than [`super::LINE_BYTES_MAX`].
    #[error("line is longer than {} bytes", super::LINE_BYTES_MAX)]
    TooLong,
    /// Not the JSON that was expected.
    #[error("not a request: {0}")]
    Json(#[from] serde_json::Error),
    /// It asks for nothing, or for several things.
    #[error(
        "not a request: give \"stream\" and \"values\", or one of \"status\":true, \"next_action\":true, \
         \"done\":ID, \"failed\":ID alone"
    )]
    Form,
    /// A stream or field name is none.
    #[error("{0}")]
    Name(NameError),
    /// A value has another form.
    #[error("{0:?} is no number, text, true or false, nor such a value with its unit")]
    Value(String),
    /// The time is not RFC 3339.
    #[error("time is not RFC 3339")]
    Time,
    /// The values cannot be a record.
    #[error(transparent)]
    Reading(#[from] ReadingError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    status: bool,
    #[serde(default)]
    next_action: bool,
    done: Option<String>,
    output: Option<Value>,
    failed: Option<String>,
    reason: Option<String>,
    stream: Option<String>,
    time: Option<String>,
    values: Option<BTreeMap<String, Value>>,
}

/// Reads a line. Readings without a time are of `now`.
///
/// # Errors
///
/// [`InputError`].
pub fn parse(line: &[u8], now: Timestamp) -> Result<Request, InputError> {
    let line: Line = serde_json::from_slice(line)?;
    let is_record = line.stream.is_some() || line.values.is_some() || line.time.is_some();
    let (done, failed) = (line.done, line.failed);
    let asks = [line.status, line.next_action, done.is_some(), failed.is_some(), is_record];
    let is_one = asks.into_iter().filter(|asks| *asks).count() == 1;
    if !is_one || line.output.is_some() && done.is_none() || line.reason.is_some() != failed.is_some() {
        return Err(InputError::Form);
    }
    if let Some(id) = done {
        return Ok(Request::Done { id, output: line.output.unwrap_or_default() });
    }
    if let (Some(id), Some(reason)) = (failed, line.reason) {
        return Ok(Request::Failed { id, reason });
    }
    let (stream, values) = match (line.stream, line.values) {
        (Some(stream), Some(values)) => (stream, values),
        (None, None) if line.status => return Ok(Request::Status),
        (None, None) if line.next_action => return Ok(Request::NextAction),
        _ => return Err(InputError::Form),
    };
    let time = match &line.time {
        None => now,
        Some(text) => Timestamp::parse_rfc3339(text).ok_or(InputError::Time)?,
    };
    let reading = |(field, given): (String, Value)| {
        let (value, unit) = with_unit(given).ok_or_else(|| InputError::Value(field.clone()))?;
        let field = Some(field.parse().map_err(InputError::Name)?);
        Ok(OwnedReading { field, unit, time, value })
    };
    let readings = values.into_iter().map(reading).collect::<Result<Vec<_>, InputError>>()?;
    check_record(&readings)?;
    Ok(Request::Record { stream: stream.parse().map_err(InputError::Name)?, readings })
}

/// A value, or an object of a value and its unit.
fn with_unit(given: Value) -> Option<(OwnedValue, String)> {
    let Value::Object(mut members) = given else { return Some((plain(given)?, String::new())) };
    let value = plain(members.remove("value")?)?;
    let unit = match members.remove("unit") {
        None => String::new(),
        Some(Value::String(unit)) => unit,
        Some(_) => return None,
    };
    members.is_empty().then_some((value, unit))
}

fn plain(value: Value) -> Option<OwnedValue> {
    match value {
        Value::Bool(b) => Some(OwnedValue::Bool(b)),
        Value::Number(n) => n.as_f64().map(OwnedValue::Number),
        Value::String(t) => Some(OwnedValue::Text(t)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(7);

    #[test]
    fn a_line_becomes_readings_with_units_and_time() {
        let line = br#"{"stream":"climate","time":"1970-01-01T00:00:01Z",
            "values":{"t":{"value":21.5,"unit":"Cel"},"door":"open","n":3,"on":true}}"#;
        let Request::Record { stream, readings } = parse(line, NOW).unwrap() else { panic!("not a record") };
        assert_eq!(stream.as_str(), "climate");
        let time = Timestamp::from_seconds(1);
        let reading = |field: &str, unit: &str, value| OwnedReading {
            field: Some(field.parse().unwrap()),
            unit: unit.to_owned(),
            time,
            value,
        };
        let want = [
            reading("door", "", OwnedValue::Text("open".to_owned())),
            reading("n", "", OwnedValue::Number(3.0)),
            reading("on", "", OwnedValue::Bool(true)),
            reading("t", "Cel", OwnedValue::Number(21.5)),
        ];
        assert_eq!(readings, want);
        assert_eq!(parse(br#"{"status":true}"#, NOW).unwrap(), Request::Status);
        assert_eq!(parse(br#"{"next_action":true}"#, NOW).unwrap(), Request::NextAction);
        let (id, output) = ("07".to_owned(), serde_json::json!({"a": 1}));
        let done = Request::Done { id: id.clone(), output };
        assert_eq!(parse(br#"{"done":"07","output":{"a":1}}"#, NOW).unwrap(), done);
        let done = Request::Done { id: id.clone(), output: Value::Null };
        assert_eq!(parse(br#"{"done":"07"}"#, NOW).unwrap(), done);
        let failed = Request::Failed { id, reason: "stuck".to_owned() };
        assert_eq!(parse(br#"{"failed":"07","reason":"stuck"}"#, NOW).unwrap(), failed);
    }

    #[track_caller]
    fn check(line: &str, want: &str) {
        let error = parse(line.as_bytes(), NOW).unwrap_err().to_string();
        assert!(error.contains(want), "{line}: {error}");
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        check("", "not a request");
        check("[]", "not a request");
        check(r#"{"stream":"s","values":{"a":[1]}}"#, "is no number");
        check(r#"{"stream":"s","values":{"a":{"value":1,"units":"K"}}}"#, "is no number");
        check(r#"{"stream":"s","values":{"a":{"value":null}}}"#, "is no number");
        check(r#"{"stream":"s","values":{"a":1},"extra":1}"#, "not a request");
        check(r#"{"stream":"s"}"#, "give");
        check(r#"{"status":true,"stream":"s","values":{"a":1}}"#, "give");
        check(r#"{"status":false}"#, "give");
        check(r#"{"status":true,"next_action":true}"#, "give");
        check(r#"{"status":true,"time":"1970-01-01T00:00:01Z"}"#, "give");
        check(r#"{"done":"07","failed":"07","reason":"x"}"#, "give");
        check(r#"{"failed":"07"}"#, "give");
        check(r#"{"output":1}"#, "give");
        check(r#"{"done":"07","reason":"x"}"#, "give");
        check(r#"{"stream":"s","values":{}}"#, "no values");
        check(r#"{"stream":"a/b","values":{"a":1}}"#, "stream name");
        check(r#"{"stream":"s","values":{"a b":1}}"#, "field name");
        check(r#"{"stream":"s","time":"noon","values":{"a":1}}"#, "RFC 3339");
        check(r#"{"stream":"s","values":{"a":1e999}}"#, "not a request");
        check(&format!(r#"{{"stream":"s","values":{{"a":"{}"}}}}"#, "x".repeat(1025)), "longer than 1024");
    }
}
