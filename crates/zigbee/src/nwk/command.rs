//! Commands of the network layer: 3.4.

use super::RELAYS_MAX;
use crate::address::{Eui64, ShortAddress};
use crate::bytes::{Malformed, Problem, Reader};

/// A command of the network layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NwkCommand {
    /// A way to a node is looked for: 3.4.1.
    RouteRequest(RouteRequest),
    /// It was found: 3.4.2.
    RouteReply {
        /// Flags.
        options: u8,
        /// The request's number.
        id: u8,
        /// Who asked.
        originator: ShortAddress,
        /// Whom they asked for.
        responder: ShortAddress,
        /// Cost of the way so far.
        cost: u8,
        /// Who asked.
        originator_eui64: Option<Eui64>,
        /// Whom they asked for.
        responder_eui64: Option<Eui64>,
    },
    /// Something went wrong at an address: 3.4.3.
    NetworkStatus {
        /// What: table 3-51.
        code: u8,
        /// Where.
        destination: ShortAddress,
    },
    /// A node leaves or is told to; flags: 3.4.4.
    Leave(u8),
    /// The relays that a frame to the concentrator took: 3.4.5.
    RouteRecord(Vec<ShortAddress>),
    /// A node that knows the network comes back, with its capabilities: 3.4.6.
    RejoinRequest(u8),
    /// Whether it may: 3.4.7.
    RejoinResponse {
        /// Its address.
        address: ShortAddress,
        /// 0 is success.
        status: u8,
    },
    /// How well a router hears its neighbours: 3.4.8.
    LinkStatus {
        /// Whether it is the first of these frames.
        first: bool,
        /// Whether it is the last.
        last: bool,
        /// Neighbours with costs.
        links: Vec<LinkStatus>,
    },
    /// A report to the network's manager: 3.4.9.
    NetworkReport {
        /// Kind and count.
        control: u8,
        /// The network.
        extended_pan: Eui64,
        /// What is reported, unread.
        report: Vec<u8>,
    },
    /// The network changes its settings: 3.4.10.
    NetworkUpdate {
        /// Kind and count.
        control: u8,
        /// The network.
        extended_pan: Eui64,
        /// Which settings these are.
        update_id: u8,
        /// What is new, unread.
        update: Vec<u8>,
    },
    /// An end device says how long it may be silent: 3.4.11.
    EndDeviceTimeoutRequest {
        /// As an exponent: table 3-54.
        timeout: u8,
        /// Reserved.
        configuration: u8,
    },
    /// What its parent says to that: 3.4.12.
    EndDeviceTimeoutResponse {
        /// 0 is success.
        status: u8,
        /// How it may show that it is there.
        parent: u8,
    },
    /// Sending power is negotiated: 3.4.13.
    LinkPowerDelta(Vec<u8>),
    /// Any other.
    Other {
        /// Its number.
        id: u8,
        /// What follows, unread.
        content: Vec<u8>,
    },
}

/// A search for a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRequest {
    /// Flags; bits 3 and 4 say that everybody's way to the source is looked for.
    pub options: u8,
    /// The source's number for it.
    pub id: u8,
    /// Whom it looks for.
    pub destination: ShortAddress,
    /// Cost of the way so far.
    pub cost: u8,
    /// Whom it looks for.
    pub destination_eui64: Option<Eui64>,
}

/// A neighbour in a link status command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkStatus {
    /// Who.
    pub neighbour: ShortAddress,
    /// Cost from the neighbour: 0 to 7.
    pub incoming: u8,
    /// Cost to the neighbour: 0 to 7.
    pub outgoing: u8,
}

