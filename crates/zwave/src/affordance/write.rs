//! The way back: commands that write a property.

use super::tables::{quantity_named, state_number};
use super::{By, Shown, rows};
use crate::Command;
use crate::command_class::field::{Level, OnOff, Scaled};
use crate::command_class::humidity::{HumidityControlMode, HumidityControlSetpoint, HumidityMode};
use crate::command_class::lock::DoorLock;
use crate::command_class::switches::{Basic, BinarySwitch, MultilevelSwitch};
use crate::command_class::thermostat::{
    FanMode, Mode, SetpointType, ThermostatFanMode, ThermostatMode, ThermostatSetpoint,
};

/// Highest level: all the way.
const LEVEL_MAX: u8 = 99;

/// The command of a class that sets a property to a value; `None` where nothing sets it, or not to that.
#[must_use]
pub fn write(class: u8, name: &str, value: &Shown) -> Option<Command> {
    let setpoint = quantity_named(class, name);
    let row = rows(class).find(|row| row.write.is_some() && (row.name == name || setpoint.is_some()))?;
    let word = || match value {
        Shown::Word(word) if row.by == By::Word => state_number(class, row.field, word),
        _ => None,
    };
    Some(match class {
        Basic::CLASS => Basic::Set { target_value: level(value)? }.into(),
        BinarySwitch::CLASS => {
            let Shown::Flag(on) = value else { return None };
            let target_value = if *on { OnOff::On } else { OnOff::Off };
            BinarySwitch::Set { target_value, duration: None }.into()
        }
        MultilevelSwitch::CLASS => {
            MultilevelSwitch::Set { target_value: level(value)?, duration: None }.into()
        }
        ThermostatMode::CLASS => {
            ThermostatMode::Set { mode: Mode { mode: word()?, maker: Vec::new() } }.into()
        }
        ThermostatFanMode::CLASS => {
            ThermostatFanMode::Set { mode: FanMode { off: false, mode: word()? } }.into()
        }
        ThermostatSetpoint::CLASS => {
            let setpoint_type = SetpointType { setpoint_type: setpoint?.kind.try_into().ok()? };
            ThermostatSetpoint::Set { setpoint_type, value: tenths(value)? }.into()
        }
        HumidityControlSetpoint::CLASS => {
            let setpoint_type = SetpointType { setpoint_type: setpoint?.kind.try_into().ok()? };
            HumidityControlSetpoint::Set { setpoint_type, value: tenths(value)? }.into()
        }
        HumidityControlMode::CLASS => {
            HumidityControlMode::Set { mode: HumidityMode { mode: word()? } }.into()
        }
        DoorLock::CLASS => DoorLock::OperationSet { mode: word()? }.into(),
        _ => return None,
    })
}

/// A whole number up to [`LEVEL_MAX`].
fn level(value: &Shown) -> Option<Level> {
    let Shown::Number(number) = value else { return None };
    number.to_string().parse().ok().filter(|level| *level <= LEVEL_MAX).map(Level)
}

/// With one digit behind the point, in two bytes.
fn tenths(value: &Shown) -> Option<Scaled> {
    let Shown::Number(number) = value else { return None };
    let digits = format!("{:.0}", number * 10.0).parse::<i16>().ok()?;
    Some(Scaled { precision: 1, scale: 0, size: 2, digits: digits.into() })
}
