//! What a capture has around each frame: LINKTYPE values of the pcap registry.

use std::time::Duration;

use super::{CaptureError, Captured};
use crate::bytes::{Malformed, Problem, Reader};
use crate::ieee802154::Fcs;

/// What is around each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// 195: its checksum behind it.
    WithFcs,
    /// 230: nothing.
    NoFcs,
    /// 283: tags before it, which say what checksum it has.
    Tap,
}

impl LinkType {
    pub(super) const fn new(number: u32) -> Result<Self, CaptureError> {
        match number {
            195 => Ok(Self::WithFcs),
            230 => Ok(Self::NoFcs),
            283 => Ok(Self::Tap),
            other => Err(CaptureError::LinkType(other)),
        }
    }

    /// The frame in what was captured, whose whole length was `length`.
    pub(super) fn frame(
        self,
        at: Option<Duration>,
        data: &[u8],
        length: usize,
    ) -> Result<Captured<'_>, CaptureError> {
        if data.len() < length {
            let problem = Problem::Truncated { needed: length, left: data.len() };
            return Err(CaptureError::Frame(Malformed::new("capture.frame", problem)));
        }
        let checked = |data| {
            Fcs::split(data).ok_or_else(|| {
                let problem = Problem::Truncated { needed: 2, left: 1 };
                CaptureError::Frame(Malformed::new("mac.fcs", problem))
            })
        };
        let (frame, fcs) = match self {
            Self::WithFcs => checked(data)?,
            Self::NoFcs => (data, Fcs::Absent),
            Self::Tap => match tap(data).map_err(CaptureError::Frame)? {
                (data, true) => checked(data)?,
                (data, false) => (data, Fcs::Absent),
            },
        };
        Ok(Captured { at, fcs, frame })
    }
}

/// What is behind the tags, and whether it has a checksum of two octets.
fn tap(data: &[u8]) -> Result<(&[u8], bool), Malformed> {
    let mut reader = Reader::new(data);
    let version = reader.u8("tap.version")?;
    if version != 0 {
        return Err(Malformed::unknown("tap.version", version));
    }
    reader.u8("tap.reserved")?;
    let length = usize::from(reader.u16("tap.length")?).saturating_sub(4);
    let mut tags = Reader::new(reader.take("tap.tags", length)?);
    let mut checksum = 0;
    while !tags.is_empty() {
        let (tag, length) = (tags.u16("tap.tag")?, usize::from(tags.u16("tap.tag")?));
        let value = tags.take("tap.tag", length.next_multiple_of(4))?;
        if tag == 0 {
            checksum = value.first().copied().unwrap_or(0);
        }
    }
    match checksum {
        0 => Ok((reader.rest(), false)),
        1 => Ok((reader.rest(), true)),
        other => Err(Malformed::unknown("tap.fcs", other)),
    }
}
