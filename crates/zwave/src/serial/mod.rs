//! The line between a host and a controller: Host API, "Z-Wave Host API frames".
//!
//! [`frame`] is what travels, [`link`] gets it across once, [`request`] is what a host asks and [`message`] what a controller
//! says.

pub mod frame;
pub mod link;
pub mod message;
pub mod node_info;
pub mod request;

pub use frame::{Decoder, Frame, FrameKind, Unit};
pub use link::{Link, LinkEvent};
pub use message::{Message, Received};
pub use node_info::{NodeInfo, ProtocolInfo};
pub use request::{AddMode, Request, TransmitOptions};

use crate::bytes::Reader;
use crate::{NodeId, ParseError};

/// How many bytes a node's number takes on the line: one, until the host asks for two (Host API, "NodeID base type").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeIdType {
    /// One byte: nodes of the mesh only.
    Short,
    /// Two bytes: Long Range, too.
    Long,
}

impl NodeIdType {
    fn read_raw(self, reader: &mut Reader) -> Result<u16, ParseError> {
        match self {
            Self::Short => reader.u8().map(u16::from),
            Self::Long => reader.u16(),
        }
    }

    fn read(self, reader: &mut Reader) -> Result<NodeId, ParseError> {
        let number = self.read_raw(reader)?;
        NodeId::new(number).ok_or(ParseError::Reserved { field: "node", value: number.into() })
    }

    /// A node, where zero stands for none.
    fn read_optional(self, reader: &mut Reader) -> Result<Option<NodeId>, ParseError> {
        self.read_raw(reader).map(NodeId::new)
    }

    fn write(self, out: &mut Vec<u8>, node: Option<NodeId>) {
        let number = node.map_or(0, NodeId::number);
        match self {
            Self::Short => out.push(u8::try_from(number).unwrap_or(0)),
            Self::Long => out.extend(number.to_be_bytes()),
        }
    }
}
