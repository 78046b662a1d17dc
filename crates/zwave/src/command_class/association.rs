//! Whom a thing tells: CC, "Association", "Multi Channel Association", "Association Group Information".

use super::field::{Field, SizedText};
use super::{EXTENDED_FIRST, Value};
use crate::ParseError;
use crate::bytes::{Reader, bits, mask};

/// Group 1, to which every thing reports: CC, "Lifeline".
pub const LIFELINE: u8 = 1;

command_class! {
    /// Nodes of groups: class 0x85.
    Association = 0x85 {
        Set = 0x01 { group_id: u8, node_ids: Vec<u8> },
        Get = 0x02 { group_id: u8 },
        Report = 0x03 { group_id: u8, max_nodes: u8, reports_to_follow: u8, node_ids: Vec<u8> },
        /// Without nodes: all of them; group 0: of all groups.
        Remove = 0x04 { group_id: u8, node_ids: Vec<u8> },
        SupportedGroupingsGet = 0x05 {},
        SupportedGroupingsReport = 0x06 { group_count: u8 },
        SpecificGroupGet = 0x0b {},
        SpecificGroupReport = 0x0c { group_id: u8 },
    }
}

/// Endpoints of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// One, 0 to 127.
    One(u8),
    /// Several, 1 to 7.
    Several(Vec<u8>),
}

impl Field for Endpoints {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let byte = reader.u8()?;
        Ok(if byte & 0x80 == 0 { Self::One(byte) } else { Self::Several(bits(&[byte & 0x7f], 1)) })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::One(endpoint) => endpoint & 0x7f,
            Self::Several(endpoints) => 0x80 | mask(endpoints, 1, 1).first().copied().unwrap_or(0),
        });
    }
    fn value(&self) -> Value {
        match self {
            Self::One(endpoint) => (*endpoint).into(),
            Self::Several(endpoints) => endpoints.value(),
        }
    }
}

group! {
    /// A node and endpoints of it.
    EndpointAssociation {
        node_id: u8,
        endpoint: Endpoints,
    }
}

/// Whom a group tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Whole nodes.
    pub nodes: Vec<u8>,
    /// Endpoints of nodes.
    pub endpoints: Vec<EndpointAssociation>,
}

/// Separates nodes from endpoints.
const MARKER: u8 = 0;

impl Field for Members {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let mut nodes = Vec::new();
        while let Some(node) = reader.optional() {
            if node == MARKER {
                return Ok(Self { nodes, endpoints: Field::read(reader)? });
            }
            nodes.push(node);
        }
        Ok(Self { nodes, endpoints: Vec::new() })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(&self.nodes);
        if !self.endpoints.is_empty() {
            out.push(MARKER);
            self.endpoints.write(out);
        }
    }
    fn value(&self) -> Value {
        self.nodes.value()
    }
    fn values(&self, _: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push(("node_ids", self.nodes.value()));
        out.push(("endpoints", self.endpoints.value()));
    }
}

command_class! {
    /// Nodes and endpoints of groups: class 0x8e.
    MultiChannelAssociation = 0x8e {
        Set = 0x01 { group_id: u8, members: Members },
        Get = 0x02 { group_id: u8 },
        Report = 0x03 { group_id: u8, max_nodes: u8, reports_to_follow: u8, members: Members },
        Remove = 0x04 { group_id: u8, members: Members },
        SupportedGroupingsGet = 0x05 {},
        SupportedGroupingsReport = 0x06 { group_count: u8 },
    }
}

bit_fields! {
    /// How groups are asked about.
    Mode {
        refresh_cache: bool = 7, 1,
        list_mode: bool = 6, 1,
    }
}

bit_fields! {
    /// How an answer may be made.
    Cache { allow_cache: bool = 7, 1 }
}

group! {
    /// What a group tells.
    GroupInfo {
        group_id: u8,
        mode: u8,
        profile: u16,
        reserved: u8,
        event_code: u16,
    }
}

/// What groups tell, and whether that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Whether all were asked about.
    pub is_list_mode: bool,
    /// Whether it may change.
    pub has_dynamic_info: bool,
    /// At most 63.
    pub groups: Vec<GroupInfo>,
}

impl Field for Groups {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let head = reader.u8()?;
        let groups = (0..head & 0x3f).map(|_| GroupInfo::read(reader)).collect::<Result<_, _>>()?;
        Ok(Self { is_list_mode: head & 0x80 != 0, has_dynamic_info: head & 0x40 != 0, groups })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let groups = self.groups.get(..63).unwrap_or(&self.groups);
        let flags = u8::from(self.is_list_mode) << 7 | u8::from(self.has_dynamic_info) << 6;
        out.push(flags | u8::try_from(groups.len()).unwrap_or(0));
        groups.iter().for_each(|group| group.write(out));
    }
    fn value(&self) -> Value {
        self.groups.value()
    }
    fn values(&self, name: &'static str, out: &mut Vec<(&'static str, Value)>) {
        out.push((name, self.value()));
        out.push(("is_list_mode", self.is_list_mode.into()));
        out.push(("has_dynamic_info", self.has_dynamic_info.into()));
    }
}

/// Commands that a group tells, after the length of the list in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCommands(pub Vec<GroupCommand>);

/// A command by its class and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommand {
    /// Its class.
    pub class: u16,
    /// Its number.
    pub command: u8,
}

impl Field for GroupCommands {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let length = reader.u8()?;
        let mut list = Reader::new(reader.take(length.into())?);
        let mut commands = Vec::new();
        while let Some(class) = list.optional() {
            let extended = class >= EXTENDED_FIRST;
            let class = if extended { u16::from_be_bytes([class, list.u8()?]) } else { class.into() };
            commands.push(GroupCommand { class, command: list.u8()? });
        }
        Ok(Self(commands))
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut list = Vec::new();
        for GroupCommand { class, command } in &self.0 {
            list.extend(class.to_be_bytes().into_iter().skip_while(|byte| *byte == 0));
            list.push(*command);
        }
        list.truncate(u8::MAX.into());
        out.push(u8::try_from(list.len()).unwrap_or(u8::MAX));
        out.append(&mut list);
    }
    fn value(&self) -> Value {
        let pairs =
            self.0.iter().map(|pair| Value::List(vec![i64::from(pair.class).into(), pair.command.into()]));
        pairs.collect::<Vec<_>>().into()
    }
}

command_class! {
    /// What groups are for: class 0x59.
    AssociationGroupInfo = 0x59 {
        NameGet = 0x01 { group_id: u8 },
        NameReport = 0x02 { group_id: u8, name: SizedText },
        InfoGet = 0x03 { mode: Mode, group_id: u8 },
        InfoReport = 0x04 { groups: Groups },
        CommandListGet = 0x05 { cache: Cache, group_id: u8 },
        CommandListReport = 0x06 { group_id: u8, commands: GroupCommands },
    }
}
