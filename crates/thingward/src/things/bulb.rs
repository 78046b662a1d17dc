//! A dimmable bulb: someone switches and dims it, and it warms up.

use std::time::Duration;

use super::{Dice, Measured, Thing, approach};

/// Power of the electronics alone, in watts.
const STANDBY_WATTS: f64 = 0.4;
const FULL_WATTS: f64 = 8.6;

#[derive(Default)]
pub(super) struct Bulb {
    is_on: bool,
    level: f64,
    housing: f64,
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
            self.level = if self.is_on { (20.0 + 80.0 * dice.unit()).round() } else { 0.0 };
        }
        // LED drivers lose a little more at full level.
        let watts = STANDBY_WATTS + FULL_WATTS * (self.level / 100.0).powf(1.15);
        self.housing = approach(self.housing, watts * 4.2, seconds, 240.0);
        vec![
            Measured::flag("on", self.is_on),
            Measured::number("level", "%", self.level, 0),
            Measured::number("power", "W", watts + dice.noise(0.01), 2),
            Measured::number("housing", "Cel", 22.0 + self.housing, 1),
        ]
    }
}
