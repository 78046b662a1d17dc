//! Messages from numbers and octets, whose types the layout knows.

use super::{Field, Item, Kind, Layout, Record};
use crate::address::Eui64;
use crate::bytes::{Malformed, Problem};
use crate::security::Key;
use crate::zcl::{Length, Value};

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

impl Field {
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
