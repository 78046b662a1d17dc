//! A value of a node, by the lines of the table: what it is called, what it shows, and what writes it.

use serde_json::{Value as Json, json};
use thingward_zwave::affordance::{Quantity, quantities, states};

use super::message::{Metadata, ValueState};
use super::table::{Action, Line, Reads, Sends, lines};
use crate::draft::schema;
use crate::lenient::Plain;
use crate::wire::{Argument, Name, Reading, Text, Value as Shown, Words};

/// Longest property and key of a value.
const KEY_BYTES_MAX: usize = 64;
/// What a level says where it is all of it (CC 2.2.7: 1 to 99 per cent, in steps of the whole).
const FULL: f64 = 99.0;

/// Which value of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) class: u16,
    pub(super) endpoint: u16,
    pub(super) property: Text<KEY_BYTES_MAX>,
    pub(super) property_key: Option<Text<KEY_BYTES_MAX>>,
}

impl Key {
    pub(super) fn new(
        class: u16,
        endpoint: u16,
        property: &Plain,
        property_key: Option<&Plain>,
    ) -> Option<Self> {
        let property_key = match property_key {
            None | Some(Plain::Other) => None,
            Some(key) => Some(Text::new(&key.word())?),
        };
        Some(Self { class, endpoint, property: Text::new(&property.word())?, property_key })
    }
}

/// What one value shows under one name.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Key,
    line: &'static Line,
    /// Without the endpoint.
    pub(super) name: String,
    unit: &'static str,
    factor: f64,
    offset: f64,
    /// Numbers that it can be.
    states: Vec<u8>,
    bounds: [Option<f64>; 2],
}

/// Why an action is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` has to be {wanted}")]
pub(super) struct WrongInput {
    name: &'static str,
    wanted: String,
}

impl Slot {
    /// What a value shows; nothing where no line of the table has it.
    pub(super) fn of(value: &ValueState) -> Vec<Self> {
        let key = Key::new(value.command_class, value.endpoint, &value.property, value.property_key.as_ref());
        let Some(key) = key else { return Vec::new() };
        let slots = lines(key.class, key.property.as_str());
        slots.filter_map(|line| Self::new(key.clone(), line, &value.metadata)).collect()
    }

    fn new(key: Key, line: &'static Line, metadata: &Metadata) -> Option<Self> {
        let member = |by: &str| match by {
            "key" => key.property_key.as_ref()?.as_str().parse().ok(),
            by => metadata.cc_specific.get(by),
        };
        let (name, quantity) = match line.reads {
            Reads::Name { field, by } => {
                let number = member(by)?;
                let word = states(line.class, field, number).map(str::to_owned);
                (word.unwrap_or_else(|| format!("{}-{number}", line.name)), None)
            }
            Reads::Quantity { by } => {
                // Set points have their scale in the unit alone.
                let fahrenheit = metadata.unit.as_deref() == Some("°F");
                let scale = metadata.cc_specific.get("scale").unwrap_or_else(|| fahrenheit.into());
                measured(line, member(by)?, scale, metadata.cc_specific.get("rateType"))
            }
            _ => (line.name.to_owned(), None),
        };
        let limit = |limit: &Option<Plain>| match limit {
            Some(Plain::Number(number)) => Some(*number),
            _ => None,
        };
        Some(Self {
            key,
            line,
            name,
            unit: quantity.map_or(line.unit, |quantity| quantity.unit),
            factor: quantity.map_or(1.0, |quantity| quantity.factor),
            offset: quantity.map_or(0.0, |quantity| quantity.offset),
            states: metadata.states.names.clone(),
            bounds: [limit(&metadata.min), limit(&metadata.max)],
        })
    }

    /// The schema of what it shows.
    pub(super) fn schema(&self) -> serde_json::Map<String, Json> {
        let mut schema = schema(self.line.kind, self.unit);
        if self.line.reads == Reads::Percent {
            schema.insert("minimum".to_owned(), 0.into());
            schema.insert("maximum".to_owned(), 100.into());
        }
        schema
    }

    /// What a value shows, under a name; `None` where it is nothing that the table says.
    pub(super) fn reading(&self, name: Name, value: &Plain) -> Option<Reading> {
        let value = match (self.line.reads, value) {
            (Reads::Is(wanted), Plain::Text(text)) => Shown::Bool(text.as_str() == wanted),
            (Reads::Positive, Plain::Number(number)) => Shown::Bool(*number > 0.0),
            (Reads::Percent, Plain::Number(number)) => Shown::Number(percent(*number)),
            (Reads::Word(field), Plain::Number(_)) => Shown::Text(self.word(field, value.number()?)),
            (Reads::Plain | Reads::Name { .. }, Plain::Flag(flag)) if self.line.kind == "boolean" => {
                Shown::Bool(*flag)
            }
            (Reads::Plain | Reads::Name { .. } | Reads::Quantity { .. }, Plain::Number(number))
                if self.line.kind != "boolean" =>
            {
                Shown::Number(self.factor.mul_add(*number, self.offset))
            }
            _ => return None,
        };
        Some(Reading { name, unit: Text::fitting(self.unit), value })
    }

