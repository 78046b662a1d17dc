//! Whether a value is what a schema asks for, and what would be.

use core::fmt;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use super::{Action, Bounds, Kind, Schema};

/// Integers beyond this are not all exact as doubles.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a value is not what an action takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// The member of the input, `period/start`; empty for the input itself.
    pub member: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.member.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.member, self.problem)
        }
    }
}

impl core::error::Error for InputError {}

type Checked = Result<(), InputError>;

fn fail<T>(problem: String) -> Result<T, InputError> {
    Err(InputError { member: String::new(), problem })
}

impl Action {
    /// Whether the action takes `input`; null stands for none.
    ///
    /// # Errors
    ///
    /// [`InputError`] says what would be right.
    pub fn validate(&self, input: &Value) -> Checked {
        match &self.input {
            Some(schema) => schema.validate(input),
            None if input.is_null() => Ok(()),
            None => fail("the action takes no input".to_string()),
        }
    }

    /// The input that the words of a command line stand for: one word for a scalar, `name=value` words for an
    /// object, and no word for none. It is validated.
    ///
    /// # Errors
    ///
    /// [`InputError`] says what would be right.
    pub fn read_input(&self, words: &[impl AsRef<str>]) -> Result<Value, InputError> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let input = match (&self.input, words.as_slice()) {
            (_, []) => Value::Null,
            (None, _) => return fail("the action takes no input".to_string()),
            (Some(schema), words) => schema.read_words(words)?,
        };
        self.validate(&input)?;
        Ok(input)
    }
}

impl Schema {
    fn read_words(&self, words: &[&str]) -> Result<Value, InputError> {
        if let Kind::Object { properties, .. } = &self.kind {
            return read_members(properties, words).map(Value::Object);
        }
        match words {
            [word] => self.read_word(word),
            _ => fail(format!("takes one value: {}", self.wanted())),
        }
    }

    /// The value that a word stands for by this schema.
    fn read_word(&self, word: &str) -> Result<Value, InputError> {
        let wrong = || fail(format!("\"{word}\" is not {}", self.wanted()));
        match self.kind {
            Kind::Number(_) | Kind::Integer(_) => match word.parse::<f64>() {
                Ok(n) if n.is_finite() => Ok(number(n)),
                _ => wrong(),
            },
            Kind::Boolean => match word {
                "true" | "on" => Ok(true.into()),
                "false" | "off" => Ok(false.into()),
                _ => wrong(),
            },
            Kind::Text { .. } => Ok(word.into()),
            Kind::Any | Kind::Null | Kind::Object { .. } | Kind::Array { .. } => {
                serde_json::from_str(word).or_else(|_| wrong())
            }
        }
    }

    /// Whether `value` is of this schema.
    ///
    /// # Errors
    ///
    /// [`InputError`] says what would be right.
    pub fn validate(&self, value: &Value) -> Checked {
        self.check_kind(value)?;
        if !self.choices.is_empty() && !self.choices.iter().any(|c| is_same(c, value)) {
            return fail(format!("{value} is not {}", self.wanted()));
        }
        let holding = self.one_of.iter().filter(|schema| schema.validate(value).is_ok()).count();
        if !self.one_of.is_empty() && holding != 1 {
            return fail(format!("{value} fits {holding} of the alternatives, and has to fit one"));
        }
        Ok(())
    }

    fn check_kind(&self, value: &Value) -> Checked {
        let is_right = match (&self.kind, value) {
            (Kind::Any, _) | (Kind::Null, Value::Null) | (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Number(bounds), Value::Number(_)) => return self.check_number(value, bounds),
            (Kind::Integer(bounds), Value::Number(n)) if n.as_f64().is_some_and(is_whole) => {
                return self.check_number(value, bounds);
            }
            (Kind::Text { length_min, length_max, pattern }, Value::String(text)) => {
                let length = text.chars().count() as u64;
                if pattern.is_some() {
                    return fail("has a pattern, which cannot be checked".to_string());
                }
                length >= *length_min && length_max.is_none_or(|max| length <= max)
            }
            (Kind::Object { properties, required }, Value::Object(members)) => {
                return check_members(properties, required, members);
            }
            (Kind::Array { items, items_min, items_max }, Value::Array(values)) => {
                if let Some(schema) = items {
                    for (at, value) in values.iter().enumerate() {
                        schema.validate(value).map_err(within(&at.to_string()))?;
                    }
                }
                let count = values.len() as u64;
                count >= *items_min && items_max.is_none_or(|max| count <= max)
            }
            _ => false,
        };
        if is_right { Ok(()) } else { fail(format!("{value} is not {}", self.wanted())) }
    }

