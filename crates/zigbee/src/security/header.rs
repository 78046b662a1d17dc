//! The auxiliary header of network and application frames: 4.5.1.

use crate::address::Eui64;
use crate::bytes::{Malformed, Reader};

/// How a frame is protected: 4.5.1.1.1. Frames do not say it; the network's setting is put in before anything is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityLevel {
    /// Integrity of 32 bits.
    Mic32,
    /// Integrity of 64 bits.
    Mic64,
    /// Integrity of 128 bits.
    Mic128,
    /// Encryption, integrity of 32 bits: what all networks use.
    EncryptedMic32,
    /// Encryption, integrity of 64 bits.
    EncryptedMic64,
    /// Encryption, integrity of 128 bits.
    EncryptedMic128,
}

/// Which key protects a frame: 4.5.1.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyIdentifier {
    /// A link key.
    Data,
    /// The network key with this number.
    Network(u8),
    /// What a link key gives for transporting network keys.
    KeyTransport,
    /// What a link key gives for transporting link keys.
    KeyLoad,
}

/// An auxiliary header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityHeader {
    /// The level as it was sent, which is zero, and bits that are reserved.
    pub sent_level: u8,
    /// Whose key.
    pub key: KeyIdentifier,
    /// The sender's counter for this key.
    pub frame_counter: u32,
    /// Who protected it; absent where the receiver knows.
    pub source: Option<Eui64>,
}

impl SecurityLevel {
    /// Octets of the integrity code.
    #[must_use]
    pub const fn mic_bytes(self) -> usize {
        match self {
            Self::Mic32 | Self::EncryptedMic32 => 4,
            Self::Mic64 | Self::EncryptedMic64 => 8,
            Self::Mic128 | Self::EncryptedMic128 => 16,
        }
    }

    /// Whether the payload is hidden.
    #[must_use]
    pub const fn encrypts(self) -> bool {
        matches!(self, Self::EncryptedMic32 | Self::EncryptedMic64 | Self::EncryptedMic128)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Mic32 => 1,
            Self::Mic64 => 2,
            Self::Mic128 => 3,
            Self::EncryptedMic32 => 5,
            Self::EncryptedMic64 => 6,
            Self::EncryptedMic128 => 7,
        }
    }
}

impl SecurityHeader {
    /// Reads the header that the bytes begin with, and gives what follows it.
    ///
    /// # Errors
    ///
    /// With what is cut short.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let control = reader.u8("security.control")?;
        let frame_counter = reader.u32("security.frame_counter")?;
        let named = control & 0x20 != 0;
        let source = if named { Some(Eui64(reader.u64("security.source")?)) } else { None };
        let key = match (control >> 3) & 3 {
            0 => KeyIdentifier::Data,
            1 => KeyIdentifier::Network(reader.u8("security.key_sequence")?),
            2 => KeyIdentifier::KeyTransport,
            _ => KeyIdentifier::KeyLoad,
        };
        Ok((Self { sent_level: control & 0xc7, key, frame_counter, source }, reader.rest()))
    }

    /// The octets that are sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_with(self.control(), out);
    }

    /// The octets that are protected: the level is put in.
    pub(super) fn write_protected(&self, level: SecurityLevel, out: &mut Vec<u8>) {
        self.write_with(self.protected_control(level), out);
    }

    pub(super) const fn protected_control(&self, level: SecurityLevel) -> u8 {
        (self.control() & 0xf8) | level.number()
    }

    /// The security control field: 4.5.1.1.
    #[must_use]
    pub const fn control(&self) -> u8 {
        let key = match self.key {
            KeyIdentifier::Data => 0,
            KeyIdentifier::Network(_) => 1,
            KeyIdentifier::KeyTransport => 2,
            KeyIdentifier::KeyLoad => 3,
        };
        self.sent_level | (key << 3) | if self.source.is_some() { 0x20 } else { 0 }
    }

    fn write_with(&self, control: u8, out: &mut Vec<u8>) {
        out.push(control);
        out.extend(self.frame_counter.to_le_bytes());
        out.extend(self.source.iter().flat_map(|source| source.0.to_le_bytes()));
        if let KeyIdentifier::Network(sequence) = self.key {
            out.push(sequence);
        }
    }
}
