//! A thing's description while it is written.

use serde_json::{Map, Value as Json, json};
use thingward_model::description::{
    AFFORDANCES_MAX, CONTEXT, DescriptionError, NAMESPACE, ThingDescription, WORD_BYTES_MAX,
};

use crate::wire::{DESCRIPTION_BYTES_MAX, Text};

/// A description in the making. What is more than a description may have is left out.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    properties: Map<String, Json>,
    actions: Map<String, Json>,
    events: Map<String, Json>,
}

impl Draft {
    /// What the thing measures or is, with its schema.
    pub(crate) fn property(&mut self, name: &str, schema: Map<String, Json>) {
        let mut property = schema;
        property.insert("readOnly".to_owned(), true.into());
        property.insert("observable".to_owned(), true.into());
        property.insert("forms".to_owned(), forms("devices/me/telemetry"));
        add(&mut self.properties, name, property.into());
    }

    /// What it can be told to do, with the schema of what that takes.
    pub(crate) fn action(&mut self, name: &str, input: Option<Json>, is_sensitive: bool) {
        let mut action = Map::new();
        action.extend(input.map(|input| ("input".to_owned(), input)));
        action.insert("tw:sensitive".to_owned(), is_sensitive.into());
        action.insert("forms".to_owned(), forms("devices/me/commands"));
        add(&mut self.actions, name, action.into());
    }

    /// What it tells unasked, with the type of what that carries.
    pub(crate) fn event(&mut self, name: &str, kind: &str) {
        let event = json!({"data": {"type": kind}, "forms": forms("devices/me/telemetry")});
        add(&mut self.events, name, event);
    }

    /// Whether it has nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.actions.is_empty() && self.events.is_empty()
    }

    /// The description, checked.
    ///
    /// # Errors
    ///
    /// When it is none, or larger than a report may be.
    pub(crate) fn finish(self, title: &str, description: &str) -> Result<Vec<u8>, DescriptionError> {
        let document = json!({
            "@context": [CONTEXT, {"tw": NAMESPACE}],
            "title": Text::<WORD_BYTES_MAX>::fitting(title).as_str(),
            "description": description,
            "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
            "security": "auto_sc",
            "properties": self.properties,
            "actions": self.actions,
            "events": self.events,
        });
        let text = document.to_string().into_bytes();
        if text.len() > DESCRIPTION_BYTES_MAX {
            let problem = format!("is larger than {DESCRIPTION_BYTES_MAX} bytes");
            return Err(DescriptionError { path: String::new(), problem });
        }
        ThingDescription::parse(&text)?;
        Ok(text)
    }
}

/// The first of a name is the one.
fn add(all: &mut Map<String, Json>, name: &str, one: Json) {
    if all.len() < AFFORDANCES_MAX && !all.contains_key(name) {
        all.insert(name.to_owned(), one);
    }
}

fn forms(href: &str) -> Json {
    json!([{"href": href}])
}

/// A schema of this type and unit.
pub(crate) fn schema(kind: &str, unit: &str) -> Map<String, Json> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), kind.into());
    if !unit.is_empty() {
        schema.insert("unit".to_owned(), unit.into());
    }
    schema
}
