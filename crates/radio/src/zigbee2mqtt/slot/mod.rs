//! Something that a device exposes: what it is called, what it shows, and what writes it.

mod describe;

use serde_json::{Value as Json, json};

use super::message::Exposed;
use super::table::{Line, Reads, Sends, line, unit};
use crate::lenient::Plain;
use crate::wire::{Argument, Name, Reading, Text, Value, Words};

/// Longest name of a member of messages.
const PROPERTY_BYTES_MAX: usize = 64;
const IS_TOLD: u8 = 0b001;
const IS_SET: u8 = 0b010;

/// One member of what a device says and is told.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) property: String,
    /// Empty where it is not shown.
    pub(super) name: String,
    suffix: String,
    kind: Kind,
    is_event: bool,
    is_cover: bool,
    unit: Text<16>,
    factor: f64,
    bounds: [Option<f64>; 2],
    access: u8,
    line: Option<&'static Line>,
}

#[derive(Debug)]
enum Kind {
    Flag {
        on: Plain,
        off: Plain,
    },
    Number,
    /// Of its highest value.
    Percent(f64),
    Word(Vec<Words>),
    Text,
    Xy,
}

/// What is to be written, and what shows that it was done.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) value: Json,
    pub(super) proof: Proof,
}

/// What shows that something was done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Proof {
    /// The device says so.
    Says(Json),
    /// The device says anything: it is on its way.
    Tells,
    /// It says nothing of it: the broker has taken it.
    Taken,
}

/// Why an action is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` has to be {wanted}")]
pub(super) struct WrongInput {
    name: &'static str,
    wanted: String,
}

impl Slot {
    /// What something exposed shows; `None` where it is nothing that is known here.
    pub(super) fn new<P>(of: &str, exposed: &Exposed<P>) -> Option<Self> {
        let line = line(of, &exposed.name);
        let reads = line.map_or(Reads::Plain, |line| line.reads);
        let values = || exposed.values.items.iter().filter_map(text).cloned().collect();
        let kind = match (reads, exposed.kind.as_str()) {
            (Reads::Xy, "composite") => Kind::Xy,
            (Reads::Percent, "numeric") => Kind::Percent(limit(&exposed.value_max).filter(|max| *max > 0.0)?),
            (_, "binary") => Kind::Flag { on: exposed.value_on.clone()?, off: exposed.value_off.clone()? },
            (_, "numeric") => Kind::Number,
            (_, "enum") => Kind::Word(values()),
            (_, "text") => Kind::Text,
            _ => return None,
        };
        if exposed.property.is_empty() || exposed.property.len() > PROPERTY_BYTES_MAX {
            return None;
        }
        let written = unit(exposed.unit.as_deref().unwrap_or_default());
        let theirs = written.map_or(exposed.unit.as_deref().unwrap_or_default(), |unit| unit.senml);
        let ours = line.map_or("", |line| line.unit);
        let endpoint = exposed
            .endpoint
            .as_ref()
            .map(|endpoint| hyphened(&endpoint.word()))
            .filter(|endpoint| !endpoint.is_empty());
        Some(Self {
            property: exposed.property.clone(),
            name: line.map_or_else(|| hyphened(&exposed.name), |line| line.property.to_owned()),
            suffix: endpoint.map(|endpoint| format!("-{endpoint}")).unwrap_or_default(),
            kind,
            is_event: reads == Reads::Event,
            is_cover: of == "cover",
            unit: Text::fitting(if ours.is_empty() { theirs } else { ours }),
            factor: written.map_or(1.0, |unit| unit.factor),
            bounds: [limit(&exposed.value_min), limit(&exposed.value_max)],
            access: exposed.access,
            line,
        })
    }

    /// What can be done with it: the line's actions, or for what no line has to set it, which is sensitive: nobody knows here
    /// what it does.
    pub(super) fn actions(&self) -> Vec<(String, Sends, bool)> {
        let named = |name: &str| format!("{name}{}", self.suffix);
        match self.line {
            _ if self.access & IS_SET == 0 || self.is_event => Vec::new(),
            Some(line) if !line.actions.is_empty() || line.property.is_empty() => {
                let all = line.actions.iter();
                all.map(|action| (named(action.name), action.sends, action.is_sensitive)).collect()
            }
            _ => vec![(named(&format!("set-{}", self.name)), Sends::Given(""), true)],
        }
    }

    /// Lowest and highest value, in the unit.
    fn limits(&self) -> [Option<f64>; 2] {
        match self.kind {
            Kind::Percent(_) => [Some(0.0), Some(100.0)],
            _ => self.bounds.map(|bound| bound.map(|bound| bound * self.factor)),
        }
    }

    /// What a message shows.
    pub(super) fn readings(&self, value: &Json) -> Vec<Reading> {
        let reading = |part: &str, value| {
            let name = Name::new(&format!("{}{part}{}", self.name, self.suffix))?;
            Some(Reading { name, unit: self.unit.clone(), value })
        };
        if self.name.is_empty() {
            return Vec::new();
        }
        if matches!(self.kind, Kind::Xy) {
            let part = |name: &str| reading(&format!("-{name}"), Value::Number(value.get(name)?.as_f64()?));
            return ["x", "y"].into_iter().filter_map(part).collect();
        }
        self.shown(value).and_then(|value| reading("", value)).into_iter().collect()
    }

