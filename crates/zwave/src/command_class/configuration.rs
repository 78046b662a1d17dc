//! What is set: CC, "Configuration".

use super::Value;
use super::field::{Field, Text, read_signed, write_signed};
use crate::ParseError;
use crate::bytes::Reader;

/// The value of a parameter, of 1, 2 or 4 bytes. Whether it has a sign, only its properties say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Back to what it was when new; the value is then left alone.
    pub default: bool,
    /// Bytes.
    pub size: u8,
    /// As a signed number.
    pub value: i32,
}

impl Field for Setting {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let size = head & 0x07;
        Ok(Self { default: head & 0x80 != 0, size, value: read_signed(size, reader)? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.default) << 7 | self.size & 0x07);
        write_signed(self.size, self.value, out);
    }
    fn value(&self) -> Value {
        self.value.into()
    }
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value()));
        out.push(("value_size", self.size.into()));
    }
}

command_class! {
    /// Parameters: class 0x70.
    Configuration = 0x70 {
        DefaultReset = 0x01 {},
        Set = 0x04 { parameter: u8, value: Setting },
        Get = 0x05 { parameter: u8 },
        Report = 0x06 { parameter: u8, value: Setting },
        NameGet = 0x0a { parameter: u16 },
        NameReport = 0x0b { parameter: u16, reports_to_follow: u8, name: Text },
        InfoGet = 0x0c { parameter: u16 },
        InfoReport = 0x0d { parameter: u16, reports_to_follow: u8, info: Text },
        PropertiesGet = 0x0e { parameter: u16 },
    }
}
