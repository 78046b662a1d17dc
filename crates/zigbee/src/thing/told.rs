//! What a node says, as properties and events.

use super::table::{Conversion, Line, Subject};
use super::words::word;
use super::{Endpoint, Thing};
use crate::layout::Record;
use crate::zcl::{Attribute, DataType, Value, ZclHeader};

/// What a node said.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A property's value.
    Property {
        /// Its name.
        name: String,
        /// Its unit, as SenML writes it; empty without.
        unit: &'static str,
        /// Its value; `None` where the node says that there is none.
        value: Option<Scalar>,
    },
    /// Something happened.
    Event {
        /// Its name.
        name: String,
        /// What the node said of it.
        data: Record,
    },
    /// Something that no line of the tables has, or of another type than the table says.
    Raw {
        /// The endpoint.
        endpoint: u8,
        /// The cluster.
        cluster: u16,
        /// Whose attribute; none for those of the library.
        manufacturer: Option<u16>,
        /// The attribute.
        attribute: u16,
        /// The type's number.
        data_type: u8,
        /// The value, as it was sent.
        octets: Vec<u8>,
    },
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A finite number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
}

impl Thing {
    /// What an attribute that was reported or read says.
    #[must_use]
    pub fn attribute(&self, endpoint: u8, cluster: u16, header: &ZclHeader, attribute: &Attribute) -> Told {
        let of = |line: &&Line| match line.subject {
            Subject::Property(info) => {
                line.cluster == cluster
                    && info.id == attribute.id
                    && info.data_type == attribute.value.data_type()
            }
            Subject::Write(_) | Subject::Action(_) | Subject::Event(_) => false,
        };
        let known = header.manufacturer.is_none();
        let line = super::table::lines().find(of).filter(|_| known && self.serves(endpoint, cluster));
        let value =
            line.and_then(|line| Some((line, self.conversion(endpoint, line)?.of(&attribute.value)?)));
        match value {
            Some((line, value)) => Told::Property { name: self.name(endpoint, line), unit: line.unit, value },
            None => raw(endpoint, cluster, header, attribute),
        }
    }

    /// What a command that a node sent unasked says; `None` where no line has it.
    #[must_use]
    pub fn event(&self, endpoint: u8, cluster: u16, header: &ZclHeader, record: &Record) -> Option<Told> {
        let of = |line: &&Line| match line.subject {
            Subject::Event(info) => {
                line.cluster == cluster && info.id == header.command && info.direction == header.direction()
            }
            Subject::Property(_) | Subject::Write(_) | Subject::Action(_) => false,
        };
        let there = self.endpoints.iter().find(|there| there.id == endpoint)?;
        let line = super::table::lines().find(of).filter(|line| there.has(line))?;
        let known = header.manufacturer.is_none();
        known.then(|| Told::Event { name: self.name(endpoint, line), data: record.clone() })
    }

    fn serves(&self, endpoint: u8, cluster: u16) -> bool {
        let serves = |there: &Endpoint| there.id == endpoint && there.servers.contains(&cluster);
        self.endpoints.iter().any(serves)
    }
}

fn raw(endpoint: u8, cluster: u16, header: &ZclHeader, attribute: &Attribute) -> Told {
    let mut octets = Vec::new();
    // What was read can be written.
    let _ = attribute.value.write(&mut octets);
    Told::Raw {
        endpoint,
        cluster,
        manufacturer: header.manufacturer,
        attribute: attribute.id,
        data_type: attribute.value.data_type().number(),
        octets,
    }
}

impl Conversion {
    /// The value in its unit; `None` inside where there is none, and outside where it is nothing that a property can be.
    fn of(self, value: &Value) -> Option<Option<Scalar>> {
        match (value, self) {
            (Value::Integer(integer), _) if integer.is_non_value() => Some(None),
            (Value::Integer(integer), Self::LowestBit) => Some(Some(Scalar::Bool(integer.number() & 1 == 1))),
            // What no word stands for passes through raw.
            (Value::Integer(integer), Self::Word(of)) => {
                Some(Some(Scalar::Text(word(of, integer.number())?.to_owned())))
            }
            (Value::Integer(integer), Self::Plain) if integer.data_type() == DataType::BOOLEAN => {
                Some(Some(Scalar::Bool(integer.number() == 1)))
            }
            // Numbers of 64 bits lose what a double cannot hold.
            (Value::Integer(integer), _) => Some(Some(self.number(integer.number() as f64))),
            (Value::Single(number), _) if number.is_nan() => Some(None),
            (Value::Single(number), _) if number.is_finite() => Some(Some(self.number(f64::from(*number)))),
            (Value::Text(None, _), _) => Some(None),
            (Value::Text(Some(text), _), _) => Some(String::from_utf8(text.clone()).ok().map(Scalar::Text)),
            _ => None,
        }
    }

    fn number(self, number: f64) -> Scalar {
        Scalar::Number(match self {
            Self::Plain | Self::Word(_) | Self::LowestBit | Self::Ratio(_) => number,
            Self::Percent => (number * 100.0 / 254.0).round(),
            Self::Fraction(multiplier, divisor) => number * multiplier / divisor,
            // Divided, hundredths come out as the nearest double; multiplied they do not.
            Self::Factor(factor) if factor < 1.0 => number / (1.0 / factor).round(),
            Self::Factor(factor) => number * factor,
            // Zero is too dark to be measured.
            Self::Illuminance if number < 1.0 => 0.0,
            Self::Illuminance => 10f64.powf((number - 1.0) / 10_000.0),
        })
    }
}
