//! What was heard, as a person reads it. Keys and the codes of doors are not shown.

mod library;
mod protection;

use std::fmt;

use super::heard::Message;
use crate::aps::{Addressing, ApsCommand, ApsHeader, TransportedKey};
use crate::green_power::{Commissioning, GreenPowerDevice, GreenPowerFrame};
use crate::ieee802154::{Beacon, MacCommand};
use crate::library as tables;
use crate::nwk::NwkCommand;

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "malformed: {malformed}"),
            Self::Acknowledgement(Some(sequence)) => write!(f, "Ack {sequence}"),
            Self::Acknowledgement(None) => f.write_str("Ack"),
            Self::Beacon(beacon) => self::beacon(f, beacon),
            Self::Mac(command) => mac(f, command),
            Self::Hidden => f.write_str("hidden"),
            Self::Nwk(command) => nwk(f, command),
            Self::Aps(command) => aps(f, command),
            Self::ApsAcknowledgement(header) => {
                f.write_str("APS Ack")?;
                addressing(f, header)
            }
            Self::Fragment(header, part) => {
                let block = header.fragment.and_then(|fragment| fragment.block).unwrap_or(0);
                write!(f, "Fragment, block {block}, {} octets", part.len())?;
                addressing(f, header)
            }
            Self::Zdo { cluster, info, record, rest, .. } => {
                match info {
                    Some(info) => f.write_str(info.name)?,
                    None => write!(f, "Device object message {cluster:#06x}")?,
                }
                if !record.0.is_empty() {
                    write!(f, ": {record}")?;
                }
                raw(f, rest)
            }
            Self::Zcl { cluster, header, content, .. } => library::zcl(f, *cluster, header, content),
            Self::GreenPower(frame) => green_power(f, frame),
            Self::Application(header, payload) => {
                f.write_str("Data")?;
                addressing(f, header)?;
                raw(f, payload)
            }
            Self::Other(payload) => {
                f.write_str("not Zigbee")?;
                raw(f, payload)
            }
        }
    }
}

impl fmt::Display for GreenPowerDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => write!(f, "GP {source:#010x}"),
            Self::Extended(eui64, endpoint) => write!(f, "GP {eui64}/{endpoint}"),
        }
    }
}

