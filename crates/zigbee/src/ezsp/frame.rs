//! Frames: section 4.

use crate::Octets;
use crate::bytes::{Malformed, Reader};

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EzspHeader {
    /// The host's number for the command; a response has that of its command.
    pub sequence: u8,
    /// The frame control field, as bits, its low octet first.
    pub control: [u8; 2],
    /// Which command.
    pub id: u16,
}

/// What a coordinator's frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A host's command.
    Command,
    /// The answer to one.
    Response,
    /// News that nobody asked for.
    Callback,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EzspFrame {
    /// Its header.
    pub header: EzspHeader,
    /// Its fields, unread.
    pub parameters: Octets,
}

const RESPONSE: u8 = 0x80;
/// Octets of a header.
const HEADER_BYTES: usize = 5;
/// The version of the frame's format: 1 from version 8 of the protocol.
const FORMAT: u8 = 0x01;

impl EzspHeader {
    /// A command's header.
    #[must_use]
    pub const fn command(sequence: u8, id: u16) -> Self {
        Self { sequence, control: [0, FORMAT], id }
    }

    /// Whether the coordinator sent it.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.control[0] & RESPONSE != 0
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        match (self.is_response(), (self.control[0] >> 3) & 3) {
            (false, _) => FrameKind::Command,
            (true, 0) => FrameKind::Response,
            (true, _) => FrameKind::Callback,
        }
    }

    /// Whether the coordinator had to drop news.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.is_response() && self.control[0] & 1 != 0
    }
}

impl EzspFrame {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// With a header that is cut short or of another format.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let sequence = reader.u8("ezsp.sequence")?;
        let control = reader.array("ezsp.frame_control")?;
        let [_, format] = control;
        if format & 3 != FORMAT {
            return Err(Malformed::unknown("ezsp.format", format & 3));
        }
        let id = reader.u16("ezsp.frame_id")?;
        let header = EzspHeader { sequence, control, id };
        Ok(Self { header, parameters: reader.rest().to_vec().into() })
    }

    /// The octets that are sent.
    #[must_use]
    pub fn to_bytes(&self) -> Octets {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.parameters.len());
        out.push(self.header.sequence);
        out.extend(self.header.control);
        out.extend(self.header.id.to_le_bytes());
        out.extend(self.parameters.iter());
        out.into()
    }

    /// The first question of all, for the version: in the format of old, which every coordinator reads.
    #[must_use]
    pub fn ask_version(sequence: u8, desired: u8) -> Vec<u8> {
        vec![sequence, 0, 0, desired]
    }

    /// The answer to the first question, in either format: the version that the coordinator speaks.
    ///
    /// # Errors
    ///
    /// With anything else.
    pub fn read_version(bytes: &[u8]) -> Result<u8, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.u8("ezsp.sequence")?;
        let control = reader.u8("ezsp.frame_control")?;
        if control & RESPONSE == 0 {
            return Err(Malformed::unknown("ezsp.frame_control", control));
        }
        match reader.u8("ezsp.frame_id")? {
            0 => reader.u8("ezsp.version"),
            FORMAT => match reader.u16("ezsp.frame_id")? {
                0 => reader.u8("ezsp.version"),
                other => Err(Malformed::unknown("ezsp.frame_id", other)),
            },
            other => Err(Malformed::unknown("ezsp.frame_id", other)),
        }
    }
}
