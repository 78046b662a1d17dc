//! What a controller says. What writes it serves who emulates one.

mod write;

use super::node_info::{NodeInfo, ProtocolInfo};
use super::request::function as f;
use super::{Frame, FrameKind, NodeIdType};
use crate::bytes::{Reader, bits};
use crate::{HomeId, NodeId, ParseError};

/// Which nodes there are: Host API, "Get Init Data".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitData {
    /// Version of the API.
    pub version: u8,
    /// Bits: end node, timers, secondary, SIS.
    pub capabilities: u8,
    /// Nodes of the mesh, the controller among them.
    pub nodes: Vec<NodeId>,
    /// Type and version of the chip.
    pub chip: Option<[u8; 2]>,
}

/// Which functions there are: Host API, "Get Capabilities".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Version of the software, major then minor.
    pub version: [u8; 2],
    /// Maker, its type and product.
    pub product: [u16; 3],
    /// Numbers of functions.
    pub functions: Vec<u8>,
}

/// A command that came over the radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Bits: Host API, "RX status".
    pub status: u8,
    /// For whom, with a bridge.
    pub target: Option<NodeId>,
    /// From whom.
    pub source: NodeId,
    /// The command.
    pub command: Vec<u8>,
    /// What follows it and differs between versions: with a bridge the mask of receivers, signal strength.
    pub trailer: Vec<u8>,
}

impl Received {
    /// Whether it was for several nodes.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.status & 0x0c != 0
    }

    /// Whether it is of another network, or for another node.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        self.status & 0xc0 != 0
    }
}

/// What became of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransmitStatus {
    /// It was acknowledged.
    Acknowledged,
    /// Nobody acknowledged it.
    NotAcknowledged,
    /// It was not sent: Host API, "TX status".
    Failed(u8),
}

/// How far letting a node in or out has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipStatus {
    /// Waiting for a node.
    Ready,
    /// A node answered.
    Found,
    /// A node is let in or out; who it was may be unknown.
    Node(Option<NodeInfo>),
    /// The protocol's part is done.
    ProtocolDone,
    /// Done.
    Done(Option<NodeId>),
    /// It came to nothing.
    Failed,
    /// Another status.
    Other(u8),
}

/// News of nodes: Host API, "Application Update".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// A node said what it is.
    NodeInfo(NodeInfo),
    /// A node did not say what it is.
    NodeInfoFailed,
    /// A thing wants to join by itself.
    SmartStart {
        /// The home id that follows from its device-specific key.
        home: HomeId,
    },
    /// Another, by its number.
    Other(u8, Vec<u8>),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Which nodes there are.
    InitData(InitData),
    /// What the controller is in its network, as bits.
    ControllerCapabilities(u8),
    /// Which functions it has.
    Capabilities(Capabilities),
    /// It has started.
    Started(Vec<u8>),
    /// A setting, by its number.
    Setup(u8, Vec<u8>),
    /// Version of the software as text, and type of the library.
    Version(String, u8),
    /// Home id and own node.
    ControllerId(HomeId, NodeId),
    /// What the protocol knows of the node that was asked for.
    ProtocolInfo(ProtocolInfo),
    /// Who keeps the topology.
    SucNodeId(Option<NodeId>),
    /// Whether a request of this function was taken.
    Accepted(u8, bool),
    /// What became of a message; with the function and the callback that the host named.
    Transmitted(u8, u8, TransmitStatus),
    /// A command came.
    Received(Received),
    /// News of nodes.
    Update(Update),
    /// How far letting in (function `ADD_NODE`) or out has come; with the callback that the host named.
    Membership(u8, u8, MembershipStatus),
    /// Another function.
    Raw(FrameKind, u8, Vec<u8>),
}

impl Message {
    /// Reads a frame of a controller.
    ///
    /// # Errors
    ///
    /// [`ParseError`] where it is not a message of its function.
    pub fn parse(frame: &Frame, width: NodeIdType) -> Result<Self, ParseError> {
        let mut reader = Reader::new(frame.payload());
        match frame.kind() {
            FrameKind::Response => response(frame.function(), &mut reader, width),
            FrameKind::Request => unasked(frame.function(), &mut reader, width),
        }
    }
}

