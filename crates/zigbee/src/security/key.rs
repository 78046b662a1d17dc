//! Keys of networks and links.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::keyed_hash;

/// A 128-bit key. It cannot be printed, is wiped when it is dropped, and compares in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 16]);

/// Why digits are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is 32 hexadecimal digits, which may be parted by colons")]
pub struct KeyError;

impl Key {
    /// The link key that every trust centre before install codes gave everybody: "`ZigBeeAlliance09`" (Base Device
    /// Behavior 6.3.1). What is protected by it alone is open to anybody who listens.
    pub const WELL_KNOWN_LINK: [u8; 16] = *b"ZigBeeAlliance09";

    /// A key from its octets.
    #[must_use]
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// A key from 32 hexadecimal digits in the order of its octets.
    ///
    /// # Errors
    ///
    /// With anything else.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut digits = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        let mut key = Self([0; 16]);
        for octet in &mut key.0 {
            let (high, low) = (digits.next().flatten(), digits.next().flatten());
            let (high, low) = high.zip(low).ok_or(KeyError)?;
            *octet = u8::try_from(high * 16 + low).map_err(|_| KeyError)?;
        }
        if digits.next().is_some() { Err(KeyError) } else { Ok(key) }
    }

    /// The key that a transported network key is protected with: 4.5.3.
    #[must_use]
    pub fn key_transport(&self) -> Self {
        Self(keyed_hash(self, &[0x00]))
    }

    /// The key that a transported link key is protected with: 4.5.3.
    #[must_use]
    pub fn key_load(&self) -> Self {
        Self(keyed_hash(self, &[0x02]))
    }

    /// What proves that somebody has this link key: 4.4.10.7.4.
    #[must_use]
    pub fn verification(&self) -> [u8; 16] {
        keyed_hash(self, &[0x03])
    }

    /// Its octets, for what has to keep it.
    #[must_use]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}
