//! Frames: section 2.

use crate::Octets;
use crate::bytes::{Malformed, Problem, Reader};

/// Octets of the shortest data field: 2.1.
pub const DATA_BYTES_MIN: usize = 3;
/// Octets of the longest data field: 2.1.
pub const DATA_BYTES_MAX: usize = 128;

/// Octets of the longest frame between two flags: control, data and checksum.
pub(super) const FRAME_BYTES_MAX: usize = DATA_BYTES_MAX + 3;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AshFrame {
    /// Carries a message.
    Data {
        /// Its number, 0 to 7.
        number: u8,
        /// Whether it was sent before.
        again: bool,
        /// The number of the frame that is expected next.
        acknowledges: u8,
        /// The message.
        data: Octets,
    },
    /// Frames came.
    Ack {
        /// Whether the host has no room for more.
        not_ready: bool,
        /// The number of the frame that is expected next.
        acknowledges: u8,
    },
    /// A frame did not come, or not well.
    Nak {
        /// Whether the host has no room for more.
        not_ready: bool,
        /// The number of the frame that is expected next.
        acknowledges: u8,
    },
    /// The host asks for a reset.
    Reset,
    /// The coordinator was reset.
    ResetDone {
        /// The protocol's version, which is 2.
        version: u8,
        /// Why: 2.4, table 5.
        code: u8,
    },
    /// The coordinator has stopped.
    Error {
        /// The protocol's version, which is 2.
        version: u8,
        /// Why: 2.4, table 5.
        code: u8,
    },
}

/// Why octets between two flags are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AshError {
    /// The checksum is wrong, or there is none.
    #[error(transparent)]
    Damaged(Malformed),
    /// The checksum is right and the frame is not.
    #[error(transparent)]
    Malformed(Malformed),
}

impl AshFrame {
    /// Reads what was between two flags, without the escapes.
    ///
    /// # Errors
    ///
    /// When the line damaged it, or it is no frame.
    pub fn read(octets: &[u8]) -> Result<Self, AshError> {
        let (frame, found) = octets.split_last_chunk().ok_or_else(|| {
            let problem = Problem::Truncated { needed: 3, left: octets.len() };
            AshError::Damaged(Malformed::new("ash.frame", problem))
        })?;
        let (found, computed) = (u32::from(u16::from_be_bytes(*found)), u32::from(crc(frame)));
        if found != computed {
            return Err(AshError::Damaged(Malformed::new("ash.crc", Problem::Checksum { found, computed })));
        }
        Self::read_checked(frame).map_err(AshError::Malformed)
    }

    fn read_checked(frame: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(frame);
        let control = reader.u8("ash.control")?;
        let (not_ready, acknowledges) = (control & 8 != 0, control & 7);
        if control & 0x80 == 0 {
            let data = reader.rest();
            if !(DATA_BYTES_MIN..=DATA_BYTES_MAX).contains(&data.len()) {
                return Err(Malformed::new("ash.data", Problem::TooMuch(data.len())));
            }
            let data = Octets::from(randomized(data).collect::<Vec<_>>());
            return Ok(Self::Data { number: (control >> 4) & 7, again: not_ready, acknowledges, data });
        }
        let read = match control {
            0x80..=0x9f => Self::Ack { not_ready, acknowledges },
            0xa0..=0xbf => Self::Nak { not_ready, acknowledges },
            0xc0 => Self::Reset,
            0xc1 => Self::ResetDone { version: reader.u8("ash.version")?, code: reader.u8("ash.code")? },
            0xc2 => Self::Error { version: reader.u8("ash.version")?, code: reader.u8("ash.code")? },
            other => return Err(Malformed::unknown("ash.control", other)),
        };
        reader.finish("ash.frame")?;
        Ok(read)
    }

    /// The octets between two flags, without escapes.
    #[must_use]
    pub fn to_bytes(&self) -> Octets {
        // What grows leaves copies behind.
        let mut out = Vec::with_capacity(FRAME_BYTES_MAX);
        match self {
            Self::Data { number, again, acknowledges, data } => {
                out.push(((number & 7) << 4) | flag(*again) | (acknowledges & 7));
                out.extend(randomized(data));
            }
            Self::Ack { not_ready, acknowledges } => {
                out.push(0x80 | flag(*not_ready) | (acknowledges & 7));
            }
            Self::Nak { not_ready, acknowledges } => {
                out.push(0xa0 | flag(*not_ready) | (acknowledges & 7));
            }
            Self::Reset => out.push(0xc0),
            Self::ResetDone { version, code } => out.extend([0xc1, *version, *code]),
            Self::Error { version, code } => out.extend([0xc2, *version, *code]),
        }
        let crc = crc(&out);
        out.extend(crc.to_be_bytes());
        out.into()
    }
}

const fn flag(set: bool) -> u8 {
    if set { 8 } else { 0 }
}

/// Data goes over the line mixed with a row of numbers, so that few octets need an escape: 4.3.
fn randomized(data: &[u8]) -> impl Iterator<Item = u8> {
    let row = std::iter::successors(Some(0x42u8), |n| Some((n >> 1) ^ if n & 1 == 1 { 0xb8 } else { 0 }));
    data.iter().zip(row).map(|(octet, random)| octet ^ random)
}

/// CRC-CCITT, highest bit first, from 0xffff: 2.3.
fn crc(octets: &[u8]) -> u16 {
    octets.iter().fold(0xffff, |crc, octet| {
        (0..8).fold(crc ^ (u16::from(*octet) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 }
        })
    })
}
