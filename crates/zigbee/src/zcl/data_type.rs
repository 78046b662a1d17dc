//! The types that values have: 2.6.2, table 2-10.

use crate::bytes::{Malformed, Reader};

/// The number of a type that this code knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataType(u8);

impl DataType {
    /// No value.
    pub const NO_DATA: Self = Self(0x00);
    /// False or true.
    pub const BOOLEAN: Self = Self(0x10);
    /// A half-precision number.
    pub const SEMI: Self = Self(0x38);
    /// A single-precision number.
    pub const SINGLE: Self = Self(0x39);
    /// A double-precision number.
    pub const DOUBLE: Self = Self(0x3a);
    /// At most 254 octets.
    pub const OCTETS: Self = Self(0x41);
    /// Text of at most 254 octets.
    pub const TEXT: Self = Self(0x42);
    /// At most 65,534 octets.
    pub const LONG_OCTETS: Self = Self(0x43);
    /// Text of at most 65,534 octets.
    pub const LONG_TEXT: Self = Self(0x44);
    /// Values of one type, in order.
    pub const ARRAY: Self = Self(0x48);
    /// Values of any types, in order.
    pub const STRUCTURE: Self = Self(0x4c);
    /// Values of one type, each once.
    pub const SET: Self = Self(0x50);
    /// Values of one type.
    pub const BAG: Self = Self(0x51);
    /// Hours, minutes, seconds, hundredths.
    pub const TIME_OF_DAY: Self = Self(0xe0);
    /// Years from 1900, month, day, day of the week.
    pub const DATE: Self = Self(0xe1);
    /// Seconds from the start of 2000.
    pub const UTC: Self = Self(0xe2);
    /// A cluster's number.
    pub const CLUSTER: Self = Self(0xe8);
    /// An attribute's number.
    pub const ATTRIBUTE: Self = Self(0xe9);
    /// An object of BACnet.
    pub const BACNET_OBJECT: Self = Self(0xea);
    /// An extended address.
    pub const EUI64: Self = Self(0xf0);
    /// A key.
    pub const KEY: Self = Self(0xf1);

    /// The type of this number; `None` where this code does not know it.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            0x00
            | 0x08..=0x10
            | 0x18..=0x31
            | 0x38..=0x3a
            | 0x41..=0x44
            | 0x48
            | 0x4c
            | 0x50
            | 0x51
            | 0xe0..=0xe2
            | 0xe8..=0xea
            | 0xf0
            | 0xf1 => Some(Self(number)),
            _ => None,
        }
    }

    /// The type of this short name: table 2-10.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let numbered = |prefix: &str, first: u8| {
            let bits: u8 = name.strip_prefix(prefix)?.parse().ok()?;
            (bits > 0 && bits <= 64 && bits.is_multiple_of(8)).then(|| Self(first + bits / 8 - 1))
        };
        let fixed = FIXED.iter().find(|(fixed, _)| *fixed == name).map(|(_, data_type)| *data_type);
        fixed
            .or_else(|| numbered("data", 0x08))
            .or_else(|| numbered("map", 0x18))
            .or_else(|| numbered("uint", 0x20))
            .or_else(|| numbered("int", 0x28))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether half of a value can be reported: 2.5.11.2, analogue types have a smallest change that is.
    #[must_use]
    pub const fn is_analogue(self) -> bool {
        matches!(self.0, 0x20..=0x2f | 0x38..=0x3a | 0xe0..=0xe2)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = reader.u8("zcl.data_type")?;
        Self::new(number).ok_or_else(|| Malformed::unknown("zcl.data_type", number))
    }
}

/// Types whose names have no width in them.
const FIXED: [(&str, DataType); 22] = [
    ("nodata", DataType::NO_DATA),
    ("bool", DataType::BOOLEAN),
    ("enum8", DataType(0x30)),
    ("enum16", DataType(0x31)),
    ("semi", DataType::SEMI),
    ("single", DataType::SINGLE),
    ("double", DataType::DOUBLE),
    ("octstr", DataType::OCTETS),
    ("string", DataType::TEXT),
    ("octstr16", DataType::LONG_OCTETS),
    ("string16", DataType::LONG_TEXT),
    ("array", DataType::ARRAY),
    ("struct", DataType::STRUCTURE),
    ("set", DataType::SET),
    ("bag", DataType::BAG),
    ("ToD", DataType::TIME_OF_DAY),
    ("date", DataType::DATE),
    ("UTC", DataType::UTC),
    ("clusterId", DataType::CLUSTER),
    ("attribId", DataType::ATTRIBUTE),
    ("EUI64", DataType::EUI64),
    ("key128", DataType::KEY),
];
