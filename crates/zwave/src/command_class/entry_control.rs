//! Keypads: CC, "Entry Control".

use super::Value;
use super::field::{Field, SizedMask};
use crate::ParseError;
use crate::bytes::Reader;

const ASCII: u8 = 2;
/// Fills ASCII up to a multiple of [`BLOCK`], so that its length tells nothing.
const PADDING: u8 = 0xff;
const BLOCK: usize = 16;

/// What was done, and the keys that were pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// What the data are: 0 none, 1 raw, 2 ASCII, 3 MD5.
    pub data_type: u8,
    /// What was done: 2 enter, 3 disarm all, 5 arm away, 25 cancel, …
    pub event_type: u8,
    /// Up to 32 bytes, without padding.
    pub data: Vec<u8>,
}

impl Field for Entered {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [data_type, event_type, length] = reader.array()?;
        let mut data = reader.take(length.into())?.to_vec();
        if data_type & 0x03 == ASCII {
            data.truncate(data.iter().rposition(|byte| *byte != PADDING).map_or(0, |last| last + 1));
        }
        Ok(Self { data_type: data_type & 0x03, event_type, data })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut data = self.data.get(..240).unwrap_or(&self.data).to_vec();
        if self.data_type == ASCII {
            data.resize(data.len().next_multiple_of(BLOCK), PADDING);
        }
        out.extend([self.data_type, self.event_type, u8::try_from(data.len()).unwrap_or(u8::MAX)]);
        out.append(&mut data);
    }
    fn value(&self) -> Value {
        self.event_type.into()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("data_type", self.data_type.into()));
        out.push(("event_type", self.event_type.into()));
        out.push(("event_data", Value::Bytes(self.data.clone())));
    }
}

command_class! {
    /// What was entered: class 0x6f.
    EntryControl = 0x6f {
        Notification = 0x01 { sequence_number: u8, entered: Entered },
        KeySupportedGet = 0x02 {},
        KeySupportedReport = 0x03 { supported_keys: SizedMask<0, 8> },
        EventSupportedGet = 0x04 {},
        EventSupportedReport = 0x05 {
            supported_data_types: SizedMask<0, 2>,
            supported_event_types: SizedMask<0, 5>,
            min_key_cache_size: u8,
            max_key_cache_size: u8,
            min_key_cache_timeout: u8,
            max_key_cache_timeout: u8,
        },
        ConfigurationSet = 0x06 { key_cache_size: u8, key_cache_timeout: u8 },
        ConfigurationGet = 0x07 {},
        ConfigurationReport = 0x08 { key_cache_size: u8, key_cache_timeout: u8 },
    }
}
