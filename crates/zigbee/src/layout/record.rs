//! Messages by their layout.

use std::fmt;

use super::{Condition, Field, Kind, Layout, Times};
use crate::bytes::{Malformed, Problem, Reader};
use crate::green_power::Commissioning;
use crate::zcl::{Length, Value};

/// The fields of a message, in order.
#[derive(Clone, PartialEq, Default)]
pub struct Record(pub Vec<(&'static str, Item)>);

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A value.
    Value(Value),
    /// Fields of its own.
    Record(Record),
    /// Any number of these.
    List(Vec<Item>),
}

/// A record, and the one that it is in: conditions and counts look outwards.
#[derive(Clone, Copy)]
struct Scope<'a> {
    record: &'a Record,
    outer: Option<&'a Scope<'a>>,
}

impl Layout {
    /// Reads a message from the start of the bytes, and gives what follows: later revisions append to messages.
    ///
    /// # Errors
    ///
    /// With what is cut short.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<(Record, &'a [u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let record = self.read_in(&mut reader, None)?;
        Ok((record, reader.rest()))
    }

    /// The octets that are sent.
    ///
    /// # Errors
    ///
    /// With fields that are missing or of another type.
    pub fn write(&self, record: &Record, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.write_in(Scope { record, outer: None }, out)
    }

    fn read_in(&self, reader: &mut Reader<'_>, outer: Option<&Scope<'_>>) -> Result<Record, Malformed> {
        let mut record = Record::default();
        for field in &self.0 {
            let scope = Scope { record: &record, outer };
            if !field.applies(scope) || (field.optional && reader.is_empty()) {
                continue;
            }
            let item = field.read(reader, scope)?;
            let ends = field.ends_unless_zero && item.number() != Some(0);
            record.0.push((field.name, item));
            if ends {
                break;
            }
        }
        Ok(record)
    }

    fn write_in(&self, scope: Scope<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        for field in self.0.iter().filter(|field| field.applies(scope)) {
            match scope.record.get(field.name) {
                Some(item) => field.write(item, scope, out)?,
                None if field.optional => {}
                None => return Err(Malformed::new(field.name, Problem::Missing)),
            }
            if field.ends_unless_zero && scope.number(field.name) != Some(0) {
                break;
            }
        }
        Ok(())
    }
}

impl Field {
    fn applies(&self, scope: Scope<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(scope))
    }

    fn read(&self, reader: &mut Reader<'_>, scope: Scope<'_>) -> Result<Item, Malformed> {
        let count = match self.times {
            Times::Once => return self.read_one(reader, scope),
            Times::Counted(count) => scope.number(count).unwrap_or(0),
            Times::WhileThere => i128::MAX,
        };
        let mut list = Vec::new();
        let mut left = reader.left();
        for _ in 0..count {
            if reader.is_empty() && self.times == Times::WhileThere {
                break;
            }
            list.push(self.read_one(reader, scope)?);
            // What takes no octet could go on for ever.
            if reader.left() == left {
                return Err(Malformed::new(self.name, Problem::Range));
            }
            left = reader.left();
        }
        Ok(Item::List(list))
    }

    fn read_one(&self, reader: &mut Reader<'_>, scope: Scope<'_>) -> Result<Item, Malformed> {
        let named = |malformed: Malformed| Malformed::new(self.name, malformed.problem);
        match &self.kind {
            Kind::Value(data_type) => Value::read(*data_type, reader).map(Item::Value).map_err(named),
            Kind::Tlv => {
                let len = usize::from(reader.u8(self.name)?) + 1;
                let octets = reader.take(self.name, len)?.to_vec();
                Ok(Item::Value(Value::Octets(Some(octets), Length::Short)))
            }
            Kind::Group(layout) => layout.read_in(reader, Some(&scope)).map(Item::Record),
        }
    }

    fn write(&self, item: &Item, scope: Scope<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let Item::List(list) = item else { return self.write_one(item, scope, out) };
        if let Times::Counted(count) = self.times
            && i128::try_from(list.len()).ok() != Some(scope.number(count).unwrap_or(0))
        {
            return Err(Malformed::new(self.name, Problem::TooMuch(list.len())));
        }
        list.iter().try_for_each(|item| self.write_one(item, scope, out))
    }

    fn write_one(&self, item: &Item, scope: Scope<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (&self.kind, item) {
            (Kind::Value(data_type), Item::Value(value)) if value.data_type() == *data_type => {
                value.write(out)
            }
            (Kind::Tlv, Item::Value(Value::Octets(Some(octets), _))) => {
                let len = octets.len().checked_sub(1).and_then(|len| u8::try_from(len).ok());
                out.push(len.ok_or(Malformed::new(self.name, Problem::TooMuch(octets.len())))?);
                out.extend(octets);
                Ok(())
            }
            (Kind::Group(layout), Item::Record(record)) => {
                layout.write_in(Scope { record, outer: Some(&scope) }, out)
            }
            _ => Err(Malformed::new(self.name, Problem::Range)),
        }
    }
}

impl Condition {
    fn holds(&self, scope: Scope<'_>) -> bool {
        scope.number(self.field).is_some_and(|number| self.values.contains(&(number & self.mask)))
    }
}

impl Scope<'_> {
    fn number(self, name: &str) -> Option<i128> {
        match self.record.get(name) {
            Some(item) => item.number(),
            None => self.outer.and_then(|outer| outer.number(name)),
        }
    }
}

impl Record {
    /// The field of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Item> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, item)| item)
    }

    /// The whole number in the field of a name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i128> {
        self.get(name).and_then(Item::number)
    }

    /// What stands in the place of a field that nobody should read over a shoulder: what opens a door, and what a Green
    /// Power device and its network tell each other as they meet, which has the device's key in it. Keys as such are
    /// values that do not show themselves.
    fn secret(&self, name: &str, item: &Item) -> Option<&'static str> {
        let told = || self.number("gpdCommand").and_then(|command| u8::try_from(command).ok());
        match (name, item) {
            ("code", Item::Value(Value::Octets(Some(_), _) | Value::Text(Some(_), _))) => Some("a code"),
            ("gpdPayload", _) if matches!(told(), Some(Commissioning::COMMAND | Commissioning::REPLY)) => {
                Some("not shown")
            }
            _ => None,
        }
    }
}

impl Item {
    /// The whole number that it is.
    #[must_use]
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Value(value) => value.number(),
            Self::Record(_) | Self::List(_) => None,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, item)) in self.0.iter().enumerate() {
            write!(f, "{}{name} = ", if i == 0 { "" } else { ", " })?;
            match self.secret(name, item) {
                Some(secret) => f.write_str(secret)?,
                None => item.fmt(f)?,
            }
        }
        Ok(())
    }
}

/// As it is displayed: secrets are not shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Record(record) => write!(f, "{{{record}}}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}
