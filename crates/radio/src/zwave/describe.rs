//! A node as a Thing Description (W3C, TD 1.1).

use serde_json::{Map, Value as Json, json};
use thingward_model::description::{self, CONTEXT, NAMESPACE};
use thingward_zwave::affordance::{Action, Coding, Input, Kind};

use super::member::{Member, Shape};

/// Most of each: what a description may have.
pub(super) const AFFORDANCES_MAX: usize = description::AFFORDANCES_MAX;

/// What a node has, in JSON.
pub(super) fn describe(member: &Member) -> Vec<u8> {
    let (mut properties, mut events) = (Map::new(), Map::new());
    for row in member.rows() {
        let described = match row.kind {
            Kind::Property => (&mut properties, property(row.value_type.into(), row.unit)),
            Kind::Event => (&mut events, event(row.value_type.into(), row.unit)),
        };
        add(described.0, row.name, described.1);
    }
    for learned in &member.learned {
        let (name, unit) = (learned.name.as_str(), learned.unit.as_str());
        if learned.is_event {
            add(&mut events, name, event(learned.shape, unit));
        } else {
            add(&mut properties, name, property(learned.shape, unit));
        }
    }
    let actions: Map<String, Json> =
        member.actions().into_iter().map(|each| (each.name.to_owned(), action(each))).collect();
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": format!("Z-Wave node {}", member.known.node),
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "properties": properties,
        "actions": actions,
        "events": events,
    });
    document.to_string().into_bytes()
}

/// Of two with one name the first; beyond what a description may have none.
fn add(map: &mut Map<String, Json>, name: &str, described: Json) {
    if map.len() < AFFORDANCES_MAX && !map.contains_key(name) {
        map.insert(name.to_owned(), described);
    }
}

fn forms(href: &str) -> Json {
    json!([{"href": href}])
}

fn property(shape: Shape, unit: &str) -> Json {
    let mut schema = schema(shape, unit);
    schema.insert("readOnly".to_owned(), true.into());
    schema.insert("observable".to_owned(), true.into());
    schema.insert("forms".to_owned(), forms("devices/me/telemetry"));
    schema.into()
}

fn event(shape: Shape, unit: &str) -> Json {
    json!({"data": schema(shape, unit), "forms": forms("devices/me/telemetry")})
}

fn schema(shape: Shape, unit: &str) -> Map<String, Json> {
    let mut schema = Map::new();
    let kind = match shape {
        Shape::Boolean => Some("boolean"),
        Shape::Integer => Some("integer"),
        Shape::Number => Some("number"),
        Shape::Text => Some("string"),
        Shape::Bytes => None,
    };
    schema.extend(kind.map(|kind| ("type".to_owned(), kind.into())));
    if !unit.is_empty() {
        schema.insert("unit".to_owned(), unit.into());
    }
    schema
}

fn action(action: &Action) -> Json {
    let mut described = Map::new();
    described.insert("tw:sensitive".to_owned(), action.is_sensitive.into());
    described.insert("idempotent".to_owned(), true.into());
    described.insert("forms".to_owned(), forms("devices/me/commands"));
    let inputs: Vec<&Input> = action.inputs().collect();
    match inputs.as_slice() {
        [] => {}
        [whole] if whole.name.is_empty() => {
            described.insert("input".to_owned(), input(whole));
        }
        inputs => {
            let properties: Map<String, Json> =
                inputs.iter().map(|each| (each.name.to_owned(), input(each))).collect();
            let required: Vec<&str> =
                inputs.iter().filter(|input| !input.is_optional).map(|input| input.name).collect();
            let object = json!({"type": "object", "properties": properties, "required": required});
            described.insert("input".to_owned(), object);
        }
    }
    described.into()
}

fn input(input: &Input) -> Json {
    match input.coding {
        Coding::Word(_) => json!({"type": "string", "enum": input.words()}),
        Coding::Byte | Coding::Percent | Coding::Duration => bounded("integer", input),
        Coding::Tenths => bounded("number", input),
    }
}

fn bounded(kind: &str, input: &Input) -> Json {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), kind.into());
    schema.insert("minimum".to_owned(), input.minimum.into());
    schema.insert("maximum".to_owned(), input.maximum.into());
    if !input.unit.is_empty() {
        schema.insert("unit".to_owned(), input.unit.into());
    }
    schema.into()
}
