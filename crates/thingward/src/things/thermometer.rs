//! A room thermometer: walls that lose heat to the weather, a radiator with a thermostat, people who open windows.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{By, Dice, Measured, Thing, approach, unknown};

/// Time constant of the room against the outside, in seconds.
const ROOM_TAU: f64 = 6.0 * 3600.0;
/// With a window open.
const AIRING_TAU: f64 = 1800.0;
const DAY: f64 = 86_400.0;

pub(super) struct Thermometer {
    time: f64,
    air: f64,
    humidity: f64,
    heating: bool,
    window_open: bool,
    /// In seconds.
    interval: u64,
}

impl Default for Thermometer {
    fn default() -> Self {
        Self {
            time: 9.0 * 3600.0,
            air: 20.8,
            humidity: 45.0,
            heating: false,
            window_open: false,
            interval: 1,
        }
    }
}

impl Thing for Thermometer {
    fn stream(&self) -> &'static str {
        "climate"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(self.interval)
    }

    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured> {
        self.time += seconds;
        let outside = 9.0 - 5.0 * (TAU * (self.time / DAY - 0.12)).cos();
        self.window_open =
            if self.window_open { !dice.happens(seconds, 300.0) } else { dice.happens(seconds, 9000.0) };
        self.heating = if self.heating { self.air < 21.4 } else { self.air < 20.6 };
        let tau = if self.window_open { AIRING_TAU } else { ROOM_TAU };
        self.air = approach(self.air, outside, seconds, tau);
        if self.heating {
            self.air += seconds * 3.0 / 3600.0;
        }
        let moist = if self.window_open { 60.0 } else { 42.0 };
        self.humidity = approach(self.humidity, moist, seconds, tau);
        vec![
            Measured::number("temperature", "Cel", self.air + dice.noise(0.02), 2),
            Measured::number("humidity", "%RH", self.humidity + dice.noise(0.2), 1),
        ]
    }
    fn act(&mut self, action: &str, input: &Json, _: &By<'_>) -> Result<Json, String> {
        match (action, input.as_u64()) {
            ("set-interval", Some(seconds)) => {
                self.interval = seconds.max(1);
                Ok(json!({"interval": self.interval}))
            }
            _ => unknown(action),
        }
    }
}
