//! Who advertises.

use std::fmt;
use std::str::FromStr;

/// A device address of 48 bits, in the order in which people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

/// What kind of address a device has (Bluetooth Core 5.4, Vol 4 Part E §7.7.65.2 and §7.7.65.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Given by the maker, or its identity behind a private one.
    Public,
    /// Made by the device, or its identity behind a private one.
    Random,
    /// The advertisement names nobody.
    Anonymous,
}

impl Address {
    /// From the order of the air, least significant byte first.
    pub const fn from_air(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self([f, e, d, c, b, a])
    }

    /// In the order of the air.
    pub const fn to_air(self) -> [u8; 6] {
        Self::from_air(self.0).0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// A text is not an address: six bytes in hexadecimal with colons between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a device address: expected six bytes in hexadecimal with colons between")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or(NoAddress)?;
        }
        parts.next().is_none().then_some(Self(bytes)).ok_or(NoAddress)
    }
}
