//! What Home Assistant is told of a thing: an entity for each property that may be read and each action that may be called, in
//! the words of its [MQTT discovery](https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).

use serde_json::{Map, Value as Json, json};
use thingward_model::description::{Bounds, Kind, Schema, ThingDescription};
use thingward_model::{ActionName, DeviceName, FieldName, TenantName};

/// Property and unit, then unit, class and state class there.
const TABLE: &str = include_str!("../../data/home_assistant.csv");
/// Most entities of a thing.
const ENTITIES_MAX: usize = 64;
/// What a switch or light is told.
const ON: &str = "turn-on";
const OFF: &str = "turn-off";

/// Where a gateway's things are at the broker.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) tenant: TenantName,
    pub(super) gateway: DeviceName,
    /// What topics of the discovery begin with.
    pub(super) prefix: String,
}

impl Place {
    /// Where it says whether the gateway is there.
    pub(super) fn status(&self) -> String {
        format!("thingward/{}/status", self.gateway)
    }

    /// Where a value of a thing is.
    pub(super) fn state(&self, thing: DeviceName, field: &str) -> String {
        format!("thingward/{}/{thing}/state/{field}", self.gateway)
    }

    /// Where it is how the thing said it.
    pub(super) fn attributes(&self, thing: DeviceName) -> String {
        format!("thingward/{}/{thing}/attributes", self.gateway)
    }

    /// Where a thing is told to do something: `ACTION`, or `ACTION INPUT` with the input in JSON.
    pub(super) fn order(&self, thing: DeviceName) -> String {
        format!("thingward/{}/{thing}/do", self.gateway)
    }

    /// Where it is what became of that.
    pub(super) fn answer(&self, thing: DeviceName) -> String {
        format!("thingward/{}/{thing}/answer", self.gateway)
    }

    /// The thing that a topic of [`Self::order`] is about.
    pub(super) fn ordered(&self, topic: &str) -> Option<DeviceName> {
        let rest = topic.strip_prefix("thingward/")?.strip_prefix(self.gateway.as_str())?;
        rest.strip_prefix('/')?.strip_suffix("/do")?.parse().ok()
    }

    /// Everything of this gateway that a broker may keep.
    pub(super) fn kept(&self) -> [String; 3] {
        let (prefix, node) = (&self.prefix, self.node());
        [
            format!("{prefix}/+/{node}/+/config"),
            format!("thingward/{}/+/state/+", self.gateway),
            format!("thingward/{}/+/attributes", self.gateway),
        ]
    }

    fn node(&self) -> String {
        format!("thingward-{}", id(self.gateway.as_str()))
    }

    fn config(&self, component: &str, thing: DeviceName, object: &str) -> String {
        format!("{}/{component}/{}/{}_-_{}/config", self.prefix, self.node(), id(thing.as_str()), id(object))
    }
}

/// A name as ids there may be: what is no letter, digit or `-` is written in hexadecimal between `_`, so that names joined with
/// `_-_` are told apart.
fn id(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.chars().map(|c| if plain(c) { c.to_string() } else { format!("_{:x}_", u32::from(c)) }).collect()
}

/// What may be done with a thing.
pub(super) struct Rights<'a> {
    pub(super) reads: &'a dyn Fn(&str) -> bool,
    pub(super) calls: &'a dyn Fn(ActionName) -> bool,
}

/// The entities of a thing: the topic of each, and what is kept there.
pub(super) fn entities(
    place: &Place,
    thing: DeviceName,
    description: &ThingDescription,
    rights: &Rights<'_>,
) -> Vec<(String, Json)> {
    let mut draft = Draft { place, thing, description, all: Vec::new() };
    let reads = |field: &&String| (rights.reads)(field);
    let properties: Vec<&String> = description.properties.keys().filter(reads).collect();
    let may = |name: &str| {
        let name = name.parse::<ActionName>().ok();
        name.filter(|name| description.actions.contains_key(name)).is_some_and(|name| (rights.calls)(name))
    };
    let reads = |name: &str| properties.iter().any(|field| *field == name);
    let switched = may(ON) && may(OFF) && (reads("on") || reads("level"));
    let dimmed = switched && may("set-level") && reads("level");
    if switched {
        draft.switch(reads("on"), dimmed);
    }
    let covered = may("open") && may("close");
    if covered {
        draft.cover(may("stop"), reads("position"), may("set-position"));
    }
    for field in &properties {
        let is_shown = (switched && field.as_str() == "on")
            || (dimmed && field.as_str() == "level")
            || (covered && field.as_str() == "position");
        if let Some(property) = description.properties.get(*field).filter(|_| !is_shown) {
            draft.value(field, &property.schema);
        }
    }
    for (name, action) in &description.actions {
        let is_there = (switched && matches!(name.as_str(), ON | OFF))
            || (dimmed && name.as_str() == "set-level")
            || (covered && matches!(name.as_str(), "open" | "close" | "stop" | "set-position"));
        if !is_there && (rights.calls)(*name) {
            draft.action(*name, action.input.as_ref());
        }
    }
    draft.all.truncate(ENTITIES_MAX);
    draft.all
}

