//! The MAC header: 7.2.

use std::fmt;

use crate::address::{Eui64, PanId, ShortAddress};
use crate::bytes::{Malformed, Problem, Reader};

/// The frame control field: 7.2.2. The bits are kept as they came; what they mean depends on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameControl(pub u16);

/// What a frame is: 7.2.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// Tells of a network.
    Beacon,
    /// Carries a frame of the layer above.
    Data,
    /// Answers a frame by its sequence number.
    Acknowledgement,
    /// A command of this layer.
    Command,
}

/// An address of this layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// In its network.
    Short(ShortAddress),
    /// Everywhere.
    Extended(Eui64),
}

/// Where a frame comes from or goes to. Either part may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The network; at the source left out where it is the destination's.
    pub pan: Option<PanId>,
    /// The node.
    pub address: Option<Address>,
}

/// The auxiliary security header: 9.4. Zigbee has security of its own and sends none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuxiliarySecurity {
    /// Security level, key identifier mode and flags.
    pub control: u8,
    /// Absent where the control says so.
    pub frame_counter: Option<u32>,
    /// 0, 4 or 8 octets.
    pub key_source: Vec<u8>,
    /// Absent with an implied key.
    pub key_index: Option<u8>,
}

/// A MAC header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Flags and versions.
    pub control: FrameControl,
    /// Absent where the frame control suppresses it.
    pub sequence: Option<u8>,
    /// To where.
    pub destination: Endpoint,
    /// From where.
    pub source: Endpoint,
    /// Present with the security flag.
    pub security: Option<AuxiliarySecurity>,
    /// Header information elements with their termination, unread: 7.4.2.
    pub elements: Vec<u8>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(short) => short.fmt(f),
            Self::Extended(eui64) => eui64.fmt(f),
        }
    }
}

impl FrameControl {
    /// The frame's type; reserved and extended ones are an error.
    ///
    /// # Errors
    ///
    /// With a type that Zigbee does not use.
    pub fn frame_type(self) -> Result<FrameType, Malformed> {
        match self.0 & 7 {
            0 => Ok(FrameType::Beacon),
            1 => Ok(FrameType::Data),
            2 => Ok(FrameType::Acknowledgement),
            3 => Ok(FrameType::Command),
            other => Err(Malformed::unknown("mac.frame_type", other)),
        }
    }

    /// Security is on.
    #[must_use]
    pub const fn security(self) -> bool {
        self.bit(3)
    }

    /// A PAN ID is left out.
    #[must_use]
    pub const fn pan_compression(self) -> bool {
        self.bit(6)
    }

    /// There is no sequence number (from version 2).
    #[must_use]
    pub const fn sequence_suppressed(self) -> bool {
        self.bit(8)
    }

    /// There are information elements (from version 2).
    #[must_use]
    pub const fn has_elements(self) -> bool {
        self.bit(9)
    }

    /// The addressing mode of the destination.
    #[must_use]
    pub const fn destination_mode(self) -> u16 {
        (self.0 >> 10) & 3
    }

    /// 0: 2003, 1: 2006, 2: 2015.
    #[must_use]
    pub const fn version(self) -> u16 {
        (self.0 >> 12) & 3
    }

    /// The addressing mode of the source.
    #[must_use]
    pub const fn source_mode(self) -> u16 {
        (self.0 >> 14) & 3
    }

    const fn bit(self, bit: u16) -> bool {
        (self.0 >> bit) & 1 == 1
    }

