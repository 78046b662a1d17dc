//! What sleeps: CC, "Wake Up".

use super::Value;
use super::field::Field;
use crate::ParseError;
use crate::bytes::Reader;

/// Seconds in three bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u32);

impl Field for Seconds {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.array().map(|[high, middle, low]| Self(u32::from_be_bytes([0, high, middle, low])))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        out.extend(bytes);
    }
    fn value(&self) -> Value {
        self.0.into()
    }
}

bit_fields! {
    /// What else it can do.
    Features { wake_up_on_demand_supported: bool = 0, 1 }
}

command_class! {
    /// When it wakes up, and that it has: class 0x84.
    WakeUp = 0x84 {
        IntervalSet = 0x04 { wake_up_interval: Seconds, controller_node_id: u8 },
        IntervalGet = 0x05 {},
        IntervalReport = 0x06 { wake_up_interval: Seconds, controller_node_id: u8 },
        Notification = 0x07 {},
        NoMoreInformation = 0x08 {},
        CapabilitiesGet = 0x09 {},
        CapabilitiesReport = 0x0a {
            min_wake_up_interval: Seconds,
            max_wake_up_interval: Seconds,
            default_wake_up_interval: Seconds,
            wake_up_interval_steps: Seconds,
            features: Option<Features>,
        },
    }
}