struct Draft<'a> {
    place: &'a Place,
    thing: DeviceName,
    description: &'a ThingDescription,
    all: Vec<(String, Json)>,
}

impl Draft<'_> {
    /// Adds an entity with what all of them have.
    fn add(&mut self, component: &str, object: &str, title: Option<String>, own: Json) {
        let (place, thing) = (self.place, self.thing);
        let unique =
            format!("thingward_-_{}_-_{}_-_{}", id(place.tenant.as_str()), id(thing.as_str()), id(object));
        let mut config = json!({
            "name": title,
            "unique_id": unique,
            "availability_topic": place.status(),
            "device": {
                "identifiers": [format!("thingward-{}-{thing}", place.tenant)],
                "name": thing.as_str(),
                "model": self.description.title,
                "via_device": format!("thingward-{}-{}", place.tenant, place.gateway),
            },
            "origin": {"name": "thingward", "sw": env!("CARGO_PKG_VERSION")},
        });
        if let (Some(config), Json::Object(own)) = (config.as_object_mut(), own) {
            config.extend(own);
        }
        self.all.push((place.config(component, thing, object), config));
    }

    /// What says where a value is.
    fn of(&self, field: &str) -> Map<String, Json> {
        let mut own = Map::new();
        own.insert("state_topic".to_owned(), self.place.state(self.thing, field).into());
        own.insert("json_attributes_topic".to_owned(), self.place.attributes(self.thing).into());
        own
    }

    fn order(&self) -> Json {
        self.place.order(self.thing).into()
    }

    fn switch(&mut self, says_on: bool, dimmed: bool) {
        let (field, is_on) =
            if says_on { ("on", "value == 'true'") } else { ("level", "value | float(0) > 0") };
        let mut own = self.of(field);
        own.insert("command_topic".to_owned(), self.order());
        own.insert("payload_on".to_owned(), ON.into());
        own.insert("payload_off".to_owned(), OFF.into());
        let state = format!("{{{{ '{ON}' if {is_on} else '{OFF}' }}}}");
        if !dimmed {
            own.insert("state_on".to_owned(), ON.into());
            own.insert("state_off".to_owned(), OFF.into());
            own.insert("value_template".to_owned(), state.into());
            return self.add("switch", "switch", None, Json::Object(own));
        }
        own.insert("state_value_template".to_owned(), state.into());
        own.insert("brightness_state_topic".to_owned(), self.place.state(self.thing, "level").into());
        own.insert("brightness_command_topic".to_owned(), self.order());
        let order = format!("set-level {}", self.input("set-level", "value"));
        own.insert("brightness_command_template".to_owned(), order.into());
        own.insert("brightness_scale".to_owned(), 100.into());
        own.insert("on_command_type".to_owned(), "brightness".into());
        self.add("light", "light", None, Json::Object(own));
    }

    fn cover(&mut self, stops: bool, says_position: bool, sets_position: bool) {
        let mut own = Map::new();
        own.insert("json_attributes_topic".to_owned(), self.place.attributes(self.thing).into());
        own.insert("command_topic".to_owned(), self.order());
        own.insert("payload_open".to_owned(), "open".into());
        own.insert("payload_close".to_owned(), "close".into());
        own.insert("payload_stop".to_owned(), if stops { "stop".into() } else { Json::Null });
        if says_position {
            own.insert("position_topic".to_owned(), self.place.state(self.thing, "position").into());
        }
        if sets_position {
            own.insert("set_position_topic".to_owned(), self.order());
            let order = format!("set-position {}", self.input("set-position", "position"));
            own.insert("set_position_template".to_owned(), order.into());
        }
        self.add("cover", "cover", None, Json::Object(own));
    }

    fn value(&mut self, field: &str, schema: &Schema) {
        let mut own = self.of(field);
        let unit = schema.unit.as_deref().unwrap_or_default();
        let [unit, class, state] = words(field, unit).unwrap_or([unit, "", ""]);
        let component = if schema.kind == Kind::Boolean {
            own.insert("payload_on".to_owned(), "true".into());
            own.insert("payload_off".to_owned(), "false".into());
            "binary_sensor"
        } else {
            let is_number = matches!(schema.kind, Kind::Number(_) | Kind::Integer(_));
            for (name, word) in [("unit_of_measurement", unit), ("state_class", state)] {
                if is_number && !word.is_empty() {
                    own.insert(name.to_owned(), word.into());
                }
            }
            "sensor"
        };
        if !class.is_empty() {
            own.insert("device_class".to_owned(), class.into());
        }
        self.add(component, field, Some(title(field)), Json::Object(own));
    }

    fn action(&mut self, name: ActionName, input: Option<&Schema>) {
        let mut own = Map::new();
        own.insert("command_topic".to_owned(), self.order());
        let Some(schema) = input else {
            own.insert("payload_press".to_owned(), name.as_str().into());
            return self.add("button", name.as_str(), Some(title(name.as_str())), Json::Object(own));
        };
        let Some((_, number)) = number_of(schema) else { return };
        let (Kind::Number(bounds) | Kind::Integer(bounds)) = &number.kind else { return };
        let Bounds { minimum: Some(least), maximum: Some(most), .. } = bounds else { return };
        own.insert("min".to_owned(), json!(least));
        own.insert("max".to_owned(), json!(most));
        let step = if matches!(number.kind, Kind::Integer(_)) { 1.0 } else { 0.01 };
        own.insert("step".to_owned(), json!(bounds.multiple_of.unwrap_or(step).max(0.001)));
        own.insert("mode".to_owned(), "box".into());
        let unit = number.unit.as_deref().unwrap_or_default();
        let [unit, ..] = words("", unit).unwrap_or([unit, "", ""]);
        if !unit.is_empty() {
            own.insert("unit_of_measurement".to_owned(), unit.into());
        }
        let order = format!("{name} {}", self.input(name.as_str(), "value"));
        own.insert("command_template".to_owned(), order.into());
        self.add("number", name.as_str(), Some(title(name.as_str())), Json::Object(own));
    }

    /// The input of an action that takes one number, as a template that has it from this variable.
    fn input(&self, action: &str, variable: &str) -> String {
        let action = action.parse::<ActionName>().ok().and_then(|name| self.description.actions.get(&name));
        match action.and_then(|action| action.input.as_ref()).and_then(number_of) {
            Some((Some(name), _)) => format!("{{\"{name}\": {{{{ {variable} }}}}}}"),
            _ => format!("{{{{ {variable} }}}}"),
        }
    }
}

