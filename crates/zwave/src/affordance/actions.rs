//! The way back: actions and the commands that they are: `actions.csv`.

use std::sync::LazyLock;

use super::Shown;
use super::tables::{byte, hex, state_number, table, words};
use crate::{Command, ParseError};

/// An action of things that have a class.
#[derive(Debug)]
pub struct Action {
    /// The class.
    pub class: u8,
    /// Its name.
    pub name: &'static str,
    /// The property that a thing must have shown to have this; empty where its class is enough.
    pub needs: &'static str,
    /// Whether each command needs its user's own approval.
    pub is_sensitive: bool,
    parts: Vec<Part>,
    asks: Vec<u8>,
    /// An input, and the command that it makes, in hexadecimal digits.
    pub example: (&'static str, &'static str),
}

#[derive(Debug)]
enum Part {
    Byte(u8),
    Input(Input),
}

/// What an action takes.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// Its name; empty where it is the whole input.
    pub name: &'static str,
    /// How it is sent.
    pub coding: Coding,
    /// Least number.
    pub minimum: f64,
    /// Greatest number.
    pub maximum: f64,
    /// Its unit, of SenML; empty without.
    pub unit: &'static str,
    /// Whether it may be left out; then it, and what is behind it, is not sent.
    pub is_optional: bool,
    class: u8,
}

/// How an input is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Per cent, as 0 to 99.
    Percent,
    /// A byte.
    Byte,
    /// Seconds, those above 127 as whole minutes: CC, "Duration encoding".
    Duration,
    /// With one digit behind the point, in two bytes and the first unit: CC, "Precision, Scale, Size".
    Tenths,
    /// A word of `states.csv`, for this field.
    Word(&'static str),
}

/// Why an input makes no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// A value is missing, of another type, or outside its bounds.
    #[error("{name} has to be {wanted}")]
    Input {
        /// Which; `the input` where it has no name.
        name: String,
        /// What it has to be.
        wanted: String,
    },
    /// Something is given that the action does not take.
    #[error("there is no input {0}")]
    Unknown(String),
    /// The command is none.
    #[error(transparent)]
    Command(#[from] ParseError),
}

/// The file.
pub(super) const ACTIONS: &str = include_str!("../../data/actions.csv");

static ROWS: LazyLock<Vec<Action>> = LazyLock::new(|| table(ACTIONS, row));

/// What things that have a class can be told to do.
pub fn actions(class: u8) -> impl Iterator<Item = &'static Action> {
    ROWS.iter().filter(move |row| row.class == class)
}

impl Action {
    /// What it takes, in the order in which it is sent. One without a name is the whole input.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.parts.iter().filter_map(|part| if let Part::Input(input) = part { Some(input) } else { None })
    }

    /// The command that it is with these inputs.
    ///
    /// # Errors
    ///
    /// [`ActionError`] where they are not what it takes.
    pub fn command(&self, given: &[(&str, Shown)]) -> Result<Command, ActionError> {
        let takes = |name: &str| self.inputs().any(|input| input.name == name);
        if let Some((name, _)) = given.iter().find(|(name, _)| !takes(name)) {
            return Err(ActionError::Unknown((*name).to_owned()));
        }
        let mut command = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Byte(byte) => command.push(*byte),
                Part::Input(input) => match given.iter().find(|(name, _)| *name == input.name) {
                    None if input.is_optional => break,
                    None => return Err(input.error()),
                    Some((_, value)) => command.extend(input.bytes(value).ok_or_else(|| input.error())?),
                },
            }
        }
        Ok(Command::parse(&command)?)
    }

    /// What is asked afterwards, so that the property follows.
    #[must_use]
    pub fn asks(&self) -> Option<Command> {
        if self.asks.is_empty() { None } else { Command::parse(&self.asks).ok() }
    }
}

