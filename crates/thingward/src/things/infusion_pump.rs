//! An infusion pump: a syringe driven at a set rate, the line's pressure, and now and then an occlusion that
//! raises it until the alarm stops the drive.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{By, Dice, Measured, Thing, approach, unknown};

const SYRINGE_ML: f64 = 500.0;
/// Pressure at which the drive stops, in kilopascals.
const ALARM_KPA: f64 = 90.0;
/// What a rate of 1 mL/h puts on an open line, in kilopascals.
const LINE_KPA_PER_RATE: f64 = 0.06;

pub(super) struct InfusionPump {
    /// In millilitres per hour.
    rate: f64,
    stopped: bool,
    infused: f64,
    pressure: f64,
    occluded: bool,
    alarm: bool,
    battery: f64,
}

impl Default for InfusionPump {
    fn default() -> Self {
        Self {
            rate: 60.0,
            stopped: false,
            infused: 0.0,
            pressure: 4.0,
            occluded: false,
            alarm: false,
            battery: 100.0,
        }
    }
}

impl InfusionPump {
    const fn state(&self) -> &'static str {
        match (self.alarm, self.stopped) {
            (true, _) => "occlusion",
            (false, true) => "stopped",
            (false, false) => "infusing",
        }
    }
}

impl Thing for InfusionPump {
    fn stream(&self) -> &'static str {
        "infusion"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn step(&mut self, seconds: f64, dice: &mut Dice) -> Vec<Measured> {
        self.occluded =
            if self.occluded { !dice.happens(seconds, 45.0) } else { dice.happens(seconds, 1800.0) };
        if self.alarm && !self.occluded {
            self.alarm = false;
        }
        let drive = if self.alarm || self.stopped { 0.0 } else { self.rate };
        if self.occluded && !self.alarm {
            // Nothing leaves the line: the drive presses against it.
            self.pressure += seconds * drive * 0.035;
        } else {
            self.pressure = approach(self.pressure, 2.0 + drive * LINE_KPA_PER_RATE, seconds, 6.0);
            self.infused += drive * seconds / 3600.0;
        }
        self.alarm |= self.pressure > ALARM_KPA;
        if self.infused > SYRINGE_ML {
            self.infused = 0.0;
        }
        self.battery = if self.battery < 20.0 { 100.0 } else { self.battery - seconds / 360.0 };
        vec![
            Measured::number("rate", "mL/h", drive, 1),
            Measured::number("infused", "mL", self.infused, 3),
            Measured::number("pressure", "kPa", self.pressure.max(0.0) + dice.unit() * 0.3, 2),
            Measured::number("battery", "%EL", self.battery, 1),
            Measured::text("state", self.state()),
        ]
    }
    fn act(&mut self, action: &str, input: &Json, _: &By<'_>) -> Result<Json, String> {
        match (action, input.as_f64()) {
            ("set-rate", Some(_)) if self.alarm => Err("the line is occluded".to_owned()),
            ("set-rate", Some(rate)) => {
                (self.rate, self.stopped) = (rate, false);
                Ok(json!({"rate": rate}))
            }
            ("stop", _) => {
                self.stopped = true;
                Ok(Json::Null)
            }
            _ => unknown(action),
        }
    }
}
