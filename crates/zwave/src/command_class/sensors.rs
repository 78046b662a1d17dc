//! What is sensed: CC, "Binary Sensor", "Multilevel Sensor".

use super::field::{Mask, OnOff, Scaled};

command_class! {
    /// Something is or is not: class 0x30.
    BinarySensor = 0x30 {
        SupportedGet = 0x01 {},
        Get = 0x02 { sensor_type: Option<u8> },
        Report = 0x03 { value: OnOff, sensor_type: Option<u8> },
        SupportedReport = 0x04 { supported_types: Mask<0> },
    }
}

bit_fields! {
    /// A unit, in the numbering of what is measured.
    Scale { scale: u8 = 3, 2 }
}

group! {
    /// What is asked for, and in which unit.
    Wanted {
        sensor_type: u8,
        scale: Scale,
    }
}

command_class! {
    /// Something has a value: class 0x31.
    MultilevelSensor = 0x31 {
        SupportedSensorGet = 0x01 {},
        SupportedSensorReport = 0x02 { supported_types: Mask<1> },
        SupportedScaleGet = 0x03 { sensor_type: u8 },
        Get = 0x04 { wanted: Option<Wanted> },
        Report = 0x05 { sensor_type: u8, value: Scaled },
        SupportedScaleReport = 0x06 { sensor_type: u8, supported_scales: Mask<0> },
    }
}