impl Input {
    /// The words that it may be; none for a number.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        match self.coding {
            Coding::Word(field) => words(self.class, field).collect(),
            Coding::Percent | Coding::Byte | Coding::Duration | Coding::Tenths => Vec::new(),
        }
    }

    /// `None` for a value that it cannot be.
    fn bytes(&self, value: &Shown) -> Option<Vec<u8>> {
        if let Coding::Word(field) = self.coding {
            let Shown::Word(word) = value else { return None };
            return state_number(self.class, field, word).map(|number| vec![number]);
        }
        let Shown::Number(number) = *value else { return None };
        if !(self.minimum..=self.maximum).contains(&number) {
            return None;
        }
        match self.coding {
            Coding::Percent => byte_of(number * FULL / 100.0),
            Coding::Byte => byte_of(number).filter(|_| number.fract() == 0.0),
            Coding::Duration if number <= 127.0 => byte_of(number),
            Coding::Duration => byte_of(127.0 + (number / 60.0)),
            Coding::Tenths => {
                let digits: i16 = whole(number * 10.0)?;
                let [high, low] = digits.to_be_bytes();
                // One digit behind the point, the first unit, two bytes.
                return Some(vec![1 << 5 | 2, high, low]);
            }
            Coding::Word(_) => None,
        }
        .map(|byte| vec![byte])
    }

    fn error(&self) -> ActionError {
        let name = if self.name.is_empty() { "the input" } else { self.name };
        let wanted = match self.coding {
            Coding::Word(_) => format!("one of {}", self.words().join(", ")),
            _ => format!("a number from {} to {}", self.minimum, self.maximum),
        };
        ActionError::Input { name: name.to_owned(), wanted }
    }
}

/// Highest level: all the way.
const FULL: f64 = 99.0;

/// The nearest whole number, if the type has it.
fn whole<T: std::str::FromStr>(number: f64) -> Option<T> {
    // Zero has no sign here.
    format!("{:.0}", number.round() + 0.0).parse().ok()
}

fn byte_of(number: f64) -> Option<u8> {
    whole(number)
}

fn row(fields: &[&'static str]) -> Option<Action> {
    let [class, name, needs, flags, bytes, inputs, asks, given, sends] = *fields else { return None };
    let class = byte(class)?;
    let is_sensitive = match flags {
        "" => false,
        "sensitive" => true,
        _ => return None,
    };
    let inputs = inputs.split_whitespace().map(|text| input(class, text)).collect::<Option<Vec<_>>>()?;
    let parts = parts(bytes, inputs)?;
    Some(Action { class, name, needs, is_sensitive, parts, asks: hex(asks)?, example: (given, sends) })
}

/// Bytes, with `*` for each input.
fn parts(text: &str, inputs: Vec<Input>) -> Option<Vec<Part>> {
    let mut inputs = inputs.into_iter();
    let mut all = Vec::new();
    for (at, bytes) in text.split('*').enumerate() {
        if at > 0 {
            all.push(Part::Input(inputs.next()?));
        }
        all.extend(hex(bytes)?.into_iter().map(Part::Byte));
    }
    inputs.next().is_none().then_some(all)
}

fn input(class: u8, text: &'static str) -> Option<Input> {
    let mut parts = text.split('|');
    let [name, coding, minimum, maximum, unit, optional] = [(); 6].map(|()| parts.next());
    let coding = match coding? {
        "percent" => Coding::Percent,
        "byte" => Coding::Byte,
        "duration" => Coding::Duration,
        "tenths" => Coding::Tenths,
        other => Coding::Word(other.strip_prefix("word:")?),
    };
    let bound = |text: &str| if text.is_empty() { Some(0.0) } else { text.parse().ok() };
    let (minimum, maximum, unit) = (bound(minimum?)?, bound(maximum?)?, unit?);
    let is_optional = match optional? {
        "" => false,
        "optional" => true,
        _ => return None,
    };
    Some(Input { name: name?, coding, minimum, maximum, unit, is_optional, class })
}
