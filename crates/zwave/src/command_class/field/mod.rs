//! Fields that occur in many commands, and what makes a command of fields.

mod quantity;

pub use quantity::{Duration, Level, OnOff, Scaled};
pub(crate) use quantity::{read_signed, write_signed};

use super::Value;
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

/// A part of a command.
pub(crate) trait Field: Sized {
    fn read(reader: &mut Reader) -> Result<Self, ParseError>;
    fn write(&self, out: &mut Vec<u8>);
    fn value(&self) -> Value;

    /// Adds what it says; a group of fields adds each.
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value()));
    }
}

impl Field for i8 {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.array().map(Self::from_be_bytes)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
    fn value(&self) -> Value {
        i64::from(*self).into()
    }
}

macro_rules! number_field {
    ($($type:ty, $read:ident);*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader) -> Result<Self, ParseError> {
                reader.$read()
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
            fn value(&self) -> Value {
                (*self).into()
            }
        }
    )*};
}
number_field!(u8, u8; u16, u16; u32, u32);

/// A field that came with a later version, or is left out.
impl<T: Field> Field for Option<T> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        if reader.is_empty() { Ok(None) } else { T::read(reader).map(Some) }
    }
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(field) = self {
            field.write(out);
        }
    }
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Unknown, Field::value)
    }
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        if let Some(field) = self {
            field.values(name, out);
        }
    }
}

/// As many as there are up to the end.
impl<T: Field> Field for Vec<T> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let mut all = Self::new();
        while !reader.is_empty() {
            all.push(T::read(reader)?);
        }
        Ok(all)
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|field| field.write(out));
    }
    fn value(&self) -> Value {
        Value::List(self.iter().map(Field::value).collect())
    }
}

/// Several after their number, which is in the lower bits of its byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T, const BITS: u32>(pub Vec<T>);

impl<T: Field, const BITS: u32> Field for Counted<T, BITS> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let count = reader.u8()? & low_bits(BITS);
        (0..count).map(|_| T::read(reader)).collect::<Result<_, _>>().map(Self)
    }
    fn write(&self, out: &mut Vec<u8>) {
        let taken = self.0.iter().take(low_bits(BITS).into());
        out.push(u8::try_from(taken.len()).unwrap_or(u8::MAX));
        taken.for_each(|field| field.write(out));
    }
    fn value(&self) -> Value {
        self.0.value()
    }
}

const fn low_bits(count: u32) -> u8 {
    if count >= 8 { u8::MAX } else { (1 << count) - 1 }
}

/// Bytes up to the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Field for Bytes {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        Ok(Self(reader.rest().to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(&self.0);
    }
    fn value(&self) -> Value {
        Value::Bytes(self.0.clone())
    }
}

impl<const N: usize> Field for [u8; N] {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.array()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }
    fn value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
}

/// ASCII up to the end. Other bytes are replaced: what devices call themselves is shown, not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl Field for Text {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        Ok(Self(String::from_utf8_lossy(reader.rest()).into_owned()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.as_bytes());
    }
    fn value(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

/// Text after its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedText(pub String);

impl Field for SizedText {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()?;
        Ok(Self(String::from_utf8_lossy(reader.take(length.into())?).into_owned()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let text = self.0.as_bytes().get(..255).unwrap_or(self.0.as_bytes());
        out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        out.extend(text);
    }
    fn value(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

/// Numbers as a mask up to the end; its lowest bit stands for `FIRST`; written with `LEAST` bytes or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask<const FIRST: u8, const LEAST: usize = 1>(pub Vec<u8>);

impl<const FIRST: u8, const LEAST: usize> Field for Mask<FIRST, LEAST> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        Ok(Self(bits(reader.rest(), FIRST)))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(mask(&self.0, FIRST, LEAST));
    }
    fn value(&self) -> Value {
        self.0.value()
    }
}

/// The same after its length in bytes, which is in the lower bits of its byte; written with `LEAST` bytes or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedMask<const FIRST: u8, const BITS: u32, const LEAST: usize = 0>(pub Vec<u8>);

impl<const FIRST: u8, const BITS: u32, const LEAST: usize> Field for SizedMask<FIRST, BITS, LEAST> {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()? & low_bits(BITS);
        Ok(Self(bits(reader.take(length.into())?, FIRST)))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut mask = mask(&self.0, FIRST, LEAST);
        mask.truncate(low_bits(BITS).into());
        out.push(u8::try_from(mask.len()).unwrap_or(u8::MAX));
        out.append(&mut mask);
    }
    fn value(&self) -> Value {
        self.0.value()
    }
}

/// Another command, as its bytes: reading it is a step of its own, so that nesting has no depth here.
pub type Encapsulated = Bytes;