/// The one number that an input has to have, with its name where the input is an object. A name becomes part of a template, so
/// that it has to be one.
fn number_of(schema: &Schema) -> Option<(Option<&str>, &Schema)> {
    match &schema.kind {
        Kind::Number(_) | Kind::Integer(_) => Some((None, schema)),
        Kind::Object { properties, required } => {
            let [name] = required.as_slice() else { return None };
            name.parse::<FieldName>().ok()?;
            let one = properties.get(name)?;
            matches!(one.kind, Kind::Number(_) | Kind::Integer(_)).then_some((Some(name.as_str()), one))
        }
        _ => None,
    }
}

/// Unit, class and state class of a property; the row that names it before one for its unit.
fn words(field: &str, unit: &str) -> Option<[&'static str; 3]> {
    let rows = TABLE.lines().skip(1).filter_map(|line| {
        let mut cells = line.split(',');
        let mut cell = || cells.next();
        Some(((cell()?, cell()?), [cell()?, cell()?, cell()?]))
    });
    let fits = |of: &str| rows.clone().find(|((property, row), _)| *property == of && *row == unit);
    let found = fits(field).or_else(|| fits("").filter(|_| !unit.is_empty()));
    found.map(|(_, words)| words)
}

/// `heating-setpoint` as `Heating setpoint`.
fn title(name: &str) -> String {
    let mut words = name.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests;