fn response(function: u8, reader: &mut Reader, width: NodeIdType) -> Result<Message, ParseError> {
    Ok(match function {
        f::GET_INIT_DATA => Message::InitData(init_data(reader)?),
        f::GET_CONTROLLER_CAPABILITIES => Message::ControllerCapabilities(reader.u8()?),
        f::GET_CAPABILITIES => {
            let version = reader.array()?;
            let product = [reader.u16()?, reader.u16()?, reader.u16()?];
            Message::Capabilities(Capabilities { version, product, functions: bits(reader.rest(), 1) })
        }
        f::SETUP => Message::Setup(reader.u8()?, reader.rest().to_vec()),
        f::GET_VERSION => {
            let text = reader.take(12)?.split(|byte| *byte == 0).next().unwrap_or_default();
            let text = std::str::from_utf8(text).map_err(|_| ParseError::Text)?.to_owned();
            Message::Version(text, reader.u8()?)
        }
        f::GET_CONTROLLER_ID => Message::ControllerId(HomeId(reader.u32()?), width.read(reader)?),
        f::GET_PROTOCOL_INFO => Message::ProtocolInfo(ProtocolInfo::parse(reader)?),
        f::GET_SUC_NODE_ID => Message::SucNodeId(width.read_optional(reader)?),
        // Some emulated controllers leave the byte out: they have not refused.
        _ if answers_accepted(function) => Message::Accepted(function, reader.optional() != Some(0)),
        other => Message::Raw(FrameKind::Response, other, reader.rest().to_vec()),
    })
}

fn unasked(function: u8, reader: &mut Reader, width: NodeIdType) -> Result<Message, ParseError> {
    Ok(match function {
        f::APPLICATION_COMMAND => {
            let status = reader.u8()?;
            let source = width.read(reader)?;
            Message::Received(Received {
                status,
                target: None,
                source,
                command: sized(reader)?,
                trailer: reader.rest().to_vec(),
            })
        }
        f::BRIDGE_APPLICATION_COMMAND => {
            let status = reader.u8()?;
            let target = width.read_optional(reader)?;
            let source = width.read(reader)?;
            Message::Received(Received {
                status,
                target,
                source,
                command: sized(reader)?,
                trailer: reader.rest().to_vec(),
            })
        }
        f::STARTED => Message::Started(reader.rest().to_vec()),
        f::APPLICATION_UPDATE => Message::Update(update(reader, width)?),
        f::ADD_NODE | f::REMOVE_NODE => {
            let callback = reader.u8()?;
            Message::Membership(function, callback, membership(reader, width)?)
        }
        f::SEND_DATA | f::SEND_DATA_MULTICAST | f::SEND_DATA_BRIDGE | f::SEND_DATA_MULTICAST_BRIDGE => {
            let callback = reader.u8()?;
            let status = match reader.u8()? {
                0 => TransmitStatus::Acknowledged,
                1 => TransmitStatus::NotAcknowledged,
                other => TransmitStatus::Failed(other),
            };
            Message::Transmitted(function, callback, status)
        }
        other => Message::Raw(FrameKind::Request, other, reader.rest().to_vec()),
    })
}

const fn answers_accepted(function: u8) -> bool {
    matches!(
        function,
        f::SEND_DATA
            | f::SEND_DATA_MULTICAST
            | f::SEND_DATA_BRIDGE
            | f::SEND_DATA_MULTICAST_BRIDGE
            | f::REQUEST_NODE_INFO
            | f::IS_FAILED_NODE
    )
}

fn init_data(reader: &mut Reader) -> Result<InitData, ParseError> {
    let [version, capabilities, length] = reader.array()?;
    let nodes = bits(reader.take(length.into())?, 1);
    let nodes = nodes.into_iter().filter_map(|number| NodeId::new(number.into())).collect();
    Ok(InitData { version, capabilities, nodes, chip: reader.array().ok() })
}

fn update(reader: &mut Reader, width: NodeIdType) -> Result<Update, ParseError> {
    Ok(match reader.u8()? {
        0x84 => Update::NodeInfo(NodeInfo::parse(reader, width)?),
        0x81 => Update::NodeInfoFailed,
        0x85 | 0x86 => {
            width.read_raw(reader)?;
            reader.u8()?;
            Update::SmartStart { home: HomeId(reader.u32()?) }
        }
        other => Update::Other(other, reader.rest().to_vec()),
    })
}

fn membership(reader: &mut Reader, width: NodeIdType) -> Result<MembershipStatus, ParseError> {
    Ok(match reader.u8()? {
        1 => MembershipStatus::Ready,
        2 => MembershipStatus::Found,
        3 | 4 => MembershipStatus::Node(NodeInfo::parse(reader, width).ok()),
        5 => MembershipStatus::ProtocolDone,
        6 => MembershipStatus::Done(width.read_optional(reader).ok().flatten()),
        7 => MembershipStatus::Failed,
        other => MembershipStatus::Other(other),
    })
}

fn sized(reader: &mut Reader) -> Result<Vec<u8>, ParseError> {
    let length = reader.u8()?;
    reader.take(length.into()).map(<[u8]>::to_vec)
}
