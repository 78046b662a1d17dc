//! What a node is told, from actions.

use serde_json::Value as Json;

use super::describe::range;
use super::table::{Conversion, Input, Line, Subject};
use super::{Thing, words};
use crate::bytes::Malformed;
use crate::layout::{Item, Record};
use crate::library::{AttributeInfo, CommandInfo};
use crate::zcl::{Attribute, Foundation, Value, ZclHeader};

/// A command for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// For which endpoint.
    pub endpoint: u8,
    /// Which cluster.
    pub cluster: u16,
    control: u8,
    command: u8,
    payload: Vec<u8>,
}

/// Why an action is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node has no such action.
    #[error("no action `{0}`")]
    NoAction(String),
    /// A value is missing, of another type, or outside its bounds.
    #[error("`{name}` has to be {wanted}")]
    Input {
        /// Which.
        name: String,
        /// What it has to be.
        wanted: String,
    },
    /// The command cannot be written.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Order {
    /// The frame of the cluster library, with the host's number for the exchange.
    #[must_use]
    pub fn frame(&self, sequence: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let header = ZclHeader { control: self.control, manufacturer: None, sequence, command: self.command };
        header.write(&mut out);
        out.extend(&self.payload);
        out
    }
}

impl Thing {
    /// The command that an action with an input is.
    ///
    /// # Errors
    ///
    /// When there is no such action, or the input is not what it takes.
    pub fn order(&self, action: &str, input: &Json) -> Result<Order, OrderError> {
        let named = |(endpoint, line): &(u8, &'static Line)| {
            matches!(line.subject, Subject::Action(_) | Subject::Write(_))
                && self.name(*endpoint, line) == action
        };
        let found = self.lines().find(named);
        let (endpoint, line) = found.ok_or_else(|| OrderError::NoAction(action.to_owned()))?;
        match line.subject {
            Subject::Action(info) => command(endpoint, line, info, input),
            Subject::Write(info) => write(endpoint, line, info, input),
            Subject::Property(_) | Subject::Event(_) => Err(OrderError::NoAction(action.to_owned())),
        }
    }
}

fn command(endpoint: u8, line: &Line, info: &CommandInfo, input: &Json) -> Result<Order, OrderError> {
    let mut record = Record::default();
    for asked in &line.inputs {
        let number = asked.number(input)?;
        let data_type = info.layout.data_type(asked.field).ok_or_else(|| asked.error())?;
        let value = Value::integer(data_type, steps(number, asked.factor))?;
        record.0.push((asked.field, Item::Value(value)));
    }
    let mut payload = Vec::new();
    info.layout.write(&record, &mut payload)?;
    Ok(Order { endpoint, cluster: line.cluster, control: 0x01, command: info.id, payload })
}

fn write(endpoint: u8, line: &Line, info: &AttributeInfo, input: &Json) -> Result<Order, OrderError> {
    let number = match line.conversion {
        Conversion::Word(of) => input
            .as_str()
            .and_then(|word| words::number(of, word))
            .ok_or_else(|| format!("one of {}", words::words(of).collect::<Vec<_>>().join(", "))),
        conversion => within(info, conversion.factor(), input),
    };
    let number = number.map_err(|wanted| OrderError::Input { name: line.name.to_owned(), wanted })?;
    let attribute = Attribute { id: info.id, value: Value::integer(info.data_type, number)? };
    let foundation = Foundation::Write(vec![attribute]);
    let mut payload = Vec::new();
    foundation.write(&mut payload)?;
    let command = foundation.command();
    Ok(Order { endpoint, cluster: line.cluster, control: 0x00, command, payload })
}

/// A number in steps of its type; what it has to be where it is none.
fn within(info: &AttributeInfo, factor: f64, input: &Json) -> Result<i128, String> {
    let (low, high) = range(info.data_type).unwrap_or((0, 0));
    let number = input.as_f64().map(|number| steps(number, factor)).filter(|n| (low..=high).contains(n));
    number.ok_or_else(|| format!("a number from {} to {}", low as f64 * factor, high as f64 * factor))
}

/// The whole number of steps that is nearest to a figure.
fn steps(number: f64, factor: f64) -> i128 {
    // A double beyond all whole numbers becomes the last of them, which no type holds.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what does not fit saturates and is refused by the type"
    )]
    let steps = (number / factor).round() as i128;
    steps
}

impl Input {
    /// The figure that is asked for, or what it is where nobody says it.
    fn number(&self, input: &Json) -> Result<f64, OrderError> {
        let given = if self.name.is_empty() { None } else { input.get(self.name) };
        match (given, self.default) {
            (None, Some(default)) => Ok(default),
            (Some(given), _) => {
                let number = given.as_f64().filter(|n| (self.minimum..=self.maximum).contains(n));
                number.ok_or_else(|| self.error())
            }
            (None, None) => Err(self.error()),
        }
    }

    fn error(&self) -> OrderError {
        let wanted = format!("a number from {} to {}", self.minimum, self.maximum);
        OrderError::Input { name: self.name.to_owned(), wanted }
    }
}
