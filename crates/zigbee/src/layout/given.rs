//! Messages from numbers and octets, whose types the layout knows.

use super::{Field, Item, Kind, Layout, Record};
use crate::address::Eui64;
use crate::bytes::{Malformed, Problem};
use crate::security::Key;
use crate::zcl::{DataType, Length, Value};

/// What a field is given.
pub(crate) enum Given {
    Number(i128),
    Numbers(Vec<i128>),
    Octets(Vec<u8>),
    Eui64(Eui64),
    Key(Key),
}

impl Layout {
    /// A message with these fields, each of the type that it has here.
    pub(crate) fn record(&self, given: Vec<(&'static str, Given)>) -> Result<Record, Malformed> {
        let item = |(name, given): (&'static str, Given)| {
            let field = self.0.iter().find(|field| field.name == name);
            let field = field.ok_or(Malformed::new(name, Problem::Missing))?;
            Ok((field.name, field.item(given)?))
        };
        Ok(Record(given.into_iter().map(item).collect::<Result<_, _>>()?))
    }
}

impl Layout {
    /// A message of another layout in this one: numbers are of its types, and what the other lacks is nothing.
    ///
    /// # Errors
    ///
    /// With numbers that do not fit.
    pub fn retyped(&self, record: &Record) -> Result<Record, Malformed> {
        let item = |field: &Field| {
            let item = match record.get(field.name) {
                Some(Item::Value(Value::Integer(integer))) => field.item(Given::Number(integer.number()))?,
                Some(item) => item.clone(),
                None => field.nothing()?,
            };
            Ok((field.name, item))
        };
        Ok(Record(self.0.iter().map(item).collect::<Result<_, _>>()?))
    }
}

impl Field {
    /// Zero, or as much as that; of an address that somebody is to stand in for, nobody's.
    fn nothing(&self) -> Result<Item, Malformed> {
        match self.kind {
            Kind::Value(DataType::EUI64) => self.item(Given::Eui64(Eui64(0))),
            Kind::Value(_) if self.name == "alias" => self.item(Given::Number(0xffff)),
            _ => self.item(Given::Number(0)),
        }
    }

    fn item(&self, given: Given) -> Result<Item, Malformed> {
        Ok(match given {
            Given::Number(number) => Item::Value(self.number(number)?),
            Given::Numbers(numbers) => {
                let items = numbers.into_iter().map(|number| self.number(number).map(Item::Value));
                Item::List(items.collect::<Result<_, _>>()?)
            }
            Given::Octets(octets) => Item::Value(Value::Octets(Some(octets), Length::Short)),
            Given::Eui64(eui64) => Item::Value(Value::Eui64(eui64)),
            Given::Key(key) => Item::Value(Value::Key(key)),
        })
    }

    fn number(&self, number: i128) -> Result<Value, Malformed> {
        match self.kind {
            Kind::Value(data_type) => Value::integer(data_type, number),
            Kind::Tlv | Kind::Group(_) => Err(Malformed::new(self.name, Problem::Range)),
        }
    }
}
