//! What a message consists of, as its line in `data/` says it, and messages read and written by that.
//!
//! A layout is a row of fields, `name:type`, with the short names of the library's types (2.6.2), or a row in parentheses.
//! Behind the type may follow:
//!
//! - `[count]`: as many as the field `count` says; `[]`: as many as there are;
//! - `{field=1|2}`, `{field&0xf0=0x10}`: only where the other field, masked, is one of these;
//! - `?`: may be left out at the end of the message;
//! - `!`: where it is not zero, nothing follows: the status of a response.
//!
//! The type `tlv` is octets whose count is sent less one (Zigbee, revision 23, annex I).

mod given;
mod parse;
mod record;

pub(crate) use given::Given;
pub use record::{Item, Record};

use crate::zcl::DataType;

/// What a message consists of.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout(Vec<Field>);

#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: &'static str,
    kind: Kind,
    times: Times,
    conditions: Vec<Condition>,
    optional: bool,
    ends_unless_zero: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Value(DataType),
    /// Octets with their count less one.
    Tlv,
    Group(Layout),
}

#[derive(Debug, PartialEq, Eq)]
enum Times {
    Once,
    Counted(&'static str),
    WhileThere,
}

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    field: &'static str,
    mask: i128,
    values: Vec<i128>,
}

impl Layout {
    /// The type of a field that is one value.
    pub(crate) fn data_type(&self, name: &str) -> Option<DataType> {
        self.0.iter().find(|field| field.name == name).and_then(|field| match field.kind {
            Kind::Value(data_type) => Some(data_type),
            Kind::Tlv | Kind::Group(_) => None,
        })
    }
}
