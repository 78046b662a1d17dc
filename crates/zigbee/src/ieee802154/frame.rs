//! A whole frame of the MAC layer, without its checksum.

use super::header::{FrameType, Header};
use super::{Beacon, FRAME_BYTES_MAX, MacCommand};
use crate::bytes::{Malformed, Problem, Reader};

/// A frame of the MAC layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// From where, to where and how.
    pub header: Header,
    /// What it carries, as it was sent, without the integrity code.
    pub payload: Vec<u8>,
    /// The integrity code of MAC security; empty without.
    pub mic: Vec<u8>,
}

impl Frame {
    /// Reads a frame without its checksum.
    ///
    /// # Errors
    ///
    /// With what is cut short, reserved or longer than a frame may be.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(Malformed::new("mac.frame", Problem::TooMuch(bytes.len())));
        }
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let mic_bytes = header.security.as_ref().map_or(0, super::AuxiliarySecurity::mic_bytes);
        let payload_bytes = reader.left().checked_sub(mic_bytes).ok_or_else(|| {
            Malformed::new("mac.mic", Problem::Truncated { needed: mic_bytes, left: reader.left() })
        })?;
        let payload = reader.take("mac.payload", payload_bytes)?.to_vec();
        Ok(Self { header, payload, mic: reader.rest().to_vec() })
    }

    /// The octets that are sent, without the checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.header.write(&mut out);
        out.extend(&self.payload);
        out.extend(&self.mic);
        out
    }

    /// The command that it is, with what can be read of it; `None` where it is no command.
    ///
    /// # Errors
    ///
    /// With a command that is cut short.
    pub fn command(&self) -> Result<Option<MacCommand>, Malformed> {
        let encrypted = self.header.security.as_ref().is_some_and(super::AuxiliarySecurity::encrypted);
        match self.header.control.frame_type()? {
            FrameType::Command => MacCommand::read(&self.payload, encrypted).map(Some),
            FrameType::Beacon | FrameType::Data | FrameType::Acknowledgement => Ok(None),
        }
    }

    /// The beacon that it is; `None` where it is none.
    ///
    /// # Errors
    ///
    /// With a beacon that is cut short.
    pub fn beacon(&self) -> Result<Option<Beacon>, Malformed> {
        match self.header.control.frame_type()? {
            FrameType::Beacon => Beacon::read(&self.payload).map(Some),
            FrameType::Command | FrameType::Data | FrameType::Acknowledgement => Ok(None),
        }
    }
}
