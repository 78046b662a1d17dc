//! A device as a thing.

use serde_json::Value as Json;
use thingward_model::Link;
use thingward_model::description::DescriptionError;
use thingward_mqtt::topic::TopicName;

use super::BASE;
use super::message::DeviceState;
use super::slot::{Proof, Slot, WrongInput};
use crate::draft::Draft;
use crate::wire::{Address, Argument, Reading, Thing};

/// Most members of what a device says.
const SLOTS_MAX: usize = 128;
/// What is exposed in parts, each a member of messages.
const WITH_FEATURES: [&str; 6] = ["climate", "cover", "fan", "light", "lock", "switch"];
/// Digits of an IEEE address.
const ADDRESS_DIGITS: usize = 16;

/// A device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) address: Address,
    /// What it is called now, in topics.
    pub(super) topic: TopicName,
    title: String,
    slots: Vec<Slot>,
}

/// What is to be published, and what shows that it was done.
pub(super) struct Command {
    pub(super) property: String,
    pub(super) value: Json,
    pub(super) proof: Proof,
}

/// Why an action is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("it has no action {0}")]
    NoAction(String),
    #[error(transparent)]
    Input(#[from] WrongInput),
}

/// An IEEE address as we write it; `None` when it is none.
pub(super) fn address(theirs: &str) -> Option<Address> {
    let digits = theirs.strip_prefix("0x").filter(|digits| digits.len() == ADDRESS_DIGITS)?;
    let is_right = digits.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_right { Address::new(&digits.to_ascii_lowercase()) } else { None }
}

impl Device {
    /// `None` for what is not finished, not wanted there, unknown there, or not to be named.
    pub(super) fn new(state: &DeviceState) -> Option<Self> {
        let definition =
            state.definition.as_ref().filter(|_| state.interview_completed && !state.disabled)?;
        let name = state.friendly_name.as_str();
        // Below it are the bridge's own topics.
        if name.is_empty() || name.split('/').next() == Some("bridge") {
            return None;
        }
        let topic = TopicName::try_from(format!("{BASE}/{name}").as_str()).ok()?;
        let mut slots: Vec<Slot> = Vec::new();
        let mut add = |slot: Option<Slot>| {
            if let Some(slot) = slot
                && slots.len() < SLOTS_MAX
            {
                slots.push(slot);
            }
        };
        for exposed in &definition.exposes.items {
            add(Slot::new("", exposed));
            // Parts of anything else are members of its value, and not of the message.
            let has_parts = WITH_FEATURES.contains(&exposed.kind.as_str());
            for feature in exposed.features.items.iter().filter(|_| has_parts) {
                add(Slot::new(&exposed.kind, feature));
            }
        }
        let title = format!("{} {}", definition.vendor, definition.model);
        Some(Self { address: address(&state.ieee_address)?, topic, title, slots })
    }

    /// The thing, as it is told to the gateway; `None` where it shows nothing.
    pub(super) fn thing(&self) -> Result<Option<Thing>, DescriptionError> {
        let mut draft = Draft::default();
        self.slots.iter().for_each(|slot| slot.describe(&mut draft));
        if draft.is_empty() {
            return Ok(None);
        }
        let description = draft.finish(&self.title, "On the word of Zigbee2MQTT.")?;
        Ok(Some(Thing { address: self.address.clone(), link: Link::Zigbee2Mqtt, description }))
    }

    /// What a message shows.
    pub(super) fn readings(&self, said: &Json) -> Vec<Reading> {
        let shown = |slot: &Slot| said.get(&slot.property).map(|value| slot.readings(value));
        self.slots.iter().filter_map(shown).flatten().collect()
    }

    /// What an action is.
    pub(super) fn command(&self, action: &str, arguments: &[Argument]) -> Result<Command, CommandError> {
        let find = |slot: &Slot| slot.actions().into_iter().find(|(name, ..)| name == action);
        let found = self.slots.iter().find_map(|slot| find(slot).map(|(_, sends, _)| (slot, sends)));
        let (slot, sends) = found.ok_or_else(|| CommandError::NoAction(action.to_owned()))?;
        let write = slot.write(sends, arguments)?;
        Ok(Command { property: slot.property.clone(), value: write.value, proof: write.proof })
    }
}
