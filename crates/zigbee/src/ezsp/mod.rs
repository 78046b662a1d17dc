//! EZSP: what a host tells a coordinator of Silicon Labs, and the other way round, in the frames of [`ash`](crate::ash).
//! Section numbers are those of UG100, EZSP Reference Guide. Versions 8 to 19 of the protocol are spoken: `data/ezsp.csv` has the messages
//! of 8 to 13, and `data/ezsp14.csv` those that are others from 14 on.

mod frame;
mod host;

pub use frame::{EzspFrame, EzspHeader, FrameKind};
pub use host::{CommandError, EzspFailure, EzspHost, EzspOutput};

use crate::bytes::{Malformed, Problem};
use crate::layout::{Given, Record};
use crate::library;

/// Protocol versions that are spoken.
pub const VERSIONS: std::ops::RangeInclusive<u8> = 8..=19;

/// A command or what is answered to it, by its number and fields.
#[derive(Debug, Clone, PartialEq)]
pub struct EzspMessage {
    /// Which: a line of `data/ezsp.csv`.
    pub info: &'static library::EzspInfo,
    /// Its fields.
    pub record: Record,
}

impl EzspMessage {
    /// A message of this name.
    ///
    /// # Errors
    ///
    /// When no line has the name.
    pub fn named(name: &str, record: Record) -> Result<Self, Malformed> {
        let info = library::ezsp_named(name).ok_or(Malformed::new("ezsp.name", Problem::Missing))?;
        Ok(Self { info, record })
    }

    /// A command of this name with these fields, each of the type that it has there.
    pub(crate) fn with(name: &str, given: Vec<(&'static str, Given)>) -> Result<Self, Malformed> {
        let info = library::ezsp_named(name).ok_or(Malformed::new("ezsp.name", Problem::Missing))?;
        Ok(Self { info, record: info.layout(false).record(given)? })
    }

    /// Reads the fields of a frame of a version of the protocol.
    ///
    /// # Errors
    ///
    /// With a number that no line has, and with fields that are cut short.
    pub fn read(frame: &EzspFrame, version: u8) -> Result<Self, Malformed> {
        let id = frame.header.id;
        let info = library::ezsp(id).ok_or_else(|| Malformed::unknown("ezsp.frame_id", id))?;
        // Later versions of the protocol append to messages.
        let (record, _) = info.layout_of(version, frame.header.is_response()).read(&frame.parameters)?;
        Ok(Self { info, record })
    }

    /// The command's frame in a version of the protocol.
    ///
    /// # Errors
    ///
    /// With fields that are missing or of another type.
    pub fn command(&self, sequence: u8, version: u8) -> Result<EzspFrame, Malformed> {
        let mut parameters = Vec::with_capacity(crate::ash::DATA_BYTES_MAX);
        self.info.layout(false).write(&self.record, &mut parameters)?;
        let layout = self.info.layout_of(version, false);
        if layout != self.info.layout(false) {
            parameters.clear();
            layout.write(&layout.retyped(&self.record)?, &mut parameters)?;
        }
        Ok(EzspFrame { header: EzspHeader::command(sequence, self.info.id), parameters: parameters.into() })
    }
}
