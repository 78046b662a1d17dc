//! Whole numbers of one to eight octets, and what they stand for.

use super::DataType;
use crate::bytes::{Malformed, Problem, Reader};

/// What a whole number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Just bits.
    Data,
    /// False or true.
    Boolean,
    /// Flags.
    Bitmap,
    /// A number from zero.
    Unsigned,
    /// A number on both sides of zero.
    Signed,
    /// One of a list.
    Enumeration,
    /// Seconds from the start of 2000.
    Utc,
    /// A cluster's number.
    Cluster,
    /// An attribute's number.
    Attribute,
    /// An object of BACnet.
    BacnetObject,
}

/// A whole number with its width, which it always fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Integer {
    class: Class,
    /// 1 to 8.
    width: u8,
    /// The number's octets, and zeros above.
    raw: u64,
}

impl Integer {
    /// A number of a type.
    ///
    /// # Errors
    ///
    /// When the type is not one of whole numbers, or the number does not fit it.
    pub fn new(data_type: DataType, number: i128) -> Result<Self, Malformed> {
        let range = Malformed::new("zcl.value", Problem::Range);
        let (class, width) = class(data_type).ok_or(range)?;
        let bits = u32::from(width) * 8;
        let (low, high) = match class {
            Class::Signed => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            _ => (0, (1i128 << bits) - 1),
        };
        if number < low || number > high {
            return Err(range);
        }
        let raw = number.rem_euclid(1i128 << bits);
        Ok(Self { class, width, raw: u64::try_from(raw).map_err(|_| range)? })
    }

    /// Reads a number of a type; `None` where the type is not one of whole numbers.
    pub(super) fn read(data_type: DataType, reader: &mut Reader<'_>) -> Option<Result<Self, Malformed>> {
        let (class, width) = class(data_type)?;
        let raw = reader.take("zcl.value", width.into()).map(|octets| {
            let mut raw = [0; 8];
            raw.iter_mut().zip(octets).for_each(|(raw, octet)| *raw = *octet);
            u64::from_le_bytes(raw)
        });
        Some(raw.map(|raw| Self { class, width, raw }))
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.raw.to_le_bytes().iter().take(self.width.into()));
    }

    /// What it stands for.
    #[must_use]
    pub const fn class(self) -> Class {
        self.class
    }

    /// Octets of it.
    #[must_use]
    pub const fn width(self) -> u8 {
        self.width
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i128 {
        let bits = u32::from(self.width) * 8;
        let raw = i128::from(self.raw);
        if self.class == Class::Signed && raw >> (bits - 1) == 1 { raw - (1i128 << bits) } else { raw }
    }

    /// Whether it is the number that says that there is no value: table 2-10. Flags and plain bits have none.
    #[must_use]
    pub fn is_non_value(self) -> bool {
        let bits = u32::from(self.width) * 8;
        let ones = (1i128 << bits) - 1;
        match self.class {
            Class::Data | Class::Bitmap => false,
            Class::Signed => self.number() == -(1i128 << (bits - 1)),
            _ => i128::from(self.raw) == ones,
        }
    }

    /// Its type.
    #[must_use]
    pub fn data_type(self) -> DataType {
        let step = self.width.saturating_sub(1);
        let number = match self.class {
            Class::Data => 0x08 + step,
            Class::Boolean => 0x10,
            Class::Bitmap => 0x18 + step,
            Class::Unsigned => 0x20 + step,
            Class::Signed => 0x28 + step,
            Class::Enumeration => 0x30 + step,
            Class::Utc => 0xe2,
            Class::Cluster => 0xe8,
            Class::Attribute => 0xe9,
            Class::BacnetObject => 0xea,
        };
        DataType::new(number).unwrap_or(DataType::NO_DATA)
    }
}

fn class(data_type: DataType) -> Option<(Class, u8)> {
    let number = data_type.number();
    Some(match number {
        0x08..=0x0f => (Class::Data, number - 0x07),
        0x10 => (Class::Boolean, 1),
        0x18..=0x1f => (Class::Bitmap, number - 0x17),
        0x20..=0x27 => (Class::Unsigned, number - 0x1f),
        0x28..=0x2f => (Class::Signed, number - 0x27),
        0x30 | 0x31 => (Class::Enumeration, number - 0x2f),
        0xe2 => (Class::Utc, 4),
        0xe8 => (Class::Cluster, 2),
        0xe9 => (Class::Attribute, 2),
        0xea => (Class::BacnetObject, 4),
        _ => return None,
    })
}
