//! A node as a Thing Description (W3C, TD 1.1).

use serde_json::{Map, Value as Json, json};
use thingward_model::description::DescriptionError;
use thingward_zwave::affordance::{Action, Coding, Input, Kind};

use super::member::{Member, Shape};
use crate::draft::{Draft, schema};

/// What a node has, in JSON.
pub(super) fn describe(member: &Member) -> Result<Vec<u8>, DescriptionError> {
    let mut draft = Draft::default();
    for row in member.rows() {
        add(&mut draft, row.name, row.value_type.into(), row.unit, row.kind == Kind::Event);
    }
    for learned in &member.learned {
        add(&mut draft, learned.name.as_str(), learned.shape, learned.unit.as_str(), learned.is_event);
    }
    for action in member.actions() {
        draft.action(action.name, input(action), action.is_sensitive);
    }
    draft.finish(&format!("Z-Wave node {}", member.known.node), "A node of a Z-Wave network")
}

fn add(draft: &mut Draft, name: &str, shape: Shape, unit: &str, is_event: bool) {
    let kind = match shape {
        Shape::Boolean => "boolean",
        Shape::Integer => "integer",
        Shape::Number => "number",
        // Bytes are written in hexadecimal digits or base64 wherever they become JSON.
        Shape::Text | Shape::Bytes => "string",
    };
    if is_event {
        draft.event(name, kind);
    } else {
        draft.property(name, schema(kind, unit));
    }
}

/// The schema of what an action takes.
fn input(action: &Action) -> Option<Json> {
    let inputs: Vec<&Input> = action.inputs().collect();
    match inputs.as_slice() {
        [] => None,
        [whole] if whole.name.is_empty() => Some(value(whole)),
        inputs => {
            let properties: Map<String, Json> =
                inputs.iter().map(|each| (each.name.to_owned(), value(each))).collect();
            let required: Vec<&str> =
                inputs.iter().filter(|input| !input.is_optional).map(|input| input.name).collect();
            Some(json!({"type": "object", "properties": properties, "required": required}))
        }
    }
}

fn value(input: &Input) -> Json {
    match input.coding {
        Coding::Word(_) => json!({"type": "string", "enum": input.words()}),
        Coding::Byte | Coding::Percent | Coding::Duration => bounded("integer", input),
        Coding::Tenths => bounded("number", input),
    }
}

fn bounded(kind: &str, input: &Input) -> Json {
    let mut schema = schema(kind, input.unit);
    schema.insert("minimum".to_owned(), input.minimum.into());
    schema.insert("maximum".to_owned(), input.maximum.into());
    schema.into()
}
