//! The one model of what sensors say.

use std::fmt;

use crate::address::Address;

/// What one structure of an advertisement said.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who said it; with [`Security::Open`] anybody may have.
    pub address: Address,
    /// How it was written.
    pub format: Format,
    /// What stands behind it.
    pub security: Security,
    /// The maker's model, where the format tells and our table knows it.
    pub model: Option<&'static str>,
    /// States and measurements.
    pub readings: Vec<Reading>,
    /// What happened.
    pub events: Vec<Event>,
    /// What came with it and is not understood.
    pub raw: Vec<Raw>,
}

/// How a report was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// BTHome version 1.
    BthomeV1,
    /// BTHome version 2.
    BthomeV2,
    /// Data formats of Ruuvi.
    Ruuvi,
    /// Xiaomi's MiBeacon.
    MiBeacon,
    /// Xiaomi's scales that came before it.
    XiaomiScale,
    /// The plant sensor HHCCJCY10.
    PlantSensor,
}

/// What stands behind a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// Nothing: everybody reads it, and anybody can send it.
    Open,
    /// It was encrypted without a check of its bytes (MiBeacon 2 and 3): whoever heard one can send a changed one.
    Unauthenticated,
    /// It was encrypted and authenticated with the device's key, and is newer than all that came before.
    Encrypted,
}

/// A state or a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Of what.
    pub name: Name,
    /// In what: a unit of SenML (RFC 8428 §12.1, RFC 8798) where there is one; empty without.
    pub unit: &'static str,
    /// How much.
    pub value: Value,
}

/// What a reading says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// Yes or no. A reading may share its name with a number: a battery has a level, and is low.
    Flag(bool),
    /// Seconds since 1970 by the device's clock.
    Time(u64),
    /// A text.
    Text(String),
    /// Bytes without a meaning.
    Bytes(Vec<u8>),
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// To what, for example `button_2`.
    pub name: Name,
    /// What, for example `long_press`.
    pub action: &'static str,
    /// How much of it.
    pub detail: Option<Detail>,
}

/// How much of an event there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Steps that a dimmer was turned.
    Steps(u8),
    /// Times that it was pressed.
    Presses(u8),
    /// Seconds for which it was pressed.
    Seconds(u8),
}

/// An object that is not understood: its id or its value is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// An object with its id and value.
    Object {
        /// Its id in the format.
        id: u16,
        /// Its value.
        value: Vec<u8>,
    },
    /// All that follows, because nobody knows where its first object ends.
    Rest(Vec<u8>),
}

/// The name of a reading or of an event's source. Its text is a field name: letters, digits and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    word: &'static str,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Named(&'static str),
    /// From one, where an advertisement has several of the name.
    Nth(usize),
}

impl Name {
    pub(crate) const fn new(word: &'static str) -> Self {
        Self { word, part: Part::Whole }
    }

    /// A named part, such as the left one of two buttons.
    pub(crate) const fn part(word: &'static str, part: &'static str) -> Self {
        Self { word, part: Part::Named(part) }
    }

    pub(crate) const fn nth(self, n: usize) -> Self {
        Self { word: self.word, part: Part::Nth(n) }
    }

    /// The word for the quantity or thing, without the part.
    pub const fn word(&self) -> &'static str {
        self.word
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Whole => f.write_str(self.word),
            Part::Named(part) => write!(f, "{}_{part}", self.word),
            Part::Nth(n) => write!(f, "{}_{n}", self.word),
        }
    }
}

impl Security {
    /// Its word, for logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unauthenticated => "unauthenticated",
            Self::Encrypted => "encrypted",
        }
    }
}