    fn word(&self, field: &str, number: i64) -> Words {
        states(self.line.class, field, number)
            .map_or_else(|| Words::fitting(&number.to_string()), Words::fitting)
    }

    /// What can be done with it: names, and how.
    pub(super) fn actions(&self) -> impl Iterator<Item = (String, &'static Action)> {
        let name = |action: &Action| action.name.map_or_else(|| format!("set-{}", self.name), str::to_owned);
        self.line.actions.iter().map(move |action| (name(action), action))
    }

    /// What an action takes.
    pub(super) fn input(&self, action: &Action) -> Option<Json> {
        match action.sends {
            Sends::Flag(_) | Sends::Number(_) => None,
            Sends::Percent => Some(json!({
                "type": "object",
                "properties": {"level": {"type": "integer", "unit": "%", "minimum": 0, "maximum": 100}},
                "required": ["level"],
            })),
            Sends::Word => Some(json!({"type": "string", "enum": self.words()})),
            Sends::Value => {
                let mut input = schema("number", self.unit);
                for (name, bound) in ["minimum", "maximum"].into_iter().zip(self.bounds) {
                    let bound = bound.map(|bound| self.factor.mul_add(bound, self.offset));
                    input.extend(bound.map(|bound| (name.to_owned(), bound.into())));
                }
                Some(input.into())
            }
        }
    }

    /// Words for what it can be.
    fn words(&self) -> Vec<&'static str> {
        let Reads::Word(field) = self.line.reads else { return Vec::new() };
        let word = |number: &u8| states(self.line.class, field, i64::from(*number));
        self.states.iter().filter_map(word).collect()
    }

    /// What is to be written where.
    pub(super) fn write(&self, action: &Action, arguments: &[Argument]) -> Result<Json, WrongInput> {
        let given = |name: &str| {
            arguments.iter().find(|argument| argument.name.as_str() == name).map(|argument| &argument.value)
        };
        Ok(match action.sends {
            Sends::Flag(flag) => flag.into(),
            Sends::Number(number) => number.into(),
            Sends::Percent => match given("level") {
                Some(Shown::Number(level)) if (0.0..=100.0).contains(level) => whole(level * FULL / 100.0),
                _ => return Err(wrong("level", "a number from 0 to 100".to_owned())),
            },
            Sends::Word => {
                let Reads::Word(field) = self.line.reads else { return Ok(Json::Null) };
                let number = |word: &Words| {
                    let is_it = |number: &&u8| {
                        states(self.line.class, field, i64::from(**number)) == Some(word.as_str())
                    };
                    self.states.iter().find(is_it)
                };
                match given("") {
                    Some(Shown::Text(word)) => number(word).map(|number| Json::from(*number)),
                    _ => None,
                }
                .ok_or_else(|| wrong("", format!("one of {}", self.words().join(", "))))?
            }
            Sends::Value => {
                let sent = match given("") {
                    Some(Shown::Number(number)) => Some((number - self.offset) / self.factor),
                    _ => None,
                };
                let [low, high] = self.bounds.map(Option::unwrap_or_default);
                let within = |sent: &f64| self.bounds == [None; 2] || (low..=high).contains(sent);
                let sent =
                    sent.filter(within).ok_or_else(|| wrong("", "a number within bounds".to_owned()))?;
                // What was converted from tenths of a degree is not more exact than that.
                Json::from((sent * 100.0).round() / 100.0)
            }
        })
    }

    /// How the server is told which value is written.
    pub(super) fn target(&self) -> Json {
        let mut target = json!({
            "commandClass": self.key.class,
            "endpoint": self.key.endpoint,
            "property": self.line.target,
        });
        if let (Some(key), Some(members)) = (&self.key.property_key, target.as_object_mut()) {
            let text = key.as_str();
            let key = text.parse::<u32>().map_or_else(|_| Json::from(text), Json::from);
            members.insert("propertyKey".to_owned(), key);
        }
        target
    }
}

/// Name and unit of what is measured.
fn measured(
    line: &Line,
    kind: i64,
    scale: i64,
    rate_type: Option<i64>,
) -> (String, Option<&'static Quantity>) {
    match quantities(line.class, kind, scale) {
        // What is produced is another property than what is consumed.
        Some(quantity) if rate_type == Some(2) => (format!("{}-produced", quantity.name), Some(quantity)),
        Some(quantity) => (quantity.name.to_owned(), Some(quantity)),
        None => (format!("{}-{kind}-{scale}", line.name), None),
    }
}

fn percent(level: f64) -> f64 {
    (level.clamp(0.0, FULL) * 100.0 / FULL).round()
}

/// A whole number as one, so that it is written without a point.
fn whole(number: f64) -> Json {
    format!("{number:.0}").parse::<i64>().map_or(Json::Null, Json::from)
}

fn wrong(name: &'static str, wanted: String) -> WrongInput {
    WrongInput { name, wanted }
}