    fn shown(&self, value: &Json) -> Option<Value> {
        Some(match &self.kind {
            Kind::Flag { on, off } => match value {
                value if *value == json_of(on) => Value::Bool(true),
                value if *value == json_of(off) => Value::Bool(false),
                _ => return None,
            },
            Kind::Number => Value::Number(value.as_f64().map(|n| n * self.factor).filter(|n| n.is_finite())?),
            Kind::Percent(max) => Value::Number((value.as_f64()?.clamp(0.0, *max) * 100.0 / max).round()),
            // Nothing happens where an event has no name.
            Kind::Word(_) | Kind::Text => {
                Value::Text(Words::fitting(value.as_str().filter(|text| !self.is_event || !text.is_empty())?))
            }
            Kind::Xy => return None,
        })
    }

    /// What an action writes.
    pub(super) fn write(&self, sends: Sends, arguments: &[Argument]) -> Result<Write, WrongInput> {
        let value = match (sends, &self.kind) {
            (Sends::On, Kind::Flag { on, .. }) => json_of(on),
            (Sends::Off, Kind::Flag { off, .. }) => json_of(off),
            (Sends::On | Sends::Off, _) => Json::Null,
            (Sends::Text(text), _) => text.into(),
            (Sends::Given(member), _) => self.sent(member, given(arguments, member))?,
            (Sends::Xy, _) => {
                let part = |name| match given(arguments, name) {
                    Some(Value::Number(part)) if (0.0..=1.0).contains(part) => Ok(*part),
                    _ => Err(WrongInput { name, wanted: "a number from 0 to 1".to_owned() }),
                };
                json!({"x": part("x")?, "y": part("y")?})
            }
        };
        let proof = match self.kind {
            _ if self.access & IS_TOLD == 0 => Proof::Taken,
            // What moves is there later, and a color is said rounded.
            _ if self.is_cover => Proof::Tells,
            Kind::Xy => Proof::Tells,
            _ => Proof::Says(value.clone()),
        };
        Ok(Write { value, proof })
    }

    fn sent(&self, name: &'static str, value: Option<&Value>) -> Result<Json, WrongInput> {
        let [low, high] = self.limits();
        let wrong = |wanted: String| WrongInput { name, wanted };
        let within = |n: &f64| low.is_none_or(|low| *n >= low) && high.is_none_or(|high| *n <= high);
        match (&self.kind, value) {
            (Kind::Flag { on, off }, Some(Value::Bool(flag))) => Ok(json_of(if *flag { on } else { off })),
            (Kind::Number, Some(Value::Number(n))) if within(n) => Ok(number(n / self.factor)),
            (Kind::Percent(max), Some(Value::Number(n))) if within(n) => {
                Ok(number((n * max / 100.0).round()))
            }
            (Kind::Word(words), Some(Value::Text(word))) if words.contains(word) => Ok(word.as_str().into()),
            (Kind::Text, Some(Value::Text(text))) => Ok(text.as_str().into()),
            (Kind::Word(words), _) => {
                let words: Vec<&str> = words.iter().map(Words::as_str).collect();
                Err(wrong(format!("one of {}", words.join(", "))))
            }
            (Kind::Flag { .. }, _) => Err(wrong("true or false".to_owned())),
            (Kind::Number | Kind::Percent(_), _) => Err(wrong(match (low, high) {
                (Some(low), Some(high)) => format!("a number from {low} to {high}"),
                _ => "a number within its bounds".to_owned(),
            })),
            (Kind::Text | Kind::Xy, _) => Err(wrong("a text".to_owned())),
        }
    }
}

fn given<'a>(arguments: &'a [Argument], name: &str) -> Option<&'a Value> {
    arguments.iter().find(|argument| argument.name.as_str() == name).map(|argument| &argument.value)
}

fn limit(plain: &Option<Plain>) -> Option<f64> {
    match plain {
        Some(Plain::Number(limit)) => Some(*limit),
        _ => None,
    }
}

fn text(plain: &Plain) -> Option<&Words> {
    match plain {
        Plain::Text(text) => Some(text),
        _ => None,
    }
}

fn json_of(plain: &Plain) -> Json {
    match plain {
        Plain::Flag(flag) => (*flag).into(),
        Plain::Number(n) => number(*n),
        Plain::Text(text) => text.as_str().into(),
        Plain::Other => Json::Null,
    }
}

/// A whole number without a point.
fn number(n: f64) -> Json {
    let whole = || format!("{n:.0}").parse::<i64>().ok();
    Some(n).filter(|n| n.fract() == 0.0).and_then(|_| whole()).map_or_else(|| n.into(), Json::from)
}

/// A name in the way of ours: lower case, with hyphens.
fn hyphened(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).take(40).collect::<String>().trim_matches('-').to_owned()
}