impl NwkCommand {
    /// Reads a command.
    ///
    /// # Errors
    ///
    /// With what is cut short or longer than it may be.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let id = reader.u8("nwk.command")?;
        let r = &mut reader;
        let command = match id {
            0x01 => Self::RouteRequest(RouteRequest::read(r)?),
            0x02 => Self::route_reply(r)?,
            0x03 => Self::NetworkStatus { code: r.u8("nwk.status")?, destination: short(r)? },
            0x04 => Self::Leave(r.u8("nwk.leave_options")?),
            0x05 => Self::RouteRecord(relays(r)?),
            0x06 => Self::RejoinRequest(r.u8("nwk.capability")?),
            0x07 => Self::RejoinResponse { address: short(r)?, status: r.u8("nwk.rejoin_status")? },
            0x08 => Self::link_status(r)?,
            0x09 => Self::NetworkReport {
                control: r.u8("nwk.report")?,
                extended_pan: Eui64(r.u64("nwk.extended_pan")?),
                report: r.rest().to_vec(),
            },
            0x0a => Self::NetworkUpdate {
                control: r.u8("nwk.update")?,
                extended_pan: Eui64(r.u64("nwk.extended_pan")?),
                update_id: r.u8("nwk.update_id")?,
                update: r.rest().to_vec(),
            },
            0x0b => Self::EndDeviceTimeoutRequest {
                timeout: r.u8("nwk.timeout")?,
                configuration: r.u8("nwk.end_device_configuration")?,
            },
            0x0c => Self::EndDeviceTimeoutResponse {
                status: r.u8("nwk.timeout_status")?,
                parent: r.u8("nwk.parent_information")?,
            },
            0x0d => Self::LinkPowerDelta(r.rest().to_vec()),
            _ => Self::Other { id, content: r.rest().to_vec() },
        };
        // Later revisions append to these commands.
        Ok(command)
    }

    fn route_reply(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let options = r.u8("nwk.route_options")?;
        let id = r.u8("nwk.route_id")?;
        let (originator, responder) = (short(r)?, short(r)?);
        let cost = r.u8("nwk.route_cost")?;
        let originator_eui64 = eui64_if(r, options & 0x10 != 0)?;
        let responder_eui64 = eui64_if(r, options & 0x20 != 0)?;
        Ok(Self::RouteReply { options, id, originator, responder, cost, originator_eui64, responder_eui64 })
    }

    fn link_status(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let options = r.u8("nwk.link_status")?;
        let link = |_| {
            let neighbour = short(r)?;
            let costs = r.u8("nwk.link_cost")?;
            Ok(LinkStatus { neighbour, incoming: costs & 7, outgoing: (costs >> 4) & 7 })
        };
        let links = (0..options & 0x1f).map(link).collect::<Result<_, _>>()?;
        Ok(Self::LinkStatus { first: options & 0x20 != 0, last: options & 0x40 != 0, links })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RouteRequest(_) => "Route Request",
            Self::RouteReply { .. } => "Route Reply",
            Self::NetworkStatus { .. } => "Network Status",
            Self::Leave(_) => "Leave",
            Self::RouteRecord(_) => "Route Record",
            Self::RejoinRequest(_) => "Rejoin Request",
            Self::RejoinResponse { .. } => "Rejoin Response",
            Self::LinkStatus { .. } => "Link Status",
            Self::NetworkReport { .. } => "Network Report",
            Self::NetworkUpdate { .. } => "Network Update",
            Self::EndDeviceTimeoutRequest { .. } => "End Device Timeout Request",
            Self::EndDeviceTimeoutResponse { .. } => "End Device Timeout Response",
            Self::LinkPowerDelta(_) => "Link Power Delta",
            Self::Other { .. } => "Network Command",
        }
    }
}

impl RouteRequest {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let options = r.u8("nwk.route_options")?;
        Ok(Self {
            options,
            id: r.u8("nwk.route_id")?,
            destination: short(r)?,
            cost: r.u8("nwk.route_cost")?,
            destination_eui64: eui64_if(r, options & 0x20 != 0)?,
        })
    }

    /// Whether everybody's way to the source is looked for.
    #[must_use]
    pub const fn many_to_one(&self) -> bool {
        self.options & 0x18 != 0
    }
}

fn short(r: &mut Reader<'_>) -> Result<ShortAddress, Malformed> {
    Ok(ShortAddress(r.u16("nwk.command_address")?))
}

fn eui64_if(r: &mut Reader<'_>, there: bool) -> Result<Option<Eui64>, Malformed> {
    if there { Ok(Some(Eui64(r.u64("nwk.command_eui64")?))) } else { Ok(None) }
}

fn relays(r: &mut Reader<'_>) -> Result<Vec<ShortAddress>, Malformed> {
    let relays = r.u8("nwk.relay_count")?;
    if usize::from(relays) > RELAYS_MAX {
        return Err(Malformed::new("nwk.relay_count", Problem::TooMuch(relays.into())));
    }
    (0..relays).map(|_| short(r)).collect()
}