    /// Which PAN IDs are there, destination's and source's: 7.2.2.6 with table 7-2.
    fn pans(self) -> (bool, bool) {
        let (destination, source) = (self.destination_mode(), self.source_mode());
        let compressed = self.pan_compression();
        if self.version() < 2 {
            return (destination != 0, source != 0 && !(compressed && destination != 0));
        }
        match (destination, source) {
            (0, 0) => (compressed, false),
            (_, 0) => (!compressed, false),
            (0, _) => (false, !compressed),
            (3, 3) => (!compressed, false),
            _ => (true, !compressed),
        }
    }
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let control = FrameControl(reader.u16("mac.frame_control")?);
        control.frame_type()?;
        if control.version() == 3 {
            return Err(Malformed::unknown("mac.version", control.version()));
        }
        let modern = control.version() == 2;
        let numbered = !(modern && control.sequence_suppressed());
        let sequence = if numbered { Some(reader.u8("mac.sequence")?) } else { None };
        let (destination_pan, source_pan) = control.pans();
        let destination = Endpoint::read(reader, destination_pan, control.destination_mode())?;
        let source = Endpoint::read(reader, source_pan, control.source_mode())?;
        // Version 0 had another security, which Zigbee never used.
        let security = match (control.security(), control.version()) {
            (false, _) => None,
            (true, 0) => return Err(Malformed::unknown("mac.security", 1u8)),
            (true, _) => Some(AuxiliarySecurity::read(reader)?),
        };
        let elements = if modern && control.has_elements() { elements(reader)? } else { Vec::new() };
        Ok(Self { control, sequence, destination, source, security, elements })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.control.0.to_le_bytes());
        out.extend(self.sequence);
        self.destination.write(out);
        self.source.write(out);
        if let Some(security) = &self.security {
            security.write(out);
        }
        out.extend(&self.elements);
    }
}

impl Endpoint {
    fn read(reader: &mut Reader<'_>, has_pan: bool, mode: u16) -> Result<Self, Malformed> {
        let pan = if has_pan { Some(PanId(reader.u16("mac.pan")?)) } else { None };
        let address = match mode {
            0 => None,
            2 => Some(Address::Short(ShortAddress(reader.u16("mac.address")?))),
            3 => Some(Address::Extended(Eui64(reader.u64("mac.address")?))),
            other => return Err(Malformed::unknown("mac.addressing_mode", other)),
        };
        Ok(Self { pan, address })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.pan.iter().flat_map(|pan| pan.0.to_le_bytes()));
        match self.address {
            None => {}
            Some(Address::Short(short)) => out.extend(short.0.to_le_bytes()),
            Some(Address::Extended(eui64)) => out.extend(eui64.0.to_le_bytes()),
        }
    }
}

impl AuxiliarySecurity {
    /// Octets of the integrity code behind the payload: 9.4.2.2, table 9-6.
    #[must_use]
    pub const fn mic_bytes(&self) -> usize {
        match self.control & 3 {
            0 => 0,
            1 => 4,
            2 => 8,
            _ => 16,
        }
    }

    /// Whether the payload cannot be read without the key.
    #[must_use]
    pub const fn encrypted(&self) -> bool {
        self.control & 4 != 0
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let control = reader.u8("mac.security_control")?;
        let counted = control & 0x20 == 0;
        let frame_counter = if counted { Some(reader.u32("mac.frame_counter")?) } else { None };
        let (source_bytes, indexed) = match (control >> 3) & 3 {
            0 => (0, false),
            1 => (0, true),
            2 => (4, true),
            _ => (8, true),
        };
        let key_source = reader.take("mac.key_source", source_bytes)?.to_vec();
        let key_index = if indexed { Some(reader.u8("mac.key_index")?) } else { None };
        Ok(Self { control, frame_counter, key_source, key_index })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.control);
        out.extend(self.frame_counter.iter().flat_map(|counter| counter.to_le_bytes()));
        out.extend(&self.key_source);
        out.extend(self.key_index);
    }
}

/// Header information elements up to and with their termination: 7.4.2. Payload elements stay in the payload.
fn elements(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let mut elements = Vec::new();
    while !reader.is_empty() {
        let descriptor = reader.u16("mac.element")?;
        elements.extend(descriptor.to_le_bytes());
        if descriptor & 0x8000 != 0 {
            return Err(Malformed::new("mac.element", Problem::Unknown(u64::from(descriptor))));
        }
        elements.extend(reader.take("mac.element", usize::from(descriptor & 0x7f))?);
        if matches!((descriptor >> 7) & 0xff, 0x7e | 0x7f) {
            break;
        }
    }
    Ok(elements)
}
