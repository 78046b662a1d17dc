//! What commands mean: properties, events and actions of a Thing Description, from the tables in `data/`.
//!
//! A table row says which field of which command is shown under which name, which command an action is, and what is asked to
//! learn the values that there are. A command that no table has, of a class that is not known, is shown raw and by a name that
//! says so. What only keeps the network going is not shown.

mod actions;
mod questions;
mod tables;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use actions::{Action, ActionError, Coding, Input, actions};
pub use questions::{follow_ups, questions};
pub use tables::{By, Kind, Quantity, Row, ValueType, events, quantities, rows, states};

use crate::Command;
use crate::command_class::Value;

/// What a field shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A number, in the unit that goes with it.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A word of a table, or a text.
    Word(Cow<'static, str>),
    /// Bytes without a meaning here.
    Bytes(Vec<u8>),
    /// The node says that it does not know.
    Unknown,
}

/// A field of a command, by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Property or event.
    pub kind: Kind,
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it shows.
    pub value: Shown,
    /// Its unit, of SenML; empty where there is none.
    pub unit: &'static str,
}

/// What a command shows, in the order of the table.
#[must_use]
pub fn readings(command: &Command) -> Vec<Reading> {
    if let Command::Raw { class, payload } = command {
        let name = format!("raw-{class:02x}").into();
        return vec![Reading { kind: Kind::Event, name, value: Shown::Bytes(payload.clone()), unit: "" }];
    }
    let Some((class, number)) = u8::try_from(command.class()).ok().zip(command.to_bytes().get(1).copied())
    else {
        return Vec::new();
    };
    let values = command.values();
    rows(class).filter(|row| row.command == number).filter_map(|row| read(row, &values)).collect()
}

/// `None` where a later version's field is not there.
fn read(row: &'static Row, values: &[(&'static str, Value)]) -> Option<Reading> {
    let find = |name: &str| values.iter().find(|(field, _)| *field == name).map(|(_, value)| value);
    let int = |name: &str| find(name).and_then(as_int);
    let kind = row.kind;
    if row.field.is_empty() {
        return Some(Reading { kind, name: row.name.into(), value: Shown::Flag(true), unit: "" });
    }
    let value = find(row.field)?;
    let unit = row.unit;
    let plain = || row.full.map_or_else(|| shown(value), |full| share(value, full));
    let (name, value, unit): (Cow<'static, str>, Shown, &'static str) = match &row.by {
        By::Field => (row.name.into(), plain(), unit),
        By::Positive => (row.name.into(), as_int(value).map_or(Shown::Unknown, |n| Shown::Flag(n > 0)), unit),
        By::Word => (row.name.into(), word(row, value), unit),
        By::Name(field) => {
            let number = int(field);
            let named = number.and_then(|number| states(row.class, field, number));
            let unnamed = number.map(|number| format!("{}-{number}", row.name).into());
            let name = named.map(Cow::Borrowed).or(unnamed).unwrap_or(row.name.into());
            (name, plain(), unit)
        }
        By::Quantity => {
            let measured =
                ["sensor_type", "meter_type", "setpoint_type", "parameter"].into_iter().find_map(int)?;
            let scale = int("scale")?;
            match quantities(row.class, measured, scale) {
                // What is produced is another property than what is consumed.
                Some(quantity) if int("rate_type") == Some(2) => {
                    (format!("{}-produced", quantity.name).into(), quantity.convert(value), quantity.unit)
                }
                Some(quantity) => (quantity.name.into(), quantity.convert(value), quantity.unit),
                None => (format!("{}-{measured}-{scale}", row.name).into(), shown(value), ""),
            }
        }
        By::Event => {
            let (kind, event) = (int("notification_type")?, as_int(value)?);
            let word = match events(kind, event) {
                Some(name) => name.into(),
                None if event == 0 => "over".into(),
                None => format!("{kind}-{event}").into(),
            };
            (row.name.into(), Shown::Word(word), "")
        }
    };
    Some(Reading { kind, name, value, unit })
}

/// Per cent, where `full` are 100; 255 is what was set before, and no less than full where it is reported.
fn share(value: &Value, full: i64) -> Shown {
    match as_int(value) {
        Some(255) => Shown::Number(100.0),
        Some(number) if (0..=full).contains(&number) => {
            Shown::Number((decimal(number, 0) * 100.0 / decimal(full, 0)).round())
        }
        _ => Shown::Unknown,
    }
}

/// The word for a number, or its digits where no table has one.
fn word(row: &Row, value: &Value) -> Shown {
    let Some(number) = as_int(value) else { return shown(value) };
    let word = states(row.class, row.field, number);
    Shown::Word(word.map_or_else(|| number.to_string().into(), Cow::Borrowed))
}

impl Quantity {
    fn convert(&self, value: &Value) -> Shown {
        match shown(value) {
            Shown::Number(number) => Shown::Number(self.factor.mul_add(number, self.offset)),
            other => other,
        }
    }
}

const fn as_int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(*flag as i64),
        _ => None,
    }
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::Unknown => Shown::Unknown,
        Value::Bool(flag) => Shown::Flag(*flag),
        Value::Int(number) => Shown::Number(decimal(*number, 0)),
        Value::Decimal { digits, precision } => Shown::Number(decimal(*digits, *precision)),
        Value::Text(text) => Shown::Word(text.clone().into()),
        Value::Bytes(bytes) => Shown::Bytes(bytes.clone()),
        Value::List(_) | Value::Record(_) => Shown::Unknown,
    }
}

/// Digits of at most 32 bits, and a power of ten, both of which a double has exactly, so that the quotient is the double next to it.
/// What `powi` gives need not be exact.
fn decimal(digits: i64, precision: u8) -> f64 {
    let (digits, scale) = (i32::try_from(digits).ok(), 10_u32.checked_pow(precision.into()));
    digits.zip(scale).map_or(f64::NAN, |(digits, scale)| f64::from(digits) / f64::from(scale))
}
