//! A node as a thing.

use thingward_model::Link;
use thingward_model::description::DescriptionError;
use thingward_zwave::affordance::{events, states};

use super::message::{NodeState, Said, ValueState};
use super::table::Action;
use super::value::{Key, Slot};
use crate::draft::Draft;
use crate::lenient::{List, Plain};
use crate::wire::{Address, Name, Reading, Text, Thing, Value as Shown, Words};

const NOTIFICATION: u16 = 0x71;
const SCENE: u16 = 0x5b;
const KEYPAD: u16 = 0x6f;
/// A node has fewer things to show than values.
const SLOTS_MAX: usize = 128;

/// What Z-Wave JS says of a node's security: its highest class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has none, or it is not known which.
    None,
    Security0,
    Unauthenticated,
    Authenticated,
    Access,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) standing: Standing,
    title: String,
    /// Classes whose values are news.
    telling: Vec<u16>,
    slots: Vec<Slot>,
}

impl Standing {
    const fn of(class: Option<i16>) -> Self {
        match class {
            Some(0) => Self::Unauthenticated,
            Some(1) => Self::Authenticated,
            Some(2) => Self::Access,
            Some(7) => Self::Security0,
            _ => Self::None,
        }
    }

    /// Whether nodes of it need an exception.
    pub(super) const fn is_insecure(self) -> bool {
        matches!(self, Self::None | Self::Security0)
    }

    /// In words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no security",
            Self::Security0 => "Security 0",
            Self::Unauthenticated => "S2 unauthenticated",
            Self::Authenticated => "S2 authenticated",
            Self::Access => "S2 access control",
        }
    }
}

impl Node {
    pub(super) fn new(state: &NodeState) -> Self {
        let mut node = Self {
            standing: Standing::of(state.highest_security_class),
            title: title(state),
            telling: Vec::new(),
            slots: Vec::new(),
        };
        let List { items, .. } = &state.values;
        for value in items {
            node.add(value);
        }
        node
    }

    /// Takes a value up; whether it shows something new.
    pub(super) fn add(&mut self, value: &ValueState) -> bool {
        let class = value.command_class;
        if [NOTIFICATION, SCENE, KEYPAD].contains(&class) && !self.telling.contains(&class) {
            self.telling.push(class);
            return true;
        }
        let before = self.slots.len();
        for slot in Slot::of(value) {
            let is_there = |other: &Slot| other.name == slot.name && other.key.endpoint == slot.key.endpoint;
            if self.slots.len() < SLOTS_MAX && !self.slots.iter().any(is_there) {
                self.slots.push(slot);
            }
        }
        self.slots.len() > before
    }

    /// The thing, as it is told to the gateway; `None` where it shows nothing.
    pub(super) fn thing(&self, address: &Address) -> Result<Option<Thing>, DescriptionError> {
        let mut draft = Draft::default();
        for slot in &self.slots {
            draft.property(&Self::named(slot, &slot.name), slot.schema());
            for (name, action) in slot.actions() {
                draft.action(&Self::named(slot, &name), slot.input(action), action.is_sensitive);
            }
        }
        for class in &self.telling {
            match *class {
                SCENE => {
                    draft.event("button", "integer");
                    draft.event("button-action", "string");
                }
                KEYPAD => draft.event("keypad", "integer"),
                _ => draft.event("notification", "string"),
            }
        }
        if draft.is_empty() {
            return Ok(None);
        }
        let said = format!("On the word of Z-Wave JS, which says that it has {}.", self.standing.as_str());
        let description = draft.finish(&self.title, &said)?;
        Ok(Some(Thing { address: address.clone(), link: Link::ZwaveJs, description }))
    }

    /// The name of a value, with the endpoint behind it for a part of the node, as at a controller of our own.
    fn named(slot: &Slot, name: &str) -> String {
        match slot.key.endpoint {
            0 => name.to_owned(),
            part => format!("{name}-{part}"),
        }
    }

    /// What a value that changed shows.
    pub(super) fn changed(&self, key: &Key, value: &Plain) -> Vec<Reading> {
        let of = |slot: &&Slot| slot.key == *key;
        let read = |slot: &Slot| slot.reading(Name::new(&Self::named(slot, &slot.name))?, value);
        self.slots.iter().filter(of).filter_map(read).collect()
    }

    /// How an action is done.
    pub(super) fn action(&self, name: &str) -> Option<(&Slot, &'static Action)> {
        let is_it = |slot: &Slot, of: &str| Self::named(slot, of) == name;
        self.slots
            .iter()
            .find_map(|slot| slot.actions().find(|(of, _)| is_it(slot, of)).map(|(_, action)| (slot, action)))
    }
}

/// What the server calls it: its user's name for it, or the product.
fn title(state: &NodeState) -> String {
    let config = state.device_config.as_ref();
    let maker = state.manufacturer.as_deref().or(config.and_then(|config| config.manufacturer.as_deref()));
    let product = config
        .and_then(|config| config.description.as_deref().or(config.label.as_deref()))
        .or(state.label.as_deref());
    let named = state.name.as_deref().filter(|name| !name.is_empty());
    match (named, maker, product) {
        (Some(name), ..) => name.to_owned(),
        (None, Some(maker), Some(product)) => format!("{maker} {product}"),
        (None, None, Some(product)) => product.to_owned(),
        _ => format!("Z-Wave node {}", state.node_id),
    }
}

/// What a notification of a command class says.
pub(super) fn notification(class: u16, said: &Said) -> Vec<Reading> {
    let number = |value: &Option<Plain>| value.as_ref().and_then(Plain::number);
    match class {
        NOTIFICATION => {
            let Some((kind, event)) = number(&said.kind).zip(number(&said.event)) else { return Vec::new() };
            let word = match events(kind, event) {
                Some(word) => word.to_owned(),
                None if event == 0 => "over".to_owned(),
                None => format!("{kind}-{event}"),
            };
            reading("notification", Shown::Text(Words::fitting(&word)))
        }
        KEYPAD => number(&said.event_type).map_or_else(Vec::new, |kind| reading("keypad", integer(kind))),
        _ => Vec::new(),
    }
}

/// What a value that only comes as news says: a scene.
pub(super) fn scene(key: &Key, value: &Plain) -> Vec<Reading> {
    let scene = key.property_key.as_ref().and_then(|key| key.as_str().parse().ok());
    let (SCENE, "scene", Some(scene), Some(pressed)) =
        (key.class, key.property.as_str(), scene, value.number())
    else {
        return Vec::new();
    };
    let word = states(0x5b, "key_attribute", pressed).map_or_else(|| pressed.to_string(), str::to_owned);
    let mut readings = reading("button", integer(scene));
    readings.extend(reading("button-action", Shown::Text(Words::fitting(&word))));
    readings
}

fn reading(name: &str, value: Shown) -> Vec<Reading> {
    vec![Reading { name: Name::fitting(name), unit: Text::default(), value }]
}

/// Numbers that are named are small.
fn integer(number: i64) -> Shown {
    Shown::Number(i32::try_from(number).map_or(0.0, f64::from))
}
