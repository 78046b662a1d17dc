//! What a host asks of a controller.

use super::{Frame, FrameKind, NodeIdType};
use crate::bytes::Reader;
use crate::{Dsk, NodeId, ParseError};

/// Numbers of functions: Host API, "Z-Wave API commands".
pub mod function {
    #![expect(missing_docs, reason = "each is the function of its name")]
    pub const GET_INIT_DATA: u8 = 0x02;
    pub const APPLICATION_COMMAND: u8 = 0x04;
    pub const GET_CONTROLLER_CAPABILITIES: u8 = 0x05;
    pub const GET_CAPABILITIES: u8 = 0x07;
    pub const SOFT_RESET: u8 = 0x08;
    pub const STARTED: u8 = 0x0a;
    pub const SETUP: u8 = 0x0b;
    pub const SEND_DATA: u8 = 0x13;
    pub const SEND_DATA_MULTICAST: u8 = 0x14;
    pub const GET_VERSION: u8 = 0x15;
    pub const SEND_DATA_ABORT: u8 = 0x16;
    pub const GET_CONTROLLER_ID: u8 = 0x20;
    pub const GET_PROTOCOL_INFO: u8 = 0x41;
    pub const APPLICATION_UPDATE: u8 = 0x49;
    pub const ADD_NODE: u8 = 0x4a;
    pub const REMOVE_NODE: u8 = 0x4b;
    pub const GET_SUC_NODE_ID: u8 = 0x56;
    pub const REQUEST_NODE_INFO: u8 = 0x60;
    pub const REMOVE_FAILED_NODE: u8 = 0x61;
    pub const IS_FAILED_NODE: u8 = 0x62;
    pub const BRIDGE_APPLICATION_COMMAND: u8 = 0xa8;
    pub const SEND_DATA_BRIDGE: u8 = 0xa9;
    pub const SEND_DATA_MULTICAST_BRIDGE: u8 = 0xab;
}

/// How a message is sent, as bits: Host API, "TX options".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransmitOptions(pub u8);

impl TransmitOptions {
    /// Acknowledged, routed, and by exploring where no route is known.
    pub const RELIABLE: Self = Self(0x01 | 0x04 | 0x20);
    /// To who is in range: nobody acknowledges it.
    pub const MULTICAST: Self = Self(0x00);
}

/// How nodes are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddMode {
    /// Whichever node somebody puts into learn mode.
    Any,
    /// Nothing more.
    Stop,
    /// Wait for things that want to join by themselves.
    SmartStartListen,
    /// The thing with this device-specific key, which asked to join.
    SmartStart(Dsk),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which nodes there are.
    GetInitData,
    /// What the controller is in its network.
    GetControllerCapabilities,
    /// Which functions it has.
    GetCapabilities,
    /// Start again.
    SoftReset,
    /// Settings, by their number: Host API, "Serial API Setup".
    Setup(u8, Vec<u8>),
    /// Send a command to a node.
    SendData {
        /// Receiver.
        node: NodeId,
        /// Command.
        data: Vec<u8>,
        /// How.
        options: TransmitOptions,
        /// Names the callback.
        callback: u8,
    },
    /// Send a command to several nodes at once.
    SendDataMulticast {
        /// Receivers.
        nodes: Vec<NodeId>,
        /// Command.
        data: Vec<u8>,
        /// How.
        options: TransmitOptions,
        /// Names the callback.
        callback: u8,
    },
    /// Send a command to a node, as another one.
    SendDataBridge {
        /// Sender.
        source: NodeId,
        /// Receiver.
        node: NodeId,
        /// Command.
        data: Vec<u8>,
        /// How.
        options: TransmitOptions,
        /// Names the callback.
        callback: u8,
    },
    /// Stop sending.
    SendDataAbort,
    /// Version of the software.
    GetVersion,
    /// Home id and own node.
    GetControllerId,
    /// What the protocol knows of a node.
    GetProtocolInfo(NodeId),
    /// Let nodes in, or stop.
    AddNode(AddMode, u8),
    /// Let nodes out (`true`), or stop.
    RemoveNode(bool, u8),
    /// Who keeps the topology.
    GetSucNodeId,
    /// Have a node say what it is.
    RequestNodeInfo(NodeId),
    /// Whether a node is on the list of those that do not answer.
    IsFailedNode(NodeId),
    /// Forget a node that does not answer.
    RemoveFailedNode(NodeId, u8),
    /// Another function.
    Raw(u8, Vec<u8>),
}