/// Octets that nobody knows the meaning of: as text where they are one.
fn raw(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let printable = |octet: &u8| (0x20..0x7f).contains(octet) || matches!(octet, b'\r' | b'\n');
    if octets.is_empty() {
        return Ok(());
    }
    if octets.iter().all(printable) {
        return write!(f, " {:?}", String::from_utf8_lossy(octets));
    }
    f.write_str(" ")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// The cluster's name; its number where it has none.
fn cluster_name(cluster: u16) -> String {
    tables::cluster(cluster).map_or_else(|| format!("cluster {cluster:#06x}"), str::to_owned)
}

fn addressing(f: &mut fmt::Formatter<'_>, header: &ApsHeader) -> fmt::Result {
    let Some(Addressing { cluster, profile, .. }) = header.addressing else { return Ok(()) };
    match (tables::profile(profile), tables::zdo(cluster)) {
        (Some((_, tables::Clusters::Device)), Some(info)) => write!(f, " {}", info.name),
        (Some((_, tables::Clusters::Device)), None) => write!(f, " device object message {cluster:#06x}"),
        (Some((_, tables::Clusters::Library)), _) => write!(f, " {}", cluster_name(cluster)),
        (None, _) => write!(f, " profile {profile:#06x} cluster {cluster:#06x}"),
    }
}

fn beacon(f: &mut fmt::Formatter<'_>, beacon: &Beacon) -> fmt::Result {
    let Some(zigbee) = beacon.zigbee() else { return f.write_str("Beacon of another network than Zigbee") };
    let joining = match (beacon.permits_association(), zigbee.router_capacity, zigbee.end_device_capacity) {
        (false, ..) => "nobody may join",
        (true, true, true) => "routers and end devices may join",
        (true, true, false) => "routers may join",
        (true, false, true) => "end devices may join",
        (true, false, false) => "no room to join",
    };
    write!(f, "Beacon of {}, depth {}, {joining}", zigbee.extended_pan, zigbee.depth)
}

fn mac(f: &mut fmt::Formatter<'_>, command: &MacCommand) -> fmt::Result {
    f.write_str(command.name())?;
    match command {
        MacCommand::AssociationRequest(capability) => write!(f, ": {}", capabilities(*capability)),
        MacCommand::AssociationResponse { address, status: 0 } => write!(f, ": address = {address}"),
        MacCommand::AssociationResponse { status, .. } => write!(f, ": refused, status = {status:#04x}"),
        MacCommand::Disassociation(reason) => write!(f, ": reason = {reason:#04x}"),
        MacCommand::CoordinatorRealignment { pan, coordinator, channel, address, .. } => {
            write!(f, ": pan = {pan}, coordinator = {coordinator}, channel = {channel}, address = {address}")
        }
        MacCommand::Other { id, .. } => write!(f, " {id:#04x}"),
        MacCommand::DataRequest
        | MacCommand::PanIdConflict
        | MacCommand::OrphanNotification
        | MacCommand::BeaconRequest
        | MacCommand::GuaranteedSlot(_) => Ok(()),
    }
}

/// What a node can do: 3.4.6.3.1.
fn capabilities(capability: u8) -> String {
    let kind = if capability & 2 != 0 { "router" } else { "end device" };
    let power = if capability & 4 != 0 { "mains" } else { "battery" };
    let idle = if capability & 8 != 0 { "always awake" } else { "sleeps" };
    format!("{kind}, {power}, {idle}")
}

fn nwk(f: &mut fmt::Formatter<'_>, command: &NwkCommand) -> fmt::Result {
    f.write_str(command.name())?;
    match command {
        NwkCommand::RouteRequest(request) if request.many_to_one() => {
            write!(f, ": everybody's way to the source, cost = {}", request.cost)
        }
        NwkCommand::RouteRequest(request) => {
            write!(f, ": to = {}, cost = {}", request.destination, request.cost)
        }
        NwkCommand::RouteReply { originator, responder, cost, .. } => {
            write!(f, ": from = {originator}, to = {responder}, cost = {cost}")
        }
        NwkCommand::NetworkStatus { code, destination } => {
            write!(f, ": status = {code:#04x}, at = {destination}")
        }
        NwkCommand::Leave(options) => {
            let asked = if options & 0x40 != 0 { "is told to leave" } else { "leaves" };
            let back = if options & 0x20 != 0 { " and comes back" } else { "" };
            write!(f, ": {asked}{back}")
        }
        NwkCommand::RouteRecord(relays) => {
            f.write_str(": relays = [")?;
            for (i, relay) in relays.iter().enumerate() {
                write!(f, "{}{relay}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("]")
        }
        NwkCommand::RejoinRequest(capability) => write!(f, ": {}", capabilities(*capability)),
        NwkCommand::RejoinResponse { address, status: 0 } => write!(f, ": address = {address}"),
        NwkCommand::RejoinResponse { status, .. } => write!(f, ": refused, status = {status:#04x}"),
        NwkCommand::LinkStatus { links, .. } => {
            f.write_str(":")?;
            links.iter().try_for_each(|link| {
                write!(f, " {} in {} out {}", link.neighbour, link.incoming, link.outgoing)
            })
        }
        NwkCommand::NetworkReport { extended_pan, .. } => write!(f, ": network = {extended_pan}"),
        NwkCommand::NetworkUpdate { extended_pan, update_id, .. } => {
            write!(f, ": network = {extended_pan}, update = {update_id}")
        }
        NwkCommand::EndDeviceTimeoutRequest { timeout: 0, .. } => f.write_str(": timeout = 10 s"),
        NwkCommand::EndDeviceTimeoutRequest { timeout, .. } => write!(f, ": timeout = 2^{timeout} min"),
        NwkCommand::EndDeviceTimeoutResponse { status, .. } => write!(f, ": status = {status:#04x}"),
        NwkCommand::LinkPowerDelta(_) => Ok(()),
        NwkCommand::Other { id, content } => {
            write!(f, " {id:#04x}")?;
            raw(f, content)
        }
    }
}

fn aps(f: &mut fmt::Formatter<'_>, command: &ApsCommand) -> fmt::Result {
    f.write_str(command.name())?;
    match command {
        ApsCommand::TransportKey(TransportedKey::Network { sequence, destination, .. }) => {
            write!(f, ": network key {sequence} for {destination}")
        }
        ApsCommand::TransportKey(TransportedKey::TrustCentreLink { destination, .. }) => {
            write!(f, ": link key with the trust center for {destination}")
        }
        ApsCommand::TransportKey(TransportedKey::ApplicationLink { partner, .. }) => {
            write!(f, ": link key with {partner}")
        }
        ApsCommand::UpdateDevice { device, address, status } => {
            write!(f, ": {device} at {address}, status = {status:#04x}")
        }
        ApsCommand::RemoveDevice(device) => write!(f, ": {device}"),
        ApsCommand::RequestKey { partner: Some(partner), .. } => write!(f, ": link key with {partner}"),
        ApsCommand::RequestKey { partner: None, .. } => f.write_str(": link key with the trust center"),
        ApsCommand::SwitchKey(sequence) => write!(f, ": to network key {sequence}"),
        ApsCommand::Tunnel { destination, .. } => write!(f, ": for {destination}"),
        ApsCommand::VerifyKey { source, .. } => write!(f, ": of {source}"),
        ApsCommand::ConfirmKey { status, destination, .. } => {
            write!(f, ": of {destination}, status = {status:#04x}")
        }
        ApsCommand::Other { id, content } => {
            write!(f, " {id:#04x}")?;
            raw(f, content)
        }
    }
}

fn green_power(f: &mut fmt::Formatter<'_>, frame: &GreenPowerFrame) -> fmt::Result {
    let Some((command, content)) = frame.payload.split_first() else { return f.write_str("Green Power") };
    match tables::green_power_command(*command) {
        Some(name) => write!(f, "Green Power {name}")?,
        None => write!(f, "Green Power command {command:#04x}")?,
    }
    // A key may be in it.
    if *command == Commissioning::REPLY {
        return Ok(());
    }
    match frame.commissioning() {
        Ok(Some(commissioning)) => write!(f, ": device type = {:#04x}", commissioning.device),
        Ok(None) => raw(f, content),
        Err(malformed) => write!(f, ": malformed: {malformed}"),
    }
}
