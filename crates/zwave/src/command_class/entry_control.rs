//! Keypads: CC, "Entry Control".

use zeroize::Zeroizing;

use super::Value;
use super::field::{Field, SizedMask};
use super::user_code::Secret;
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
    /// Up to 32 bytes, without padding: often the code that somebody typed.
    pub data: Secret,
}

impl Field for Entered {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [data_type, event_type, length] = reader.array()?;
        let mut data = Zeroizing::new(reader.take(length.into())?.to_vec());
        if data_type & 0x03 == ASCII {
            let length = data.iter().rposition(|byte| *byte != PADDING).map_or(0, |last| last + 1);
            data.truncate(length);
        }
        Ok(Self { data_type: data_type & 0x03, event_type, data: Secret(data) })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let data = self.data.0.get(..240).unwrap_or(&self.data.0);
        let block = if self.data_type == ASCII { BLOCK } else { 1 };
        let length = data.len().next_multiple_of(block);
        out.extend([self.data_type, self.event_type, u8::try_from(length).unwrap_or(u8::MAX)]);
        out.extend(data.iter().copied().chain(std::iter::repeat(PADDING)).take(length));
    }
    fn value(&self) -> Value {
        self.event_type.into()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("data_type", self.data_type.into()));
        out.push(("event_type", self.event_type.into()));
        out.push(("event_data", self.data.value()));
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
