//! A thing: what it has said so far, and so has.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};
use thingward_ble::{Address as Advertiser, Format, Report as Advertised};
use thingward_model::Link;
use thingward_model::description::{AFFORDANCES_MAX, DescriptionError};

use super::kept::Seen;
use super::words::News;
use crate::draft::{Draft, schema};
use crate::wire::{Address, Name, Text, Thing, Value};

/// What is said again within this time, word for word, is not told again.
const AGAIN: Duration = Duration::from_secs(60);

/// A thing.
#[derive(Debug, Default)]
pub(super) struct Member {
    title: String,
    had: BTreeMap<Name, Had>,
    /// Whether the gateway was told of it, as it is now, since the start.
    is_told: bool,
    last: Option<(Vec<News>, Duration)>,
}

/// What it has under a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Had {
    #[n(0)]
    shape: Shape,
    #[n(1)]
    pub(super) unit: Text<16>,
    #[n(2)]
    is_event: bool,
}

/// What type its values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum Shape {
    #[n(0)]
    Number,
    #[n(1)]
    Boolean,
    #[n(2)]
    String,
}

/// The address as it is reported: twelve hexadecimal digits.
pub(super) fn address(of: Advertiser) -> Address {
    Address::fitting(&of.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl Member {
    /// Takes up what it says; whether that shows something new that it has.
    pub(super) fn learn(&mut self, title: String, news: &[News]) -> bool {
        self.title = title;
        let before = self.had.len();
        for News { reading, is_event } in news {
            let had =
                Had { shape: Shape::of(&reading.value), unit: reading.unit.clone(), is_event: *is_event };
            self.remember(reading.name.clone(), had);
        }
        let is_new = self.had.len() > before;
        self.is_told &= !is_new;
        is_new
    }

    /// It has this, as far as there is room.
    pub(super) fn remember(&mut self, name: Name, had: Had) {
        if self.had.len() < AFFORDANCES_MAX {
            self.had.entry(name).or_insert(had);
        }
    }

    /// What is kept of it.
    pub(super) fn seen(&self, of: Advertiser) -> impl Iterator<Item = Seen> {
        self.had.iter().map(move |(name, had)| Seen {
            address: of.0.into(),
            name: name.clone(),
            had: had.clone(),
        })
    }

    /// Whether the gateway is to be told of it; from then on it was.
    pub(super) const fn take_untold(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    /// Whether it said the same just now.
    pub(super) fn is_again(&mut self, news: &[News], now: Duration) -> bool {
        let is_again = self.last.as_ref().is_some_and(|(last, at)| last == news && now < *at + AGAIN);
        if !is_again {
            self.last = Some((news.to_vec(), now));
        }
        is_again
    }

    pub(super) fn thing(&self, address: Address, link: Link) -> Result<Thing, DescriptionError> {
        let mut draft = Draft::default();
        for (name, had) in &self.had {
            if had.is_event {
                draft.event(name.as_str(), had.shape.as_str());
            } else {
                draft.property(name.as_str(), schema(had.shape.as_str(), had.unit.as_str()));
            }
        }
        let said = match link {
            Link::BleKey => "What it advertises is under its own key.",
            _ => "It advertises in a way that anybody in reach can imitate.",
        };
        let description = draft.finish(&self.title, said)?;
        Ok(Thing { address, link, description })
    }
}

impl Shape {
    const fn of(value: &Value) -> Self {
        match value {
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            Value::Text(_) | Value::Data(_) => Self::String,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::String => "string",
        }
    }
}

/// What people call such a thing.
pub(super) fn title(said: &Advertised) -> String {
    let maker = match said.format {
        Format::BthomeV1 | Format::BthomeV2 => "BTHome sensor",
        Format::Ruuvi => "RuuviTag",
        Format::MiBeacon | Format::XiaomiScale => "Xiaomi",
        Format::PlantSensor => "Plant sensor",
    };
    said.model.map_or_else(|| maker.to_owned(), |model| format!("{maker} {model}"))
}
