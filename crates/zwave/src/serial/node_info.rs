//! What a controller knows of a node: Host API, "Get Node Information Protocol Data", "Node Information Frame".

use super::NodeIdType;
use crate::bytes::Reader;
use crate::{NodeId, ParseError};

/// Separates the command classes that a node supports from those that it controls.
const CONTROLLED_MARK: u8 = 0xef;
/// Command classes from here on have a second byte.
const EXTENDED_FIRST: u8 = 0xf1;

/// How a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Always.
    Always,
    /// In short moments, every quarter of a second or every second: it is woken by a beam.
    Frequently,
    /// Only after it woke up by itself.
    Sleeping,
}

/// What the protocol knows of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolInfo {
    /// The three bytes of capabilities, as they came.
    pub capabilities: [u8; 3],
    /// Basic, generic and specific device class.
    pub device_class: [u8; 3],
}

impl ProtocolInfo {
    pub(super) fn parse(reader: &mut Reader) -> Result<Self, ParseError> {
        let capabilities = reader.array()?;
        let [basic, generic] = reader.array()?;
        let specific = reader.optional().unwrap_or(0);
        Ok(Self { capabilities, device_class: [basic, generic, specific] })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.capabilities);
        out.extend(self.device_class);
    }

    /// How it listens.
    #[must_use]
    pub const fn listening(&self) -> Listening {
        let [first, second, _] = self.capabilities;
        if first & 0x80 != 0 {
            Listening::Always
        } else if second & 0x60 != 0 {
            Listening::Frequently
        } else {
            Listening::Sleeping
        }
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Who.
    pub node: NodeId,
    /// Basic, generic and specific device class.
    pub device_class: [u8; 3],
    /// Command classes that it supports.
    pub supported: Vec<u16>,
    /// Command classes that it controls in others.
    pub controlled: Vec<u16>,
}

impl NodeInfo {
    pub(super) fn parse(reader: &mut Reader, width: NodeIdType) -> Result<Self, ParseError> {
        let node = width.read(reader)?;
        let length = reader.u8()?;
        let mut info = Reader::new(reader.take(length.into())?);
        let device_class = info.array()?;
        let (supported, controlled) = command_classes(&mut info)?;
        Ok(Self { node, device_class, supported, controlled })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, width: NodeIdType) {
        width.write(out, Some(self.node));
        let mut info = self.device_class.to_vec();
        write_command_classes(&mut info, &self.supported);
        if !self.controlled.is_empty() {
            info.push(CONTROLLED_MARK);
            write_command_classes(&mut info, &self.controlled);
        }
        out.push(u8::try_from(info.len()).unwrap_or(u8::MAX));
        out.append(&mut info);
    }
}

/// Lists of supported and of controlled command classes, up to the end.
pub(crate) fn command_classes(reader: &mut Reader) -> Result<(Vec<u16>, Vec<u16>), ParseError> {
    let [mut supported, mut controlled] = [Vec::new(), Vec::new()];
    let mut list = &mut supported;
    while let Some(first) = reader.optional() {
        match first {
            CONTROLLED_MARK => list = &mut controlled,
            EXTENDED_FIRST.. => list.push(u16::from_be_bytes([first, reader.u8()?])),
            _ => list.push(first.into()),
        }
    }
    Ok((supported, controlled))
}

pub(crate) fn write_command_classes(out: &mut Vec<u8>, classes: &[u16]) {
    for class in classes {
        match class.to_be_bytes() {
            [0, low] => out.push(low),
            both => out.extend(both),
        }
    }
}