const ADD_ANY: u8 = 0x01;
const ADD_STOP: u8 = 0x05;
const ADD_SMART_START: u8 = 0x08;
const ADD_SMART_START_LISTEN: u8 = 0x09;
/// At full power, through the whole network.
const NETWORK_WIDE: u8 = 0x80 | 0x40;
const MODE: u8 = 0x0f;

impl Request {
    /// Its frame.
    ///
    /// # Errors
    ///
    /// [`ParseError::TooLong`] for data that no frame carries.
    pub fn to_frame(&self, width: NodeIdType) -> Result<Frame, ParseError> {
        use function as f;
        let mut out = Vec::new();
        let function = match self {
            Self::GetInitData => f::GET_INIT_DATA,
            Self::GetControllerCapabilities => f::GET_CONTROLLER_CAPABILITIES,
            Self::GetCapabilities => f::GET_CAPABILITIES,
            Self::SoftReset => f::SOFT_RESET,
            Self::SendDataAbort => f::SEND_DATA_ABORT,
            Self::GetVersion => f::GET_VERSION,
            Self::GetControllerId => f::GET_CONTROLLER_ID,
            Self::GetSucNodeId => f::GET_SUC_NODE_ID,
            Self::Setup(setting, value) => {
                out.push(*setting);
                out.extend(value);
                f::SETUP
            }
            Self::SendData { node, data, options, callback } => {
                width.write(&mut out, Some(*node));
                write_data(&mut out, data)?;
                out.extend([options.0, *callback]);
                f::SEND_DATA
            }
            Self::SendDataMulticast { nodes, data, options, callback } => {
                out.push(u8::try_from(nodes.len()).map_err(|_| ParseError::TooLong)?);
                nodes.iter().for_each(|node| width.write(&mut out, Some(*node)));
                write_data(&mut out, data)?;
                out.extend([options.0, *callback]);
                f::SEND_DATA_MULTICAST
            }
            Self::SendDataBridge { source, node, data, options, callback } => {
                width.write(&mut out, Some(*source));
                width.write(&mut out, Some(*node));
                write_data(&mut out, data)?;
                out.extend([options.0, 0, 0, 0, 0, *callback]);
                f::SEND_DATA_BRIDGE
            }
            Self::GetProtocolInfo(node) => node_only(&mut out, width, *node, f::GET_PROTOCOL_INFO),
            Self::RequestNodeInfo(node) => node_only(&mut out, width, *node, f::REQUEST_NODE_INFO),
            Self::IsFailedNode(node) => node_only(&mut out, width, *node, f::IS_FAILED_NODE),
            Self::RemoveFailedNode(node, callback) => {
                width.write(&mut out, Some(*node));
                out.push(*callback);
                f::REMOVE_FAILED_NODE
            }
            Self::AddNode(mode, callback) => {
                write_add(&mut out, *mode, *callback);
                f::ADD_NODE
            }
            Self::RemoveNode(start, callback) => {
                out.extend([if *start { ADD_ANY | NETWORK_WIDE } else { ADD_STOP }, *callback]);
                f::REMOVE_NODE
            }
            Self::Raw(function, data) => {
                out.extend(data);
                *function
            }
        };
        Frame::new(FrameKind::Request, function, out)
    }

