//! Inputs and outputs as JSON, which is what descriptions, the API and local programs speak.

use std::string::String;
use std::vec::Vec;

use serde_json::{Map, Value};

use thingward_model::Shortest;

use super::{DATA_BYTES_MAX, Data, Scalar, Shape};
use crate::FormatError;

/// The encoding of a JSON value: null, a scalar, or an object of scalars. Members that are null are left out.
///
/// # Errors
///
/// [`FormatError::Malformed`] for a value of another shape, [`FormatError::TooLarge`].
pub fn encode(value: &Value) -> Result<Vec<u8>, FormatError> {
    // Room for one member more than fits, so that what is too large is called so.
    let mut out = [0; DATA_BYTES_MAX * 4];
    let data = match value {
        Value::Null => Ok(Data::NOTHING),
        Value::Object(members) => {
            let scalars =
                members.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| Ok((k.as_str(), scalar(v)?)));
            Data::map(&scalars.collect::<Result<Vec<_>, FormatError>>()?, &mut out)
        }
        other => Data::scalar(scalar(other)?, &mut out),
    };
    match data {
        Ok(data) => Ok(data.as_bytes().to_vec()),
        Err(FormatError::BufferTooSmall) => Err(FormatError::TooLarge),
        Err(error) => Err(error),
    }
}

fn scalar(value: &Value) -> Result<Scalar<'_>, FormatError> {
    match value {
        Value::Bool(b) => Ok(Scalar::Bool(*b)),
        Value::Number(n) => n.as_f64().map(Scalar::Number).ok_or(FormatError::Malformed),
        Value::String(t) => Ok(Scalar::Text(t)),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(FormatError::Malformed),
    }
}

/// Data as JSON. Whole numbers come as integers.
#[must_use]
pub fn decode(data: Data<'_>) -> Value {
    match data.shape() {
        Shape::Nothing => Value::Null,
        Shape::Scalar(scalar) => from_scalar(scalar),
        Shape::Map(members) => {
            Value::Object(members.map(|(k, v)| (String::from(k), from_scalar(v))).collect::<Map<_, _>>())
        }
    }
}

fn from_scalar(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Bool(b) => b.into(),
        Scalar::Text(t) => t.into(),
        Scalar::Number(n) => match Shortest::of(n) {
            Some(Shortest::Whole(whole)) => whole.into(),
            _ => n.into(),
        },
    }
}