    fn check_number(&self, value: &Value, bounds: &Bounds) -> Checked {
        let n = value.as_f64().unwrap_or(f64::NAN);
        let unit = self.unit_suffix();
        let too_far = [
            (bounds.minimum.filter(|b| n < *b), "below the minimum"),
            (bounds.maximum.filter(|b| n > *b), "above the maximum"),
            (bounds.exclusive_minimum.filter(|b| n <= *b), "not above"),
            (bounds.exclusive_maximum.filter(|b| n >= *b), "not below"),
            (bounds.multiple_of.filter(|b| !is_whole_about(n / b)), "no multiple of"),
        ];
        for (bound, word) in too_far {
            if let Some(bound) = bound {
                return fail(format!("{value} is {word} {bound}{unit}"));
            }
        }
        if n.is_nan() { fail(format!("{value} is not {}", self.wanted())) } else { Ok(()) }
    }

    fn unit_suffix(&self) -> String {
        self.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default()
    }

    /// What would be right, in words: `a number from 0 to 2 EUR/h`.
    #[must_use]
    pub fn wanted(&self) -> String {
        if !self.choices.is_empty() {
            let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
            return format!("one of {}", choices.join(", "));
        }
        match &self.kind {
            Kind::Any => "a value".to_string(),
            Kind::Null => "null".to_string(),
            Kind::Boolean => "true or false".to_string(),
            Kind::Number(bounds) => format!("a number{}{}", range(bounds), self.unit_suffix()),
            Kind::Integer(bounds) => format!("a whole number{}{}", range(bounds), self.unit_suffix()),
            Kind::Text { length_min, length_max: None, .. } if *length_min > 0 => {
                format!("a text of at least {length_min} characters")
            }
            Kind::Text { length_max: None, .. } => "a text".to_string(),
            Kind::Text { length_min, length_max: Some(max), .. } => {
                format!("a text of {length_min} to {max} characters")
            }
            Kind::Object { properties, .. } => {
                let names: Vec<&str> = properties.keys().map(String::as_str).collect();
                format!("an object of {}", names.join(", "))
            }
            Kind::Array { items_min, items_max: Some(max), .. } => {
                format!("an array of {items_min} to {max} items")
            }
            Kind::Array { items_min, items_max: None, .. } => {
                format!("an array of {items_min} items or more")
            }
        }
    }
}

fn read_members(
    properties: &BTreeMap<String, Schema>,
    words: &[&str],
) -> Result<Map<String, Value>, InputError> {
    let mut members = Map::new();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return fail(format!("\"{word}\" is not NAME=VALUE"));
        };
        let schema = known(properties, name)?;
        let value = schema.read_word(value).map_err(within(name))?;
        if members.insert(name.to_string(), value).is_some() {
            return fail(format!("{name} is given twice"));
        }
    }
    Ok(members)
}

fn known<'a>(properties: &'a BTreeMap<String, Schema>, name: &str) -> Result<&'a Schema, InputError> {
    properties.get(name).map_or_else(
        || {
            let names: Vec<&str> = properties.keys().map(String::as_str).collect();
            fail(format!("there is no {name}; there is {}", names.join(", ")))
        },
        Ok,
    )
}

/// A member that the schema does not name is refused, although JSON Schema would let it pass: nothing bounds it.
fn check_members(
    properties: &BTreeMap<String, Schema>,
    required: &[String],
    members: &Map<String, Value>,
) -> Checked {
    for (name, value) in members {
        known(properties, name)?.validate(value).map_err(within(name))?;
    }
    for name in required {
        if !members.contains_key(name) {
            let wanted = properties.get(name).map_or_else(|| "a value".to_string(), Schema::wanted);
            return fail(format!("{name} is missing: {wanted}"));
        }
    }
    Ok(())
}

fn within(name: &str) -> impl FnOnce(InputError) -> InputError {
    move |error| {
        let member =
            if error.member.is_empty() { name.to_string() } else { format!("{name}/{}", error.member) };
        InputError { member, ..error }
    }
}

fn range(bounds: &Bounds) -> String {
    match (bounds.minimum, bounds.maximum) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" from {low} up"),
        (None, Some(high)) => format!(" up to {high}"),
        (None, None) => String::new(),
    }
}

fn is_whole(n: f64) -> bool {
    n.fract() == 0.0 && n.abs() < EXACT_INTEGER_MAX
}

/// 0.3 is a multiple of 0.1, whatever doubles make of it.
fn is_whole_about(quotient: f64) -> bool {
    (quotient - quotient.round()).abs() <= 1e-9 * quotient.abs().max(1.0)
}

/// A whole number as an integer, so that it looks as it was typed.
fn number(n: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and in the range of exact integers")]
    if is_whole(n) { (n as i64).into() } else { n.into() }
}

/// Numbers are compared by value: 3 is 3.0.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
