//! The network layer: addresses, routes, and the frame that security protects. Section numbers are those of the Zigbee
//! specification, revision 22 (05-3474-22).

mod command;

pub use command::{LinkStatus, NwkCommand, RouteRequest};

use crate::address::{Eui64, ShortAddress};
use crate::bytes::{Malformed, Problem, Reader, count};

/// Relays of the longest source route that is taken: nwkMaxSourceRoute is 12, some networks set more.
pub const RELAYS_MAX: usize = 32;

/// What a frame of the network layer is: 3.3.1.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NwkFrameType {
    /// Carries a frame of the application support sublayer.
    Data,
    /// A command of this layer.
    Command,
    /// Between networks, without this layer: the header ends after the frame control.
    InterPan,
}

/// The path that a frame takes: 3.3.1.9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRoute {
    /// The relay that is next, counted from the destination.
    pub index: u8,
    /// Relays, the one nearest the destination first.
    pub relays: Vec<ShortAddress>,
}

/// Where a frame goes, from where and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// To whom.
    pub destination: ShortAddress,
    /// From whom, which is not who sent it last.
    pub source: ShortAddress,
    /// Hops that are left.
    pub radius: u8,
    /// The source's number for the frame.
    pub sequence: u8,
    /// The destination's extended address.
    pub destination_eui64: Option<Eui64>,
    /// The source's extended address.
    pub source_eui64: Option<Eui64>,
    /// How a multicast spreads, as bits: 3.3.1.8 of revision 21.
    pub multicast: Option<u8>,
    /// The path.
    pub source_route: Option<SourceRoute>,
}

/// A header of the network layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NwkHeader {
    /// The frame control field, as bits: 3.3.1.1.
    pub control: u16,
    /// Absent between networks.
    pub route: Option<Route>,
}

const MULTICAST: u16 = 1 << 8;
const SECURITY: u16 = 1 << 9;
const SOURCE_ROUTE: u16 = 1 << 10;
const DESTINATION_EUI64: u16 = 1 << 11;
const SOURCE_EUI64: u16 = 1 << 12;

impl NwkHeader {
    /// Reads the header that a frame begins with, and gives what follows it.
    ///
    /// # Errors
    ///
    /// With what is cut short or reserved.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(bytes);
        let control = reader.u16("nwk.frame_control")?;
        let mut header = Self { control, route: None };
        // 2 since Zigbee 2006. 3 is Green Power, which is another frame.
        if header.version() != 2 {
            return Err(Malformed::unknown("nwk.protocol_version", header.version()));
        }
        if header.frame_type()? != NwkFrameType::InterPan {
            header.route = Some(Route::read(&mut reader, control)?);
        }
        Ok((header, reader.rest()))
    }

    /// The octets that are sent.
    ///
    /// # Errors
    ///
    /// With more relays than a frame can count.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.control.to_le_bytes());
        self.route.as_ref().map_or(Ok(()), |route| route.write(out))
    }

    /// What the frame is.
    ///
    /// # Errors
    ///
    /// With the type that is reserved.
    pub fn frame_type(&self) -> Result<NwkFrameType, Malformed> {
        match self.control & 3 {
            0 => Ok(NwkFrameType::Data),
            1 => Ok(NwkFrameType::Command),
            3 => Ok(NwkFrameType::InterPan),
            other => Err(Malformed::unknown("nwk.frame_type", other)),
        }
    }

    /// The protocol's version: 2 since Zigbee 2006.
    #[must_use]
    pub const fn version(&self) -> u16 {
        (self.control >> 2) & 15
    }

    /// Whether an auxiliary header follows.
    #[must_use]
    pub const fn secured(&self) -> bool {
        self.control & SECURITY != 0
    }
}

impl Route {
    fn read(reader: &mut Reader<'_>, control: u16) -> Result<Self, Malformed> {
        let has = |flag| control & flag != 0;
        let destination = ShortAddress(reader.u16("nwk.destination")?);
        let source = ShortAddress(reader.u16("nwk.source")?);
        let (radius, sequence) = (reader.u8("nwk.radius")?, reader.u8("nwk.sequence")?);
        let destination_eui64 =
            if has(DESTINATION_EUI64) { Some(Eui64(reader.u64("nwk.destination_eui64")?)) } else { None };
        let source_eui64 =
            if has(SOURCE_EUI64) { Some(Eui64(reader.u64("nwk.source_eui64")?)) } else { None };
        let multicast = if has(MULTICAST) { Some(reader.u8("nwk.multicast")?) } else { None };
        let source_route = if has(SOURCE_ROUTE) { Some(SourceRoute::read(reader)?) } else { None };
        Ok(Self {
            destination,
            source,
            radius,
            sequence,
            destination_eui64,
            source_eui64,
            multicast,
            source_route,
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend(self.destination.0.to_le_bytes());
        out.extend(self.source.0.to_le_bytes());
        out.extend([self.radius, self.sequence]);
        for eui64 in [self.destination_eui64, self.source_eui64].into_iter().flatten() {
            out.extend(eui64.0.to_le_bytes());
        }
        out.extend(self.multicast);
        self.source_route.as_ref().map_or(Ok(()), |route| route.write(out))
    }
}

impl SourceRoute {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let relays = usize::from(reader.u8("nwk.relay_count")?);
        if relays > RELAYS_MAX {
            return Err(Malformed::new("nwk.relay_count", Problem::TooMuch(relays)));
        }
        let index = reader.u8("nwk.relay_index")?;
        let relay = |_| reader.u16("nwk.relay").map(ShortAddress);
        let relays = (0..relays).map(relay).collect::<Result<_, _>>()?;
        Ok(Self { index, relays })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend([count("nwk.relay_count", self.relays.len())?, self.index]);
        out.extend(self.relays.iter().flat_map(|relay| relay.0.to_le_bytes()));
        Ok(())
    }
}
