//! Readings that own their texts, for queues and threads.

use thingward_model::limits::{READINGS_PER_RECORD_MAX, UNIT_BYTES_MAX, VALUE_BYTES_MAX};
use thingward_model::{FieldName, Reading, Timestamp, Value};

/// One value of one field at one time; see [`Reading`].
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedReading {
    /// Which of the stream's values; `None` when the stream has one.
    pub field: Option<FieldName>,
    /// Unit from the SenML units registry; empty when there is none.
    pub unit: String,
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured.
    pub value: OwnedValue,
}

/// What a reading says; see [`Value`].
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedValue {
    /// A finite number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// Bytes.
    Data(Vec<u8>),
}

/// Why readings cannot be one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingError {
    /// There is none.
    #[error("no values")]
    Empty,
    /// There are more than a record may have.
    #[error("more than {READINGS_PER_RECORD_MAX} values")]
    TooMany,
    /// A number is not finite.
    #[error("a number is not finite")]
    Number,
    /// A text or bytes are too long.
    #[error("a value is longer than {VALUE_BYTES_MAX} bytes")]
    ValueTooLong,
    /// A unit is too long.
    #[error("a unit is longer than {UNIT_BYTES_MAX} bytes")]
    UnitTooLong,
}

impl OwnedReading {
    /// The same reading, borrowed.
    #[must_use]
    pub fn as_reading(&self) -> Reading<'_> {
        let value = match &self.value {
            OwnedValue::Number(n) => Value::Number(*n),
            OwnedValue::Bool(b) => Value::Bool(*b),
            OwnedValue::Text(t) => Value::Text(t),
            OwnedValue::Data(d) => Value::Data(d),
        };
        Reading { field: self.field, unit: &self.unit, time: self.time, value }
    }
}

/// Whether the readings are within the limits of one record, its size in bytes aside.
///
/// # Errors
///
/// [`ReadingError`] names the limit.
pub fn check_record(readings: &[OwnedReading]) -> Result<(), ReadingError> {
    if readings.is_empty() {
        return Err(ReadingError::Empty);
    }
    if readings.len() > READINGS_PER_RECORD_MAX {
        return Err(ReadingError::TooMany);
    }
    for reading in readings {
        let len = match &reading.value {
            OwnedValue::Number(n) if !n.is_finite() => return Err(ReadingError::Number),
            OwnedValue::Number(_) | OwnedValue::Bool(_) => 0,
            OwnedValue::Text(t) => t.len(),
            OwnedValue::Data(d) => d.len(),
        };
        if len > VALUE_BYTES_MAX {
            return Err(ReadingError::ValueTooLong);
        }
        if reading.unit.len() > UNIT_BYTES_MAX {
            return Err(ReadingError::UnitTooLong);
        }
    }
    Ok(())
}