    /// Reads a frame as a controller does.
    ///
    /// # Errors
    ///
    /// [`ParseError`] where it is not a request of its function.
    pub fn parse(frame: &Frame, width: NodeIdType) -> Result<Self, ParseError> {
        use function as f;
        if frame.kind() != FrameKind::Request {
            return Err(ParseError::Kind);
        }
        let mut reader = Reader::new(frame.payload());
        let request = match frame.function() {
            f::GET_INIT_DATA => Self::GetInitData,
            f::GET_CONTROLLER_CAPABILITIES => Self::GetControllerCapabilities,
            f::GET_CAPABILITIES => Self::GetCapabilities,
            f::SOFT_RESET => Self::SoftReset,
            f::SEND_DATA_ABORT => Self::SendDataAbort,
            f::GET_VERSION => Self::GetVersion,
            f::GET_CONTROLLER_ID => Self::GetControllerId,
            f::GET_SUC_NODE_ID => Self::GetSucNodeId,
            f::SETUP => Self::Setup(reader.u8()?, reader.rest().to_vec()),
            f::SEND_DATA => Self::SendData {
                node: width.read(&mut reader)?,
                data: read_data(&mut reader)?,
                options: TransmitOptions(reader.u8()?),
                callback: reader.u8()?,
            },
            f::SEND_DATA_MULTICAST => Self::SendDataMulticast {
                nodes: (0..reader.u8()?).map(|_| width.read(&mut reader)).collect::<Result<_, _>>()?,
                data: read_data(&mut reader)?,
                options: TransmitOptions(reader.u8()?),
                callback: reader.u8()?,
            },
            f::SEND_DATA_BRIDGE => Self::SendDataBridge {
                source: width.read(&mut reader)?,
                node: width.read(&mut reader)?,
                data: read_data(&mut reader)?,
                options: TransmitOptions(reader.u8()?),
                callback: {
                    reader.take(4)?;
                    reader.u8()?
                },
            },
            f::GET_PROTOCOL_INFO => Self::GetProtocolInfo(width.read(&mut reader)?),
            f::REQUEST_NODE_INFO => Self::RequestNodeInfo(width.read(&mut reader)?),
            f::IS_FAILED_NODE => Self::IsFailedNode(width.read(&mut reader)?),
            f::REMOVE_FAILED_NODE => Self::RemoveFailedNode(width.read(&mut reader)?, reader.u8()?),
            f::ADD_NODE => match reader.u8()? & MODE {
                ADD_ANY => Self::AddNode(AddMode::Any, reader.u8()?),
                ADD_STOP => Self::AddNode(AddMode::Stop, reader.u8()?),
                ADD_SMART_START_LISTEN => Self::AddNode(AddMode::SmartStartListen, reader.u8()?),
                // The key itself does not travel, only two halves of its second half.
                _ => return Ok(Self::Raw(f::ADD_NODE, frame.payload().to_vec())),
            },
            f::REMOVE_NODE => Self::RemoveNode(reader.u8()? & MODE != ADD_STOP, reader.u8()?),
            other => Self::Raw(other, reader.rest().to_vec()),
        };
        reader.finish()?;
        Ok(request)
    }
}

fn node_only(out: &mut Vec<u8>, width: NodeIdType, node: NodeId, function: u8) -> u8 {
    width.write(out, Some(node));
    function
}

fn write_data(out: &mut Vec<u8>, data: &[u8]) -> Result<(), ParseError> {
    out.push(u8::try_from(data.len()).map_err(|_| ParseError::TooLong)?);
    out.extend_from_slice(data);
    Ok(())
}

fn read_data(reader: &mut Reader) -> Result<Vec<u8>, ParseError> {
    let length = reader.u8()?;
    reader.take(length.into()).map(<[u8]>::to_vec)
}

fn write_add(out: &mut Vec<u8>, mode: AddMode, callback: u8) {
    match mode {
        AddMode::Any => out.extend([ADD_ANY | NETWORK_WIDE, callback]),
        AddMode::Stop => out.extend([ADD_STOP, callback]),
        AddMode::SmartStartListen => out.extend([ADD_SMART_START_LISTEN | NETWORK_WIDE, callback]),
        AddMode::SmartStart(dsk) => {
            out.extend([ADD_SMART_START | NETWORK_WIDE, callback]);
            out.extend(dsk.smart_start_home_id().to_be_bytes());
            out.extend(dsk.authentication_home_id().to_be_bytes());
        }
    }
}
