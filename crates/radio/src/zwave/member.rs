//! A node that holds keys, as a thing: what it has, and what it says.

use minicbor::{Decode, Encode};
use thingward_zwave::affordance::{Action, Kind, Row, Shown, ValueType, actions, readings, rows};
use thingward_zwave::controller::KnownNode;
use thingward_zwave::{Command, LinkSecurity, SecurityClass};

use crate::wire::{DATA_BYTES_MAX, Name, Reading, Text, Value, Words};

/// Most names that a node has shown beyond those of its classes.
pub(super) const LEARNED_MAX: usize = 32;

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) known: KnownNode,
    /// Whether it was asked what it can do.
    pub(super) interviewed: bool,
    /// What it has shown that does not follow from its classes.
    pub(super) learned: Vec<Learned>,
}

/// A name that a node has shown.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Learned {
    #[n(0)]
    pub(super) name: Name,
    #[n(1)]
    pub(super) unit: Text<16>,
    #[n(2)]
    pub(super) shape: Shape,
    #[n(3)]
    pub(super) is_event: bool,
}

/// What its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum Shape {
    #[n(0)]
    Boolean,
    #[n(1)]
    Integer,
    #[n(2)]
    Number,
    #[n(3)]
    Text,
    #[n(4)]
    Bytes,
}

impl Member {
    pub(super) const fn new(known: KnownNode) -> Self {
        Self { known, interviewed: false, learned: Vec::new() }
    }

    /// Numbers of its classes, those of one byte, which are all that have tables.
    pub(super) fn classes(&self) -> impl Iterator<Item = u8> {
        self.known.supported.iter().filter_map(|class| u8::try_from(*class).ok())
    }

    /// What follows from its classes.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static Row> {
        self.classes().flat_map(rows).filter(|row| !row.when_seen)
    }

    /// What it can be told to do: of two with one name the first.
    pub(super) fn actions(&self) -> Vec<&'static Action> {
        let mut all: Vec<&'static Action> = Vec::new();
        for action in self.classes().flat_map(actions).filter(|action| self.has(action.needs)) {
            if !all.iter().any(|other| other.name == action.name) {
                all.push(action);
            }
        }
        all
    }

    fn has(&self, needed: &str) -> bool {
        needed.is_empty() || self.learned.iter().any(|learned| learned.name.as_str() == needed)
    }

    /// What a command of it says.
    pub(super) fn told(&self, endpoint: u8, command: &Command) -> Vec<(Reading, Learned)> {
        readings(command).into_iter().filter_map(|reading| told(endpoint, reading)).collect()
    }

    /// Notes a name; whether it is a new one.
    pub(super) fn learn(&mut self, learned: Learned) -> bool {
        let follows = self.rows().any(|row| row.name == learned.name.as_str());
        let known = self.learned.iter().any(|other| other.name == learned.name);
        if follows || known || self.learned.len() >= LEARNED_MAX {
            return false;
        }
        self.learned.push(learned);
        true
    }

    /// The best that protects its link.
    pub(super) fn link(&self) -> thingward_model::Link {
        link(self.known.class.into())
    }

    /// Whether it was let in by an exception.
    pub(super) fn is_exception(&self) -> bool {
        self.known.class == SecurityClass::S0
    }
}

/// How a message was protected, in the words of the model.
pub(super) const fn link(security: LinkSecurity) -> thingward_model::Link {
    use thingward_model::Link;
    match security {
        LinkSecurity::None => Link::ZwaveNone,
        LinkSecurity::S0 => Link::ZwaveS0,
        LinkSecurity::S2Unauthenticated => Link::ZwaveS2Unauthenticated,
        LinkSecurity::S2Authenticated => Link::ZwaveS2Authenticated,
        LinkSecurity::S2AccessControl => Link::ZwaveS2Access,
    }
}

/// `None` for a value that is not known, or that is none.
fn told(endpoint: u8, reading: thingward_zwave::affordance::Reading) -> Option<(Reading, Learned)> {
    let name = match endpoint {
        0 => Name::new(&reading.name)?,
        part => Name::new(&format!("{}-{part}", reading.name))?,
    };
    let unit = Text::new(reading.unit)?;
    let (value, shape) = match reading.value {
        Shown::Number(number) => {
            (Value::Number(Some(number).filter(|number| number.is_finite())?), Shape::Number)
        }
        Shown::Flag(flag) => (Value::Bool(flag), Shape::Boolean),
        Shown::Word(word) => (Value::Text(Words::fitting(&word)), Shape::Text),
        Shown::Bytes(bytes) if bytes.len() <= DATA_BYTES_MAX => (Value::Data(bytes), Shape::Bytes),
        Shown::Bytes(_) | Shown::Unknown => return None,
    };
    let is_event = reading.kind == Kind::Event;
    let learned = Learned { name: name.clone(), unit: unit.clone(), shape, is_event };
    Some((Reading { name, unit, value }, learned))
}

impl From<ValueType> for Shape {
    fn from(value: ValueType) -> Self {
        match value {
            ValueType::Boolean => Self::Boolean,
            ValueType::Integer => Self::Integer,
            ValueType::Number => Self::Number,
            ValueType::Word => Self::Text,
        }
    }
}
