//! What MAC commands (7.5) and beacons (7.3.1) say.

use crate::address::{Eui64, PanId, ShortAddress};
use crate::bytes::{Malformed, Reader};

/// A command of the MAC layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacCommand {
    /// A node asks to join, with its capabilities.
    AssociationRequest(u8),
    /// The address it has, and whether it may: 0 is success.
    AssociationResponse {
        /// 0xffff where it may not.
        address: ShortAddress,
        /// 0: joined, 1: no room, 2: denied.
        status: u8,
    },
    /// A node leaves or is told to, with a reason.
    Disassociation(u8),
    /// A sleepy node asks its parent for what waits.
    DataRequest,
    /// A network's name is used twice.
    PanIdConflict,
    /// A node has lost its coordinator.
    OrphanNotification,
    /// Networks are asked to show themselves.
    BeaconRequest,
    /// Where the network is.
    CoordinatorRealignment {
        /// Its name.
        pan: PanId,
        /// Its coordinator.
        coordinator: ShortAddress,
        /// Its channel.
        channel: u8,
        /// The address of the node that asked.
        address: ShortAddress,
        /// Channel page, where it is given.
        page: Option<u8>,
    },
    /// A node asks for a guaranteed slot.
    GuaranteedSlot(u8),
    /// Any other, or one whose content is encrypted.
    Other {
        /// Its number.
        id: u8,
        /// What follows, unread.
        content: Vec<u8>,
    },
}

/// What a beacon says of its network: 7.3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// Superframe specification, as bits.
    pub superframe: u16,
    /// Guaranteed slots specification, as bits.
    pub slots: u8,
    /// Slot list, with its directions, unread.
    pub slot_list: Vec<u8>,
    /// Short addresses for which something waits.
    pub pending_short: Vec<ShortAddress>,
    /// Extended addresses for which something waits.
    pub pending_extended: Vec<Eui64>,
    /// What the network adds.
    pub payload: Vec<u8>,
}

/// What a Zigbee network adds to its beacons: Zigbee 3.6.7, table 3-78.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZigbeeBeacon {
    /// 2 for Zigbee Pro.
    pub stack_profile: u8,
    /// 2 for all that is in use.
    pub version: u8,
    /// Whether routers may join here.
    pub router_capacity: bool,
    /// Hops from the coordinator.
    pub depth: u8,
    /// Whether end devices may join here.
    pub end_device_capacity: bool,
    /// The network's long name.
    pub extended_pan: Eui64,
    /// Time between this beacon and the parent's, in symbols; 0xffffff without superframes.
    pub tx_offset: u32,
    /// Which settings of the network these are.
    pub update_id: u8,
}

impl MacCommand {
    /// Reads a command. An encrypted one shows only its number.
    pub(super) fn read(bytes: &[u8], encrypted: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let id = reader.u8("mac.command")?;
        if encrypted {
            return Ok(Self::Other { id, content: reader.rest().to_vec() });
        }
        let command = match id {
            1 => Self::AssociationRequest(reader.u8("mac.capability")?),
            2 => Self::AssociationResponse {
                address: ShortAddress(reader.u16("mac.association_address")?),
                status: reader.u8("mac.association_status")?,
            },
            3 => Self::Disassociation(reader.u8("mac.disassociation_reason")?),
            4 => Self::DataRequest,
            5 => Self::PanIdConflict,
            6 => Self::OrphanNotification,
            7 => Self::BeaconRequest,
            8 => Self::realignment(&mut reader)?,
            9 => Self::GuaranteedSlot(reader.u8("mac.slot")?),
            _ => Self::Other { id, content: reader.rest().to_vec() },
        };
        reader.finish("mac.command")?;
        Ok(command)
    }

    fn realignment(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::CoordinatorRealignment {
            pan: PanId(reader.u16("mac.realignment_pan")?),
            coordinator: ShortAddress(reader.u16("mac.realignment_coordinator")?),
            channel: reader.u8("mac.realignment_channel")?,
            address: ShortAddress(reader.u16("mac.realignment_address")?),
            page: if reader.is_empty() { None } else { Some(reader.u8("mac.realignment_page")?) },
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AssociationRequest(_) => "Association Request",
            Self::AssociationResponse { .. } => "Association Response",
            Self::Disassociation(_) => "Disassociation Notification",
            Self::DataRequest => "Data Request",
            Self::PanIdConflict => "PAN ID Conflict Notification",
            Self::OrphanNotification => "Orphan Notification",
            Self::BeaconRequest => "Beacon Request",
            Self::CoordinatorRealignment { .. } => "Coordinator Realignment",
            Self::GuaranteedSlot(_) => "GTS Request",
            Self::Other { .. } => "MAC Command",
        }
    }
}

impl Beacon {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let superframe = reader.u16("mac.superframe")?;
        let slots = reader.u8("mac.slots")?;
        let slot_bytes = match usize::from(slots & 7) {
            0 => 0,
            count => 1 + 3 * count,
        };
        let slot_list = reader.take("mac.slots", slot_bytes)?.to_vec();
        let pending = reader.u8("mac.pending")?;
        let short = |_| reader.u16("mac.pending_address").map(ShortAddress);
        let pending_short = (0..pending & 7).map(short).collect::<Result<_, _>>()?;
        let extended = |_| reader.u64("mac.pending_address").map(Eui64);
        let pending_extended = (0..(pending >> 4) & 7).map(extended).collect::<Result<_, _>>()?;
        let payload = reader.rest().to_vec();
        Ok(Self { superframe, slots, slot_list, pending_short, pending_extended, payload })
    }

    /// Whether nodes may join.
    #[must_use]
    pub const fn permits_association(&self) -> bool {
        self.superframe & 0x8000 != 0
    }

    /// What a Zigbee network adds; `None` where it is another network's.
    #[must_use]
    pub fn zigbee(&self) -> Option<ZigbeeBeacon> {
        ZigbeeBeacon::read(&self.payload).ok()
    }
}

impl ZigbeeBeacon {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let protocol = reader.u8("beacon.protocol")?;
        if protocol != 0 {
            return Err(Malformed::unknown("beacon.protocol", protocol));
        }
        let info = reader.u16("beacon.info")?;
        let [.., depth] = ((info >> 11) & 15).to_be_bytes();
        let [.., profile] = (info & 15).to_be_bytes();
        let [.., version] = ((info >> 4) & 15).to_be_bytes();
        let extended_pan = Eui64(reader.u64("beacon.extended_pan")?);
        let [a, b, c] = reader.array("beacon.tx_offset")?;
        Ok(Self {
            stack_profile: profile,
            version,
            router_capacity: info & 0x0400 != 0,
            depth,
            end_device_capacity: info & 0x8000 != 0,
            extended_pan,
            tx_offset: u32::from_le_bytes([a, b, c, 0]),
            update_id: reader.u8("beacon.update_id")?,
        })
    }
}
