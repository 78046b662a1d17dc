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

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Properties {
    /// Setting it changes what the thing can do.
    pub alters_capabilities: bool,
    /// It cannot be set.
    pub is_readonly: bool,
    /// 0 signed, 1 unsigned, 2 one of several, 3 bits.
    pub format: u8,
    /// Bytes; 0 for a parameter that is not there.
    pub size: u8,
    /// Least, greatest and default value, as signed numbers.
    pub values: [i32; 3],
    /// Number of the next parameter; 0 after the last.
    pub next_parameter: u16,
    /// From version 4 on, as bits: for experts, not in bulk.
    pub flags: Option<u8>,
}

impl Field for Properties {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let size = head & 0x07;
        let mut values = [0; 3];
        if size > 0 {
            for value in &mut values {
                *value = read_signed(size, reader)?;
            }
        }
        let (alters_capabilities, is_readonly, format) =
            (head & 0x80 != 0, head & 0x40 != 0, head >> 3 & 0x07);
        let (next_parameter, flags) = (reader.u16()?, reader.optional());
        Ok(Self { alters_capabilities, is_readonly, format, size, values, next_parameter, flags })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let flags = u8::from(self.alters_capabilities) << 7 | u8::from(self.is_readonly) << 6;
        out.push(flags | (self.format & 0x07) << 3 | self.size & 0x07);
        self.values.iter().for_each(|value| write_signed(self.size, *value, out));
        out.extend(self.next_parameter.to_be_bytes());
        out.extend(self.flags);
    }
    fn value(&self) -> Value {
        self.format.into()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("value_format", self.format.into()));
        out.push(("value_size", self.size.into()));
        let [min, max, default] = self.values;
        out.extend([("min_value", min.into()), ("max_value", max.into()), ("default_value", default.into())]);
        out.push(("next_parameter", self.next_parameter.into()));
        out.push(("alters_capabilities", self.alters_capabilities.into()));
        out.push(("is_readonly", self.is_readonly.into()));
        if let Some(flags) = self.flags {
            out.push(("is_advanced", (flags & 1 != 0).into()));
            out.push(("no_bulk_support", (flags & 2 != 0).into()));
        }
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
        PropertiesReport = 0x0f { parameter: u16, properties: Properties },
    }
}
