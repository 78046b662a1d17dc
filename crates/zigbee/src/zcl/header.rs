//! The header of a frame: 2.4.1.

use crate::bytes::{Malformed, Reader};

/// Whether a command is the same in all clusters: 2.4.1.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameScope {
    /// It is.
    Foundation,
    /// It belongs to its cluster.
    Cluster,
}

/// Who sends a command: 2.4.1.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The client, to the server, which has the attributes.
    ToServer,
    /// The server, to the client.
    ToClient,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZclHeader {
    /// The frame control field, as bits.
    pub control: u8,
    /// Whose command it is; none for those of the library.
    pub manufacturer: Option<u16>,
    /// The sender's number for the exchange.
    pub sequence: u8,
    /// Which command.
    pub command: u8,
}

impl ZclHeader {
    /// Reads the header that a frame begins with, and gives what follows it.
    ///
    /// # Errors
    ///
    /// With what is cut short or reserved.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let control = reader.u8("zcl.frame_control")?;
        if control & 3 > 1 {
            return Err(Malformed::unknown("zcl.frame_type", control & 3));
        }
        let manufacturer = if control & 4 != 0 { Some(reader.u16("zcl.manufacturer")?) } else { None };
        let sequence = reader.u8("zcl.sequence")?;
        let command = reader.u8("zcl.command")?;
        Ok((Self { control, manufacturer, sequence, command }, reader.rest()))
    }

    /// The octets that are sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.control);
        out.extend(self.manufacturer.iter().flat_map(|manufacturer| manufacturer.to_le_bytes()));
        out.extend([self.sequence, self.command]);
    }

    /// Whether its command is the same in all clusters.
    #[must_use]
    pub const fn scope(&self) -> FrameScope {
        if self.control & 3 == 0 { FrameScope::Foundation } else { FrameScope::Cluster }
    }

    /// Who sends it.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.control & 8 == 0 { Direction::ToServer } else { Direction::ToClient }
    }
}
