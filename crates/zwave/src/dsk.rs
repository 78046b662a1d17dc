//! The device-specific key: the first half of a thing's public key, printed on it.

use std::fmt;
use std::str::FromStr;

/// A device-specific key: CC, Security 2, "DSK". Not a secret; what it proves is which thing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dsk(pub [u8; 16]);

impl Dsk {
    /// Its first five digits, the PIN: what is missing in the public key that a thing sends.
    #[must_use]
    pub const fn pin(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }

    /// The home id that a thing with this key listens to before it has joined: CC, SmartStart, "NWI Home ID".
    #[must_use]
    pub const fn smart_start_home_id(&self) -> u32 {
        let [.., a, b, c, d, _, _, _, _] = self.0;
        u32::from_be_bytes([a | 0xc0, b, c, d & 0xfe])
    }

    /// The home id by which a thing with this key knows that it is meant: CC, SmartStart, "Auth Home ID".
    #[must_use]
    pub const fn authentication_home_id(&self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a & 0x3f, b, c, d | 0x01])
    }
}

/// Not eight groups of five digits, each up to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not eight groups of five digits up to 65535")]
pub struct DskError;

impl FromStr for Dsk {
    type Err = DskError;

    /// Eight groups of five digits, with hyphens or nothing between them.
    fn from_str(text: &str) -> Result<Self, DskError> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 40 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DskError);
        }
        let mut key = [0; 16];
        for (group, pair) in key.chunks_exact_mut(2).enumerate() {
            let text = digits.get(group * 5..group * 5 + 5).ok_or(DskError)?;
            pair.copy_from_slice(&text.parse::<u16>().map_err(|_| DskError)?.to_be_bytes());
        }
        Ok(Self(key))
    }
}

impl fmt::Display for Dsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, pair) in self.0.as_chunks::<2>().0.iter().enumerate() {
            let hyphen = if group == 0 { "" } else { "-" };
            write!(f, "{hyphen}{:05}", u16::from_be_bytes(*pair))?;
        }
        Ok(())
    }
}
