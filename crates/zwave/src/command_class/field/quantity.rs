//! Values that many things have: on or off, a level, how long, and a number with a unit.

use super::Field;
use crate::ParseError;
use crate::bytes::Reader;
use crate::command_class::Value;

/// On or off: CC, "Binary Switch" and many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOff {
    /// 0x00.
    Off,
    /// 0xFF, and 0x01 to 0x63 of old things.
    On,
    /// 0xFE.
    Unknown,
}

impl Field for OnOff {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        match reader.u8()? {
            0x00 => Ok(Self::Off),
            0x01..=0x63 | 0xff => Ok(Self::On),
            0xfe => Ok(Self::Unknown),
            other => Err(ParseError::Reserved { field: "value", value: other.into() }),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Off => 0x00,
            Self::On => 0xff,
            Self::Unknown => 0xfe,
        });
    }
    fn value(&self) -> Value {
        match self {
            Self::Off => false.into(),
            Self::On => true.into(),
            Self::Unknown => Value::Unknown,
        }
    }
}

/// A level: 0 is off, 99 full, 255 the level before; 254 is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub u8);

impl Field for Level {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.u8().map(Self)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
    fn value(&self) -> Value {
        if self.0 == 0xfe { Value::Unknown } else { self.0.into() }
    }
}

/// How long a change takes: CC, "Duration encoding".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(pub u8);

impl Duration {
    /// As long as the thing is set to.
    pub const DEFAULT: Self = Self(0xff);

    /// In seconds; `None` where it is not known, or what the thing is set to.
    #[must_use]
    pub const fn seconds(self) -> Option<u16> {
        match self.0 {
            seconds @ 0..=0x7f => Some(seconds as u16),
            minutes @ 0x80..=0xfd => Some((minutes as u16 - 0x7f) * 60),
            _ => None,
        }
    }
}

impl Field for Duration {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.u8().map(Self)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
    fn value(&self) -> Value {
        self.seconds().map_or(Value::Unknown, Value::from)
    }
}

/// A number of 1, 2 or 4 bytes with a decimal point and a unit: CC, "Precision, Scale, Size".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// Digits behind the point, 0 to 7.
    pub precision: u8,
    /// The unit, in the numbering of what is measured: 0 to 3.
    pub scale: u8,
    /// Bytes: 1, 2 or 4.
    pub size: u8,
    /// All digits.
    pub digits: i32,
}

impl Scaled {
    pub(crate) fn from_head(head: u8, reader: &mut Reader) -> Result<Self, ParseError> {
        let (precision, scale, size) = (head >> 5, head >> 3 & 0x03, head & 0x07);
        Ok(Self { precision, scale, size, digits: read_signed(size, reader)? })
    }

    pub(crate) const fn head(self) -> u8 {
        self.precision << 5 | (self.scale & 0x03) << 3 | self.size
    }
}

/// A signed number of 1, 2 or 4 bytes.
pub(crate) fn read_signed(size: u8, reader: &mut Reader) -> Result<i32, ParseError> {
    match size {
        1 => reader.array().map(|bytes| i8::from_be_bytes(bytes).into()),
        2 => reader.array().map(|bytes| i16::from_be_bytes(bytes).into()),
        4 => reader.array().map(i32::from_be_bytes),
        other => Err(ParseError::Reserved { field: "size", value: other.into() }),
    }
}

/// Its lower bytes.
pub(crate) fn write_signed(size: u8, number: i32, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    out.extend(bytes.iter().skip(bytes.len().saturating_sub(size.into())));
}

impl Field for Scaled {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        Self::from_head(head, reader)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.head());
        write_signed(self.size, self.digits, out);
    }
    fn value(&self) -> Value {
        Value::Decimal { digits: self.digits.into(), precision: self.precision }
    }
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value()));
        out.push(("scale", self.scale.into()));
    }
}
