//! A milling machine: cuts with pauses, a tool that wears and shakes more until it is changed, a spindle that
//! warms the coolant.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{By, Dice, Measured, Thing, approach, unknown};

/// Wear at which the tool is changed, in minutes of cutting.
const TOOL_LIFE_MIN: f64 = 200.0;

#[derive(Default)]
pub(super) struct MillingMachine {
    cutting: bool,
    stopped: bool,
    /// Set by somebody, for all cuts; else each cut has its own.
    wanted_speed: Option<f64>,
    speed: f64,
    set_speed: f64,
    load: f64,
    wear: f64,
    coolant: f64,
    parts: f64,
}

impl Thing for MillingMachine {
    fn stream(&self) -> &'static str {
        "spindle"
    }

    fn period(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured> {
        if self.cutting {
            if dice.happens(seconds, 90.0) {
                self.cutting = false;
                self.parts += 1.0;
            }
        } else if !self.stopped && dice.happens(seconds, 15.0) {
            self.cutting = true;
            self.set_speed = self.wanted_speed.unwrap_or(4000.0 + 4000.0 * dice.unit());
        }
        if self.wear > TOOL_LIFE_MIN && !self.cutting {
            self.wear = 0.0;
        }
        let target = if self.cutting { self.set_speed } else { 0.0 };
        self.speed = approach(self.speed, target, seconds, 1.5);
        let load = if self.cutting { 22.0 * (1.0 + self.wear / TOOL_LIFE_MIN) } else { 0.0 };
        self.load = approach(self.load, load, seconds, 0.8);
        if self.cutting {
            self.wear += seconds / 60.0;
        }
        // Torque times angular speed, in kilowatts.
        let power = self.load * self.speed * 2.0 * std::f64::consts::PI / 60.0 / 1000.0;
        self.coolant = approach(self.coolant, power * 0.9, seconds, 600.0);
        let shake = self.speed / 4000.0 * (0.6 + 2.2 * (self.wear / TOOL_LIFE_MIN).powi(2));
        vec![
            Measured::number("spindle-speed", "1/min", self.speed, 0),
            Measured::number("torque", "N.m", (self.load + dice.noise(0.4)).max(0.0), 1),
            Measured::number("power", "W", power * 1000.0, 0),
            Measured::number("vibration", "mm/s", shake + dice.unit() * 0.1, 3),
            Measured::number("tool-wear", "min", self.wear, 1),
            Measured::number("coolant", "Cel", 21.0 + self.coolant, 1),
            Measured::number("parts", "count", self.parts, 0),
        ]
    }
    fn act(&mut self, action: &str, input: &Json, _: &By<'_>) -> Result<Json, String> {
        match (action, input.as_f64()) {
            ("set-spindle-speed", Some(speed)) => {
                (self.wanted_speed, self.set_speed, self.stopped) = (Some(speed), speed, false);
                Ok(json!({"speed": speed}))
            }
            ("stop", _) => {
                (self.cutting, self.stopped) = (false, true);
                Ok(Json::Null)
            }
            _ => unknown(action),
        }
    }
}
