//! What shows something: CC, "Indicator".

use super::field::{Counted, SizedMask, SizedText};

group! {
    /// A property of an indicator.
    Property {
        indicator_id: u8,
        property_id: u8,
        value: u8,
    }
}

command_class! {
    /// Lamps and displays: class 0x87.
    Indicator = 0x87 {
        Set = 0x01 { indicator_0_value: u8, values: Option<Counted<Property, 5>> },
        Get = 0x02 { indicator_id: Option<u8> },
        Report = 0x03 { indicator_0_value: u8, values: Option<Counted<Property, 5>> },
        SupportedGet = 0x04 { indicator_id: u8 },
        SupportedReport = 0x05 {
            indicator_id: u8,
            next_indicator_id: u8,
            supported_properties: SizedMask<0, 5>,
        },
        DescriptionGet = 0x06 { indicator_id: u8 },
        DescriptionReport = 0x07 { indicator_id: u8, description: SizedText },
    }
}
