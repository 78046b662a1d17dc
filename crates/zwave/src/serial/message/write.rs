//! Messages as a controller writes them.

use super::{MembershipStatus, Message, TransmitStatus, Update};
use crate::ParseError;
use crate::bytes::mask;
use crate::serial::request::function as f;
use crate::serial::{Frame, FrameKind, NodeIdType};

/// Bytes of the list of functions.
const FUNCTIONS_BYTES: usize = 32;
/// Bytes of the list of nodes.
const NODES_BYTES: usize = 29;

impl Message {
    /// Its frame, as a controller writes it.
    ///
    /// # Errors
    ///
    /// [`ParseError::TooLong`] for data that no frame carries.
    pub fn to_frame(&self, width: NodeIdType) -> Result<Frame, ParseError> {
        let mut out = Vec::new();
        let (kind, function) = match self {
            Self::InitData(data) => {
                let nodes: Vec<u8> = data.nodes.iter().filter_map(|node| node.mesh()).collect();
                let nodes = mask(&nodes, 1, NODES_BYTES);
                out.extend([data.version, data.capabilities]);
                write_sized(&mut out, &nodes)?;
                out.extend(data.chip.into_iter().flatten());
                (FrameKind::Response, f::GET_INIT_DATA)
            }
            Self::ControllerCapabilities(bits) => {
                out.push(*bits);
                (FrameKind::Response, f::GET_CONTROLLER_CAPABILITIES)
            }
            Self::Capabilities(capabilities) => {
                out.extend(capabilities.version);
                out.extend(capabilities.product.iter().flat_map(|number| number.to_be_bytes()));
                out.extend(mask(&capabilities.functions, 1, FUNCTIONS_BYTES));
                (FrameKind::Response, f::GET_CAPABILITIES)
            }
            Self::Started(data) => {
                out.extend(data);
                (FrameKind::Request, f::STARTED)
            }
            Self::Setup(setting, value) => {
                out.push(*setting);
                out.extend(value);
                (FrameKind::Response, f::SETUP)
            }
            Self::Version(text, library) => {
                out.extend(text.bytes().chain(std::iter::repeat(0)).take(12));
                out.push(*library);
                (FrameKind::Response, f::GET_VERSION)
            }
            Self::ControllerId(home, node) => {
                out.extend(home.0.to_be_bytes());
                width.write(&mut out, Some(*node));
                (FrameKind::Response, f::GET_CONTROLLER_ID)
            }
            Self::ProtocolInfo(info) => {
                info.write(&mut out);
                (FrameKind::Response, f::GET_PROTOCOL_INFO)
            }
            Self::SucNodeId(node) => {
                width.write(&mut out, *node);
                (FrameKind::Response, f::GET_SUC_NODE_ID)
            }
            Self::Accepted(function, accepted) => {
                out.push((*accepted).into());
                (FrameKind::Response, *function)
            }
            Self::Transmitted(function, callback, status) => {
                let status = match status {
                    TransmitStatus::Acknowledged => 0,
                    TransmitStatus::NotAcknowledged => 1,
                    TransmitStatus::Failed(status) => *status,
                };
                out.extend([*callback, status]);
                (FrameKind::Request, *function)
            }
            Self::Received(received) => {
                out.push(received.status);
                if let Some(target) = received.target {
                    width.write(&mut out, Some(target));
                }
                width.write(&mut out, Some(received.source));
                write_sized(&mut out, &received.command)?;
                out.extend(&received.trailer);
                let bridge = received.target.map(|_| f::BRIDGE_APPLICATION_COMMAND);
                (FrameKind::Request, bridge.unwrap_or(f::APPLICATION_COMMAND))
            }
            Self::Update(update) => {
                write_update(&mut out, update, width);
                (FrameKind::Request, f::APPLICATION_UPDATE)
            }
            Self::Membership(function, callback, status) => {
                out.push(*callback);
                write_membership(&mut out, status, width);
                (FrameKind::Request, *function)
            }
            Self::Raw(kind, function, data) => {
                out.extend(data);
                (*kind, *function)
            }
        };
        Frame::new(kind, function, out)
    }
}

fn write_sized(out: &mut Vec<u8>, data: &[u8]) -> Result<(), ParseError> {
    out.push(u8::try_from(data.len()).map_err(|_| ParseError::TooLong)?);
    out.extend_from_slice(data);
    Ok(())
}

fn write_update(out: &mut Vec<u8>, update: &Update, width: NodeIdType) {
    match update {
        Update::NodeInfo(info) => {
            out.push(0x84);
            info.write(out, width);
        }
        Update::NodeInfoFailed => {
            out.push(0x81);
            width.write(out, None);
            out.push(0);
        }
        Update::SmartStart { home } => {
            out.push(0x85);
            width.write(out, None);
            out.push(0);
            out.extend(home.0.to_be_bytes());
        }
        Update::Other(kind, data) => {
            out.push(*kind);
            out.extend(data);
        }
    }
}

fn write_membership(out: &mut Vec<u8>, status: &MembershipStatus, width: NodeIdType) {
    match status {
        MembershipStatus::Ready => out.push(1),
        MembershipStatus::Found => out.push(2),
        MembershipStatus::Node(info) => {
            out.push(3);
            if let Some(info) = info {
                info.write(out, width);
            }
        }
        MembershipStatus::ProtocolDone => out.push(5),
        MembershipStatus::Done(node) => {
            out.push(6);
            width.write(out, *node);
        }
        MembershipStatus::Failed => out.push(7),
        MembershipStatus::Other(status) => out.push(*status),
    }
}
