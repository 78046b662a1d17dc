//! A parking meter: cars come and go, some pay for less than they stay, the sun charges a lead battery.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{By, Dice, Measured, Thing, unknown};

const DAY: f64 = 86_400.0;
pub(super) struct ParkingMeter {
    time: f64,
    occupied: bool,
    paid_left: f64,
    /// In euros.
    takings: f64,
    /// In euros per hour.
    rate: f64,
    charge: f64,
    /// Who has the bay by a right of their own, as long as something is left of what they paid.
    guest: Option<String>,
}

impl Default for ParkingMeter {
    fn default() -> Self {
        Self {
            time: 10.0 * 3600.0,
            occupied: false,
            paid_left: 0.0,
            takings: 0.0,
            rate: 2.4,
            charge: 0.8,
            guest: None,
        }
    }
}

impl Thing for ParkingMeter {
    fn stream(&self) -> &'static str {
        "bay"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured> {
        self.time += seconds;
        let sun = (TAU * (self.time / DAY - 0.25)).sin().max(0.0);
        if self.guest.is_some() {
            self.occupied = true;
        } else if self.occupied {
            if dice.happens(seconds, 2400.0) {
                self.occupied = false;
                self.paid_left = 0.0;
            }
        } else if dice.happens(seconds, 400.0 + 4000.0 * (1.0 - sun)) {
            self.occupied = true;
            let minutes = 15.0 * (1.0 + (dice.unit() * 7.0).floor());
            self.paid_left = minutes * 60.0;
            self.takings += self.rate * minutes / 60.0;
        }
        self.paid_left = (self.paid_left - seconds).max(0.0);
        if self.paid_left <= 0.0 {
            self.guest = None;
        }
        self.charge = (self.charge + seconds * (sun * 0.09 - 0.02) / 3600.0).clamp(0.05, 1.0);
        vec![
            Measured::flag("occupied", self.occupied),
            Measured::flag("overdue", self.occupied && self.paid_left <= 0.0),
            Measured::number("paid-left", "s", self.paid_left, 0),
            Measured::number("takings", "EUR", self.takings, 2),
            Measured::number("rate", "EUR/h", self.rate, 2),
            Measured::number("battery", "V", 11.4 + 1.3 * self.charge + dice.noise(0.004), 3),
        ]
    }

    fn act(&mut self, action: &str, input: &Json, by: &By<'_>) -> Result<Json, String> {
        match (action, input.as_f64()) {
            ("park", Some(minutes)) => {
                self.belongs_to(by)?;
                let before = if self.guest.is_some() { self.paid_left } else { 0.0 };
                (self.guest, self.occupied) = (Some(by.actor.to_owned()), true);
                self.paid_left = (before + minutes * 60.0).min(by.seconds.max(0.0));
                Ok(json!({"seconds": self.paid_left.round()}))
            }
            ("leave", _) => {
                self.belongs_to(by)?;
                let left = if self.guest.take().is_some() { self.paid_left } else { 0.0 };
                (self.occupied, self.paid_left) = (false, 0.0);
                Ok(json!({"rest": (left / 60.0).floor()}))
            }
            ("set-rate", Some(rate)) => {
                self.rate = rate;
                Ok(json!({"rate": rate}))
            }
            _ => unknown(action),
        }
    }
}

impl ParkingMeter {
    /// Nobody ends or takes over what another has paid for.
    fn belongs_to(&self, by: &By<'_>) -> Result<(), String> {
        match &self.guest {
            Some(guest) if guest != by.actor => Err("somebody else has paid for the bay".to_owned()),
            _ => Ok(()),
        }
    }
}
