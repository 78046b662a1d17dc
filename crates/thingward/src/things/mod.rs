//! Five kinds of things with plausible physics, for the demo and for trying things out without hardware. What they
//! measure and do is in their Thing Descriptions beside the code.

mod bulb;
mod infusion_pump;
mod milling_machine;
mod parking_meter;
mod thermometer;

use std::time::Duration;

use rand_core::{Rng, SeedableRng};
use serde_json::Value as Json;
use thingward_agent::reading::{OwnedReading, OwnedValue};
use thingward_model::description::{DescriptionError, ThingDescription};
use thingward_model::{FieldName, Timestamp};

/// A thing that measures itself and its surroundings.
pub(crate) trait Thing: Send {
    /// The stream that it publishes.
    fn stream(&self) -> &'static str;

    /// Time between its readings.
    fn period(&self) -> Duration;

    /// Lets `seconds` pass and says what it measures then.
    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured>;

    /// Does what its description calls `action`, with an input that the description allows, and says what that gave.
    fn act(&mut self, action: &str, input: &Json, by: &By<'_>) -> Result<Json, String>;
}

/// Who wants something done.
pub(crate) struct By<'a> {
    /// In the word of the command; all grants that one key was given, and their parts, are one.
    pub(crate) actor: &'a str,
    /// How long their right to it lasts, in seconds.
    pub(crate) seconds: f64,
}

/// The answer to an action that the description has and the thing has not.
fn unknown(action: &str) -> Result<Json, String> {
    Err(format!("the thing cannot {action}"))
}

/// One value of a reading.
pub(crate) struct Measured {
    field: &'static str,
    unit: &'static str,
    value: OwnedValue,
}

impl Measured {
    fn number(field: &'static str, unit: &'static str, value: f64, decimals: u32) -> Self {
        let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or_default());
        Self { field, unit, value: OwnedValue::Number((value * scale).round() / scale) }
    }

    fn flag(field: &'static str, value: bool) -> Self {
        Self { field, unit: "", value: OwnedValue::Bool(value) }
    }

    fn text(field: &'static str, value: &str) -> Self {
        Self { field, unit: "", value: OwnedValue::Text(value.to_owned()) }
    }

    /// What it is called, and its number, where it is one.
    pub(crate) const fn as_number(&self) -> Option<(&'static str, f64)> {
        match self.value {
            OwnedValue::Number(number) => Some((self.field, number)),
            _ => None,
        }
    }

    /// The reading at `time`; `None` never, for the fields here.
    pub(crate) fn at(self, time: Timestamp) -> Option<OwnedReading> {
        let field = FieldName::new(self.field).ok()?;
        Some(OwnedReading { field: Some(field), unit: self.unit.to_owned(), time, value: self.value })
    }
}

/// The kinds of things that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Thermometer,
    Bulb,
    InfusionPump,
    MillingMachine,
    ParkingMeter,
}

impl Kind {
    /// Its word on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Thermometer => "thermometer",
            Self::Bulb => "bulb",
            Self::InfusionPump => "infusion-pump",
            Self::MillingMachine => "milling-machine",
            Self::ParkingMeter => "parking-meter",
        }
    }

    /// What things of this kind measure and do, as the document.
    const fn document(self) -> &'static str {
        match self {
            Self::Thermometer => include_str!("thermometer.td.json"),
            Self::Bulb => include_str!("bulb.td.json"),
            Self::InfusionPump => include_str!("infusion_pump.td.json"),
            Self::MillingMachine => include_str!("milling_machine.td.json"),
            Self::ParkingMeter => include_str!("parking_meter.td.json"),
        }
    }

    /// What things of this kind measure and do.
    pub(crate) fn description(self) -> Result<ThingDescription, DescriptionError> {
        ThingDescription::parse(self.document().as_bytes())
    }

    /// A new thing of this kind.
    pub(crate) fn build(self) -> Box<dyn Thing> {
        match self {
            Self::Thermometer => Box::new(thermometer::Thermometer::default()),
            Self::Bulb => Box::new(bulb::Bulb::default()),
            Self::InfusionPump => Box::new(infusion_pump::InfusionPump::default()),
            Self::MillingMachine => Box::new(milling_machine::MillingMachine::default()),
            Self::ParkingMeter => Box::new(parking_meter::ParkingMeter::default()),
        }
    }
}

/// Chance, repeatable from a seed.
pub(crate) struct Dice(chacha20::ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(chacha20::ChaCha8Rng::seed_from_u64(seed))
    }

    /// From 0 up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
        let numerator = (self.0.next_u64() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }

    /// Whether something happens within `seconds` that happens once per `mean` seconds.
    pub(crate) fn happens(&mut self, seconds: f64, mean: f64) -> bool {
        self.unit() < 1.0 - (-seconds / mean).exp()
    }

    /// About normal, with deviation `sigma`: the sum of twelve even chances.
    pub(crate) fn noise(&mut self, sigma: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.unit()).sum();
        (sum - 6.0) * sigma
    }
}

/// Moves `value` towards `target` with time constant `tau`, all in seconds.
fn approach(value: f64, target: f64, seconds: f64, tau: f64) -> f64 {
    target + (value - target) * (-seconds / tau).exp()
}

#[cfg(test)]
mod tests;
