//! What keeps a temperature: CC, "Thermostat Mode", "Thermostat Setpoint", "Thermostat Operating State", "Thermostat Fan",
//! "Thermostat Setback".

use super::Value;
use super::field::{Field, Mask, Scaled};
use crate::ParseError;
use crate::bytes::Reader;

/// A mode and, for the maker's own, what the maker wants with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// 0 off, 1 heat, 2 cool, 3 auto, 11 energy heat, 31 the maker's own.
    pub mode: u8,
    /// Up to 7 bytes.
    pub maker: Vec<u8>,
}

impl Field for Mode {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        Ok(Self { mode: head & 0x1f, maker: reader.take((head >> 5).into())?.to_vec() })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let maker = self.maker.get(..7).unwrap_or(&self.maker);
        out.push(u8::try_from(maker.len()).unwrap_or(0) << 5 | self.mode & 0x1f);
        out.extend(maker);
    }
    fn value(&self) -> Value {
        self.mode.into()
    }
}

command_class! {
    /// What a thermostat does: class 0x40.
    ThermostatMode = 0x40 {
        Set = 0x01 { mode: Mode },
        Get = 0x02 {},
        Report = 0x03 { mode: Mode },
        SupportedGet = 0x04 {},
        SupportedReport = 0x05 { supported_modes: Mask<0> },
    }
}

bit_fields! {
    /// What a temperature is for: 1 heating, 2 cooling.
    SetpointType { setpoint_type: u8 = 0, 4 }
}

command_class! {
    /// The temperature that it keeps: class 0x43.
    ThermostatSetpoint = 0x43 {
        Set = 0x01 { setpoint_type: SetpointType, value: Scaled },
        Get = 0x02 { setpoint_type: SetpointType },
        Report = 0x03 { setpoint_type: SetpointType, value: Scaled },
        SupportedGet = 0x04 {},
        SupportedReport = 0x05 { supported_setpoint_types: Mask<0> },
        CapabilitiesGet = 0x09 { setpoint_type: SetpointType },
        CapabilitiesReport = 0x0a { setpoint_type: SetpointType, min_value: Scaled, max_value: Scaled },
    }
}

bit_fields! {
    /// What it is doing: 0 idle, 1 heating, 2 cooling.
    State { state: u8 = 0, 4 }
}

bit_fields! {
    /// A state that is logged.
    LoggedState { logged_state: u8 = 0, 4 }
}

group! {
    /// How long it was in a state.
    Log {
        logged_state: LoggedState,
        usage_today_hours: u8,
        usage_today_minutes: u8,
        usage_yesterday_hours: u8,
        usage_yesterday_minutes: u8,
    }
}

command_class! {
    /// What it is doing: class 0x42.
    ThermostatOperatingState = 0x42 {
        LoggingSupportedGet = 0x01 {},
        Get = 0x02 {},
        Report = 0x03 { state: State },
        LoggingSupportedReport = 0x04 { supported_logging_types: Mask<0> },
        LoggingGet = 0x05 { states: Mask<0> },
        LoggingReport = 0x06 { reports_to_follow: u8, logging_data: Vec<Log> },
    }
}

bit_fields! {
    /// What a fan does, and whether it is off all the same.
    FanMode {
        off: bool = 7, 1,
        mode: u8 = 0, 4,
    }
}

command_class! {
    /// What its fan is told to do: class 0x44.
    ThermostatFanMode = 0x44 {
        Set = 0x01 { mode: FanMode },
        Get = 0x02 {},
        Report = 0x03 { mode: FanMode },
        SupportedGet = 0x04 {},
        SupportedReport = 0x05 { supported_modes: Mask<0> },
    }
}

command_class! {
    /// What its fan is doing: class 0x45.
    ThermostatFanState = 0x45 {
        Get = 0x02 {},
        Report = 0x03 { state: State },
    }
}

bit_fields! {
    /// 0 none, 1 for a while, 2 until further notice.
    SetbackType { setback_type: u8 = 0, 2 }
}

command_class! {
    /// How far it is from its setpoint, in tenths of a kelvin; 121 protects from frost, 122 saves energy: class 0x47.
    ThermostatSetback = 0x47 {
        Set = 0x01 { setback_type: SetbackType, setback_state: i8 },
        Get = 0x02 {},
        Report = 0x03 { setback_type: SetbackType, setback_state: i8 },
    }
}
