//! What is said of it in a description.

use serde_json::{Map, Value as Json, json};

use super::{IS_TOLD, Kind, Slot};
use crate::draft::{Draft, schema};
use crate::wire::Words;
use crate::zigbee2mqtt::table::Sends;

impl Slot {
    /// Adds it to a description.
    pub(in super::super) fn describe(&self, draft: &mut Draft) {
        if self.access & IS_TOLD != 0 && !self.name.is_empty() {
            let name = format!("{}{}", self.name, self.suffix);
            match self.kind {
                _ if self.is_event => draft.event(&name, self.type_name()),
                Kind::Xy => {
                    draft.property(&format!("{}-x{}", self.name, self.suffix), schema("number", ""));
                    draft.property(&format!("{}-y{}", self.name, self.suffix), schema("number", ""));
                }
                _ => draft.property(&name, schema(self.type_name(), self.unit.as_str())),
            }
        }
        for (name, sends, is_sensitive) in self.actions() {
            draft.action(&name, self.input(sends), is_sensitive);
        }
    }

    const fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Flag { .. } => "boolean",
            Kind::Number | Kind::Percent(_) | Kind::Xy => "number",
            Kind::Word(_) | Kind::Text => "string",
        }
    }

    fn input(&self, sends: Sends) -> Option<Json> {
        let object = |names: &[&str], schema: &Json| {
            let members: Map<String, Json> =
                names.iter().map(|name| ((*name).to_owned(), schema.clone())).collect();
            json!({"type": "object", "properties": members, "required": names})
        };
        match sends {
            Sends::On | Sends::Off | Sends::Text(_) => None,
            Sends::Xy => Some(object(&["x", "y"], &json!({"type": "number", "minimum": 0, "maximum": 1}))),
            Sends::Given("") => Some(self.given().into()),
            Sends::Given(member) => Some(object(&[member], &self.given().into())),
        }
    }

    /// The schema of what is given.
    fn given(&self) -> Map<String, Json> {
        let mut schema = schema(self.type_name(), self.unit.as_str());
        if let Kind::Word(words) = &self.kind {
            let words: Vec<&str> = words.iter().map(Words::as_str).collect();
            schema.insert("enum".to_owned(), words.into());
        }
        for (name, bound) in ["minimum", "maximum"].into_iter().zip(self.limits()) {
            schema.extend(bound.map(|bound| (name.to_owned(), bound.into())));
        }
        schema
    }
}
