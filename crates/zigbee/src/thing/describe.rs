//! A node as a Thing Description.

use serde_json::{Map, Value as Json, json};
use thingward_model::description::{CONTEXT, DescriptionError, NAMESPACE, ThingDescription};

use super::Thing;
use super::table::{Conversion, Input, Line, Subject};
use super::words::words;
use crate::library::AttributeInfo;
use crate::zcl::{DataType, Integer};

/// What a node has, under this title.
///
/// # Errors
///
/// When it has more than a description may.
pub fn describe(thing: &Thing, title: &str) -> Result<ThingDescription, DescriptionError> {
    let (mut properties, mut actions, mut events) = (Map::new(), Map::new(), Map::new());
    for (endpoint, line) in thing.lines() {
        let name = thing.name(endpoint, line);
        match line.subject {
            // What a figure without a unit is worth is not known: it passes through raw.
            Subject::Property(_) if thing.conversion(endpoint, line).is_none() => None,
            Subject::Property(info) => properties.insert(name, property(line, info)),
            Subject::Write(info) => actions.insert(name, write(line, info)),
            Subject::Action(_) => actions.insert(name, action(line)),
            Subject::Event(_) => events.insert(name, json!({"forms": forms("devices/me/telemetry")})),
        };
    }
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": title,
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "properties": properties,
        "actions": actions,
        "events": events,
    });
    ThingDescription::parse(document.to_string().as_bytes())
}

fn forms(href: &str) -> Json {
    json!([{"href": href}])
}

fn property(line: &Line, info: &AttributeInfo) -> Json {
    let mut schema = value(line, info);
    schema.insert("readOnly".to_owned(), true.into());
    schema.insert("observable".to_owned(), info.reportable.into());
    schema.insert("forms".to_owned(), forms("devices/me/telemetry"));
    schema.into()
}

fn write(line: &Line, info: &AttributeInfo) -> Json {
    let mut input = value(line, info);
    if let Some((low, high)) = range(info.data_type)
        && !matches!(line.conversion, Conversion::Word(_))
    {
        let factor = line.conversion.factor();
        input.insert("minimum".to_owned(), (low as f64 * factor).into());
        input.insert("maximum".to_owned(), (high as f64 * factor).into());
    }
    json!({"input": input, "idempotent": true, "tw:sensitive": line.sensitive, "forms": forms("devices/me/commands")})
}

/// What values of an attribute are.
fn value(line: &Line, info: &AttributeInfo) -> Map<String, Json> {
    let kind = match (line.conversion, info.data_type) {
        (Conversion::Word(_), _) => "string",
        (Conversion::LowestBit, _) | (_, DataType::BOOLEAN) => "boolean",
        (_, DataType::TEXT) => "string",
        (_, DataType::SINGLE) => "number",
        (Conversion::Plain | Conversion::Percent, _) => "integer",
        _ => "number",
    };
    let mut schema = Map::new();
    schema.insert("type".to_owned(), kind.into());
    if let Conversion::Word(of) = line.conversion {
        schema.insert("enum".to_owned(), words(of).collect());
    }
    if !line.unit.is_empty() {
        schema.insert("unit".to_owned(), line.unit.into());
    }
    schema
}

fn action(line: &Line) -> Json {
    let asked: Vec<&Input> = line.inputs.iter().filter(|input| !input.name.is_empty()).collect();
    let mut action = Map::new();
    action.insert("tw:sensitive".to_owned(), line.sensitive.into());
    action.insert("forms".to_owned(), forms("devices/me/commands"));
    if !asked.is_empty() {
        let properties: Map<String, Json> =
            asked.iter().map(|input| (input.name.to_owned(), schema(input))).collect();
        let required: Vec<&str> =
            asked.iter().filter(|input| input.default.is_none()).map(|input| input.name).collect();
        let input = json!({"type": "object", "properties": properties, "required": required});
        action.insert("input".to_owned(), input);
    }
    action.into()
}

fn schema(input: &Input) -> Json {
    let kind = if (input.factor - 1.0).abs() < f64::EPSILON { "integer" } else { "number" };
    let mut schema = Map::new();
    schema.insert("type".to_owned(), kind.into());
    schema.insert("minimum".to_owned(), input.minimum.into());
    schema.insert("maximum".to_owned(), input.maximum.into());
    if !input.unit.is_empty() {
        schema.insert("unit".to_owned(), input.unit.into());
    }
    schema.into()
}

impl Conversion {
    pub(super) const fn factor(self) -> f64 {
        match self {
            Self::Factor(factor) => factor,
            _ => 1.0,
        }
    }
}

/// The lowest and highest numbers of a type that stand for a value.
pub(super) fn range(data_type: DataType) -> Option<(i128, i128)> {
    let fits = |number: i128| Integer::new(data_type, number).is_ok_and(|integer| !integer.is_non_value());
    // The widest type has 64 bits.
    let high = (0..=64)
        .rev()
        .map(|bits| (1i128 << bits) - 1)
        .flat_map(|most| [most, most - 1])
        .find(|n| fits(*n))?;
    let low = if fits(-1) { -high } else { 0 };
    Some((low, high))
}
