//! The application support sublayer: endpoints, groups, and keys on their way. Section numbers are those of the Zigbee
//! specification, revision 22.

mod command;

pub use command::{ApsCommand, TransportedKey};

use crate::bytes::{Malformed, Reader};

/// What a frame of this layer is: 2.2.5.1.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApsFrameType {
    /// For an application.
    Data,
    /// A command of this layer.
    Command,
    /// The answer to a frame that asked for it.
    Acknowledgement,
    /// For an application, between networks.
    InterPan,
}

/// Which application a frame is for, at which endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApsDestination {
    /// One endpoint; 0xff for all of a node.
    Endpoint(u8),
    /// All endpoints that are in a group.
    Group(u16),
}

/// The addresses of an application: 2.2.5.1.2 to 2.2.5.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addressing {
    /// Absent between networks without a group.
    pub destination: Option<ApsDestination>,
    /// Which functions.
    pub cluster: u16,
    /// Whose functions.
    pub profile: u16,
    /// Absent between networks.
    pub source: Option<u8>,
}

/// Which part of a longer message a frame is: 2.2.5.1.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// 0: whole, 1: first, 2: further.
    pub control: u8,
    /// Count of blocks in the first, number of this one in others; absent in whole messages.
    pub block: Option<u8>,
    /// Which blocks came, in acknowledgements.
    pub acknowledged: Option<u8>,
}

/// A header of this layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApsHeader {
    /// The frame control field, as bits: 2.2.5.1.1.
    pub control: u8,
    /// Absent in commands and in acknowledgements of commands.
    pub addressing: Option<Addressing>,
    /// The source's number for the frame; absent between networks.
    pub counter: Option<u8>,
    /// Present with the extended header.
    pub fragment: Option<Fragment>,
}

const SECURITY: u8 = 1 << 5;
const EXTENDED: u8 = 1 << 7;

impl ApsHeader {
    /// Reads the header that a frame begins with, and gives what follows it.
    ///
    /// # Errors
    ///
    /// With what is cut short or reserved.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let control = reader.u8("aps.frame_control")?;
        let mut header = Self { control, addressing: None, counter: None, fragment: None };
        let kind = header.frame_type();
        if header.addressed() {
            header.addressing = Some(Addressing::read(&mut reader, control, kind)?);
        }
        if kind != ApsFrameType::InterPan {
            header.counter = Some(reader.u8("aps.counter")?);
            if control & EXTENDED != 0 {
                header.fragment = Some(Fragment::read(&mut reader, kind)?);
            }
        }
        Ok((header, reader.rest()))
    }

    /// The octets that are sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.control);
        if let Some(addressing) = &self.addressing {
            addressing.write(out);
        }
        out.extend(self.counter);
        if let Some(fragment) = self.fragment {
            out.push(fragment.control);
            out.extend(fragment.block);
            out.extend(fragment.acknowledged);
        }
    }

    /// What the frame is.
    #[must_use]
    pub const fn frame_type(&self) -> ApsFrameType {
        match self.control & 3 {
            0 => ApsFrameType::Data,
            1 => ApsFrameType::Command,
            2 => ApsFrameType::Acknowledgement,
            _ => ApsFrameType::InterPan,
        }
    }

    /// Whether an auxiliary header follows.
    #[must_use]
    pub const fn secured(&self) -> bool {
        self.control & SECURITY != 0
    }

    /// Whether it is a part of a longer message, which cannot be read alone.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.control & 3 != 0)
    }

    const fn addressed(&self) -> bool {
        match self.frame_type() {
            ApsFrameType::Command => false,
            // The acknowledgement format: 2.2.5.1.1.3.
            ApsFrameType::Acknowledgement => self.control & 0x10 == 0,
            ApsFrameType::Data | ApsFrameType::InterPan => true,
        }
    }
}

impl Addressing {
    fn read(reader: &mut Reader<'_>, control: u8, kind: ApsFrameType) -> Result<Self, Malformed> {
        let between = kind == ApsFrameType::InterPan;
        let destination = match ((control >> 2) & 3, between) {
            (3, _) => Some(ApsDestination::Group(reader.u16("aps.group")?)),
            (1, _) => return Err(Malformed::unknown("aps.delivery_mode", 1u8)),
            (_, true) => None,
            (_, false) => Some(ApsDestination::Endpoint(reader.u8("aps.destination_endpoint")?)),
        };
        let (cluster, profile) = (reader.u16("aps.cluster")?, reader.u16("aps.profile")?);
        let source = if between { None } else { Some(reader.u8("aps.source_endpoint")?) };
        Ok(Self { destination, cluster, profile, source })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.destination {
            None => {}
            Some(ApsDestination::Endpoint(endpoint)) => out.push(endpoint),
            Some(ApsDestination::Group(group)) => out.extend(group.to_le_bytes()),
        }
        out.extend(self.cluster.to_le_bytes());
        out.extend(self.profile.to_le_bytes());
        out.extend(self.source);
    }
}

impl Fragment {
    fn read(reader: &mut Reader<'_>, kind: ApsFrameType) -> Result<Self, Malformed> {
        let control = reader.u8("aps.extended_control")?;
        let block = if control & 3 == 0 { None } else { Some(reader.u8("aps.block")?) };
        let acknowledges = block.is_some() && kind == ApsFrameType::Acknowledgement;
        let acknowledged = if acknowledges { Some(reader.u8("aps.acknowledged")?) } else { None };
        Ok(Self { control, block, acknowledged })
    }
}
