//! What keeps a humidity: CC, "Humidity Control Mode", "Humidity Control Setpoint", "Humidity Control Operating State".

use super::field::{Mask, Scaled};
use super::thermostat::{SetpointType, State};

bit_fields! {
    /// 0 off, 1 humidify, 2 dehumidify, 3 either.
    HumidityMode { mode: u8 = 0, 4 }
}

command_class! {
    /// What it does: class 0x6d.
    HumidityControlMode = 0x6d {
        Set = 0x01 { mode: HumidityMode },
        Get = 0x02 {},
        Report = 0x03 { mode: HumidityMode },
        SupportedGet = 0x04 {},
        SupportedReport = 0x05 { supported_modes: Mask<0> },
    }
}

command_class! {
    /// What it is doing: class 0x6e.
    HumidityControlOperatingState = 0x6e {
        Get = 0x01 {},
        Report = 0x02 { state: State },
    }
}

command_class! {
    /// The humidity that it keeps: class 0x64.
    HumidityControlSetpoint = 0x64 {
        Set = 0x01 { setpoint_type: SetpointType, value: Scaled },
        Get = 0x02 { setpoint_type: SetpointType },
        Report = 0x03 { setpoint_type: SetpointType, value: Scaled },
        SupportedGet = 0x04 {},
        SupportedReport = 0x05 { supported_setpoint_types: Mask<0> },
        ScaleSupportedGet = 0x06 { setpoint_type: SetpointType },
        ScaleSupportedReport = 0x07 { supported_scales: Mask<0> },
        CapabilitiesGet = 0x08 { setpoint_type: SetpointType },
        CapabilitiesReport = 0x09 { setpoint_type: SetpointType, min_value: Scaled, max_value: Scaled },
    }
}
