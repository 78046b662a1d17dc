//! A thing: what it has said so far, and so has.

use std::collections::BTreeMap;
use std::time::Duration;

use thingward_ble::{Address as Advertiser, Format, Report as Advertised};
use thingward_model::Link;
use thingward_model::description::{AFFORDANCES_MAX, DescriptionError};

use super::words::News;
use crate::draft::{Draft, schema};
use crate::wire::{Address, Text, Thing, Value};

/// What is said again within this time, word for word, is not told again.
const AGAIN: Duration = Duration::from_secs(60);

/// A thing.
#[derive(Debug, Default)]
pub(super) struct Member {
    title: String,
    had: BTreeMap<String, Had>,
    last: Option<(Vec<News>, Duration)>,
}

/// What it has under a name.
#[derive(Debug, PartialEq, Eq)]
struct Had {
    kind: &'static str,
    unit: Text<16>,
    is_event: bool,
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
            let had = Had { kind: kind(&reading.value), unit: reading.unit.clone(), is_event: *is_event };
            let name = reading.name.to_string();
            if self.had.len() < AFFORDANCES_MAX {
                self.had.entry(name).or_insert(had);
            }
        }
        self.had.len() > before
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
                draft.event(name, had.kind);
            } else {
                draft.property(name, schema(had.kind, had.unit.as_str()));
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

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Text(_) | Value::Data(_) => "string",
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
