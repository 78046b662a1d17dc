//! A dimmable bulb: someone switches and dims it, and it warms up.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{By, Dice, Measured, Thing, approach, unknown};

/// Power of the electronics alone, in watts.
const STANDBY_WATTS: f64 = 0.4;
const FULL_WATTS: f64 = 8.6;

pub(super) struct Bulb {
    is_on: bool,
    /// At which it is lit when it is on, in percent.
    level: f64,
    housing: f64,
}

impl Default for Bulb {
    fn default() -> Self {
        Self { is_on: false, level: 80.0, housing: 0.0 }
    }
}

impl Bulb {
    fn lit(&self) -> f64 {
        if self.is_on { self.level } else { 0.0 }
    }
}

impl Thing for Bulb {
    fn stream(&self) -> &'static str {
        "light"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured> {
        if dice.happens(seconds, 120.0) {
            self.is_on = !self.is_on;
            if self.is_on {
                self.level = (20.0 + 80.0 * dice.unit()).round();
            }
        }
        // LED drivers lose a little more at full level.
        let watts = STANDBY_WATTS + FULL_WATTS * (self.lit() / 100.0).powf(1.15);
        self.housing = approach(self.housing, watts * 4.2, seconds, 240.0);
        vec![
            Measured::flag("on", self.is_on),
            Measured::number("level", "%", self.lit(), 0),
            Measured::number("power", "W", watts + dice.noise(0.01), 2),
            Measured::number("housing", "Cel", 22.0 + self.housing, 1),
        ]
    }
    fn act(&mut self, action: &str, input: &Json, _: &By<'_>) -> Result<Json, String> {
        match (action, input.as_bool(), input.as_f64()) {
            ("switch", Some(on), _) => self.is_on = on,
            ("dim", _, Some(level)) => {
                self.is_on = level > 0.0;
                if self.is_on {
                    self.level = level;
                }
            }
            _ => return unknown(action),
        }
        Ok(json!({"on": self.is_on, "level": self.lit()}))
    }
}
