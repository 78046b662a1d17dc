//! Gates and blinds: CC, "Barrier Operator", "Window Covering".

use super::field::{Counted, Duration, Mask, SizedMask};

command_class! {
    /// A gate: class 0x66. 0 is closed, 255 open, 252 closing, 254 opening, 253 stopped, others per cent.
    BarrierOperator = 0x66 {
        Set = 0x01 { target_state: u8 },
        Get = 0x02 {},
        Report = 0x03 { current_state: u8 },
        SignalingCapabilitiesGet = 0x04 {},
        SignalingCapabilitiesReport = 0x05 { supported_subsystem_types: Mask<1> },
        EventSignalingSet = 0x06 { subsystem_type: u8, subsystem_state: u8 },
        EventSignalingGet = 0x07 { subsystem_type: u8 },
        EventSignalingReport = 0x08 { subsystem_type: u8, subsystem_state: u8 },
    }
}

bit_fields! {
    /// Which way it goes.
    Direction { down: bool = 6, 1 }
}

group! {
    /// Something of a blind and where it is to be, 0 to 99.
    Position {
        parameter: u8,
        value: u8,
    }
}

command_class! {
    /// Blinds: class 0x6a.
    WindowCovering = 0x6a {
        SupportedGet = 0x01 {},
        SupportedReport = 0x02 { supported_parameters: SizedMask<0, 4> },
        Get = 0x03 { parameter: u8 },
        Report = 0x04 { parameter: u8, current_value: u8, target_value: u8, duration: Duration },
        Set = 0x05 { target_values: Counted<Position, 5>, duration: Option<Duration> },
        StartLevelChange = 0x06 { direction: Direction, parameter: u8, duration: Option<Duration> },
        StopLevelChange = 0x07 { parameter: u8 },
    }
}
