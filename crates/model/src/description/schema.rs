//! Data schemas: TD 1.1 §5.3.2.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use serde_json::Value;

use super::read::{DescriptionError, Place};
use super::{CHOICES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_MEMBERS_MAX, WORD_BYTES_MAX};

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// What people call it.
    pub title: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// It can only be read.
    pub is_read_only: bool,
    /// The values that there are (`enum`, or one by `const`); empty for any.
    pub choices: Vec<Value>,
    /// Exactly one of these has to hold as well (`oneOf`); empty for none.
    pub one_of: Vec<Schema>,
    /// What form it has.
    pub kind: Kind,
}

/// The form of a value, with the bounds that the form has.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing is said.
    Any,
    /// Null.
    Null,
    /// True or false.
    Boolean,
    /// A number.
    Number(Bounds),
    /// A whole number.
    Integer(Bounds),
    /// A text.
    Text {
        /// Fewest characters.
        length_min: u64,
        /// Most characters.
        length_max: Option<u64>,
        /// A regular expression that is not checked here, so that no value can be said to fit it.
        pattern: Option<String>,
    },
    /// Values by name.
    Object {
        /// What they are; empty when nothing is said.
        properties: BTreeMap<String, Schema>,
        /// Those that have to be there.
        required: Vec<String>,
    },
    /// Values in a row.
    Array {
        /// What each is.
        items: Option<Box<Schema>>,
        /// Fewest.
        items_min: u64,
        /// Most.
        items_max: Option<u64>,
    },
}

/// Bounds of a number, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// Least value.
    pub minimum: Option<f64>,
    /// Greatest value.
    pub maximum: Option<f64>,
    /// Less than any value.
    pub exclusive_minimum: Option<f64>,
    /// Greater than any value.
    pub exclusive_maximum: Option<f64>,
    /// What values are multiples of.
    pub multiple_of: Option<f64>,
}

impl Schema {
    /// Reads a schema that stands on level `depth`.
    pub(super) fn read(place: &Place<'_>, depth: usize) -> Result<Self, DescriptionError> {
        place.object()?;
        if depth > SCHEMA_DEPTH_MAX {
            return place.fail(format!("is a schema below {SCHEMA_DEPTH_MAX} others"));
        }
        let mut choices = match place.member("enum") {
            None => Vec::new(),
            Some(list) => {
                let choices: Vec<Value> = list.items(CHOICES_MAX)?.iter().map(|p| p.value.clone()).collect();
                if choices.is_empty() {
                    return list.fail("is empty");
                }
                choices
            }
        };
        if let Some(only) = place.member("const") {
            choices = [only.value.clone()].into();
        }
        let one_of = place.maybe("oneOf", |p| {
            p.items(SCHEMA_MEMBERS_MAX)?.iter().map(|s| Self::read(s, depth + 1)).collect()
        })?;
        let is_read_only = place.member("readOnly").is_some_and(|p| p.value == &Value::Bool(true));
        Ok(Self {
            title: place.maybe_word("title")?,
            description: place.maybe_text("description")?,
            unit: place.maybe_word("unit")?,
            is_read_only,
            choices,
            one_of: one_of.unwrap_or_default(),
            kind: kind(place, depth)?,
        })
    }
}

fn kind(place: &Place<'_>, depth: usize) -> Result<Kind, DescriptionError> {
    let Some(word) = place.member("type") else { return Ok(Kind::Any) };
    match word.text(WORD_BYTES_MAX)?.as_str() {
        "null" => Ok(Kind::Null),
        "boolean" => Ok(Kind::Boolean),
        "number" => bounds(place).map(Kind::Number),
        "integer" => bounds(place).map(Kind::Integer),
        "string" => Ok(Kind::Text {
            length_min: place.maybe("minLength", Place::count)?.unwrap_or_default(),
            length_max: place.maybe("maxLength", Place::count)?,
            pattern: place.maybe_text("pattern")?,
        }),
        "object" => object(place, depth),
        "array" => Ok(Kind::Array {
            items: items(place, depth)?,
            items_min: place.maybe("minItems", Place::count)?.unwrap_or_default(),
            items_max: place.maybe("maxItems", Place::count)?,
        }),
        _ => word.fail("is none of boolean, integer, number, string, object, array, null"),
    }
}

fn bounds(place: &Place<'_>) -> Result<Bounds, DescriptionError> {
    let bounds = Bounds {
        minimum: place.maybe("minimum", Place::number)?,
        maximum: place.maybe("maximum", Place::number)?,
        exclusive_minimum: place.maybe("exclusiveMinimum", Place::number)?,
        exclusive_maximum: place.maybe("exclusiveMaximum", Place::number)?,
        multiple_of: place.maybe("multipleOf", Place::number)?,
    };
    if bounds.multiple_of.is_some_and(|m| m <= 0.0) {
        return place.fail("has a multipleOf that is not greater than 0");
    }
    match (bounds.minimum, bounds.maximum) {
        (Some(low), Some(high)) if low > high => place.fail("has a minimum above its maximum"),
        _ => Ok(bounds),
    }
}

fn object(place: &Place<'_>, depth: usize) -> Result<Kind, DescriptionError> {
    let mut properties = BTreeMap::new();
    for (name, member) in place.members("properties", SCHEMA_MEMBERS_MAX)? {
        properties.insert(String::from(name), Schema::read(&member, depth + 1)?);
    }
    let required = place.maybe("required", |p| {
        p.items(SCHEMA_MEMBERS_MAX)?.iter().map(|name| name.text(WORD_BYTES_MAX)).collect()
    })?;
    Ok(Kind::Object { properties, required: required.unwrap_or_default() })
}

/// One schema for all items. The standard also allows one for each place, of which we know nothing then.
fn items(place: &Place<'_>, depth: usize) -> Result<Option<Box<Schema>>, DescriptionError> {
    match place.member("items") {
        Some(items) if items.value.is_object() => Schema::read(&items, depth + 1).map(|s| Some(Box::new(s))),
        _ => Ok(None),
    }
}
