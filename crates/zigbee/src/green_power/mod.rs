//! Frames of devices that live on the energy of a press: Green Power. Section numbers are those of the Zigbee Green Power
//! specification (14-0563-18).

mod commissioning;

pub use commissioning::{ApplicationInformation, Commissioning};

use crate::Octets;
use crate::address::Eui64;
use crate::bytes::{Malformed, Problem, Reader};

/// A frame of a Green Power device: A.1.4.1. It has a network header of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreenPowerFrame {
    /// The frame control field, as bits: A.1.4.1.2.
    pub control: u8,
    /// The extended frame control field, as bits: A.1.4.1.3.
    pub extended: Option<u8>,
    /// Who sent it; absent in maintenance frames without an extension, and with an extended address in the MAC header.
    pub source: Option<u32>,
    /// Its endpoint, where its address is in the MAC header.
    pub endpoint: Option<u8>,
    /// The sender's counter, in protected frames.
    pub frame_counter: Option<u32>,
    /// The command and what belongs to it; hidden where the frame is encrypted.
    pub payload: Octets,
    /// The integrity code; empty in frames without protection.
    pub mic: Vec<u8>,
}

/// How a frame is protected: A.1.4.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreenPowerSecurity {
    /// Not at all: anybody can have sent it.
    None,
    /// By an integrity code.
    Integrity,
    /// By an integrity code, and hidden.
    Encrypted,
}

/// The device who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GreenPowerDevice {
    /// By its source identifier.
    Source(u32),
    /// By its extended address and endpoint.
    Extended(Eui64, u8),
}

/// The protocol version that tells these frames from all others.
const VERSION: u8 = 3;

impl GreenPowerFrame {
    /// Whether what a data frame carries is a Green Power frame.
    #[must_use]
    pub fn recognises(payload: &[u8]) -> bool {
        payload.first().is_some_and(|control| (control >> 2) & 15 == VERSION)
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// With what is cut short or reserved.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let control = reader.u8("gp.frame_control")?;
        if (control >> 2) & 15 != VERSION {
            return Err(Malformed::unknown("gp.protocol_version", (control >> 2) & 15));
        }
        let extended = if control & 0x80 != 0 { Some(reader.u8("gp.extended_control")?) } else { None };
        let maintenance = control & 3 == 1;
        let application = extended.unwrap_or(0) & 7;
        let (source, endpoint) = match application {
            0 if maintenance => (None, None),
            0 => (Some(reader.u32("gp.source")?), None),
            2 => (None, Some(reader.u8("gp.endpoint")?)),
            other => return Err(Malformed::unknown("gp.application", other)),
        };
        let protected = level(extended)? != GreenPowerSecurity::None;
        let frame_counter = if protected { Some(reader.u32("gp.frame_counter")?) } else { None };
        let mic_bytes = if protected { 4 } else { 0 };
        let payload_bytes = reader.left().checked_sub(mic_bytes).ok_or_else(|| {
            Malformed::new("gp.mic", Problem::Truncated { needed: mic_bytes, left: reader.left() })
        })?;
        let payload = reader.take("gp.payload", payload_bytes)?.to_vec().into();
        Ok(Self { control, extended, source, endpoint, frame_counter, payload, mic: reader.rest().to_vec() })
    }

    /// The octets that are sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![self.control];
        out.extend(self.extended);
        out.extend(self.source.iter().flat_map(|source| source.to_le_bytes()));
        out.extend(self.endpoint);
        out.extend(self.frame_counter.iter().flat_map(|counter| counter.to_le_bytes()));
        out.extend(self.payload.iter());
        out.extend(&self.mic);
        out
    }

    /// How it is protected.
    #[must_use]
    pub fn security(&self) -> GreenPowerSecurity {
        level(self.extended).unwrap_or(GreenPowerSecurity::None)
    }

    /// Its command, where it can be read without a key.
    #[must_use]
    pub fn command(&self) -> Option<u8> {
        match self.security() {
            GreenPowerSecurity::Encrypted => None,
            GreenPowerSecurity::None | GreenPowerSecurity::Integrity => self.payload.first().copied(),
        }
    }

    /// Whether there is a key in it that everybody can read: its own in a commissioning command, or the one that it is
    /// given in the reply (A.4.2.1.1, A.4.2.1.2).
    #[must_use]
    pub fn gives_key_away(&self) -> bool {
        const HAS_KEY: u8 = 0x02;
        const HIDES_KEY: u8 = 0x04;
        match (self.command(), self.payload.get(1)) {
            (Some(Commissioning::REPLY), Some(options)) => options & (HAS_KEY | HIDES_KEY) == HAS_KEY,
            _ => {
                let told = self.commissioning().ok().flatten();
                told.is_some_and(|told| told.key.is_some() && told.key_mic.is_none())
            }
        }
    }

    /// What it tells of itself, where it is a commissioning command that can be read.
    ///
    /// # Errors
    ///
    /// With one that is cut short.
    pub fn commissioning(&self) -> Result<Option<Commissioning>, Malformed> {
        match (self.command(), self.payload.split_first()) {
            (Some(Commissioning::COMMAND), Some((_, content))) => Commissioning::read(content).map(Some),
            _ => Ok(None),
        }
    }
}

fn level(extended: Option<u8>) -> Result<GreenPowerSecurity, Malformed> {
    match (extended.unwrap_or(0) >> 3) & 3 {
        0 => Ok(GreenPowerSecurity::None),
        2 => Ok(GreenPowerSecurity::Integrity),
        3 => Ok(GreenPowerSecurity::Encrypted),
        other => Err(Malformed::unknown("gp.security_level", other)),
    }
}
