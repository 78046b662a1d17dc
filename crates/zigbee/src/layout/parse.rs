//! Layouts from their text.

use super::{Condition, Field, Kind, Layout, Times};
use crate::zcl::DataType;

impl Layout {
    /// Reads a layout; `None` where the text is none.
    #[must_use]
    pub fn parse(text: &'static str) -> Option<Self> {
        let (layout, rest) = row(text)?;
        rest.is_empty().then_some(layout)
    }
}

/// Fields until the end or a parenthesis, and what follows.
fn row(mut text: &'static str) -> Option<(Layout, &'static str)> {
    let mut fields = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() || text.starts_with(')') {
            return Some((Layout(fields), text));
        }
        let (field, rest) = field(text)?;
        fields.push(field);
        text = rest;
    }
}

fn field(text: &'static str) -> Option<(Field, &'static str)> {
    let (name, text) = text.split_once(':')?;
    let (kind, mut text) = kind(text)?;
    let mut field = Field {
        name,
        kind,
        times: Times::Once,
        conditions: Vec::new(),
        optional: false,
        ends_unless_zero: false,
    };
    loop {
        if let Some(rest) = text.strip_prefix('[') {
            let (count, rest) = rest.split_once(']')?;
            field.times = if count.is_empty() { Times::WhileThere } else { Times::Counted(count) };
            text = rest;
        } else if let Some(rest) = text.strip_prefix('{') {
            let (condition, rest) = rest.split_once('}')?;
            field.conditions.push(self::condition(condition)?);
            text = rest;
        } else if let Some(rest) = text.strip_prefix('?') {
            field.optional = true;
            text = rest;
        } else if let Some(rest) = text.strip_prefix('!') {
            field.ends_unless_zero = true;
            text = rest;
        } else {
            return Some((field, text));
        }
    }
}

fn kind(text: &'static str) -> Option<(Kind, &'static str)> {
    if let Some(rest) = text.strip_prefix('(') {
        let (layout, rest) = row(rest)?;
        return Some((Kind::Group(layout), rest.strip_prefix(')')?));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let kind = if name == "tlv" { Kind::Tlv } else { Kind::Value(DataType::named(name)?) };
    Some((kind, rest))
}

fn condition(text: &'static str) -> Option<Condition> {
    let (field, values) = text.split_once('=')?;
    let (field, mask) = match field.split_once('&') {
        Some((field, mask)) => (field, number(mask)?),
        None => (field, -1),
    };
    let values = values.split('|').map(number).collect::<Option<_>>()?;
    Some(Condition { field, mask, values })
}

fn number(text: &str) -> Option<i128> {
    match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
