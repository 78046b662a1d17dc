//! A frame as the fields that Wireshark names.

mod application;
mod green_power;
mod network;

use std::collections::BTreeMap;

use serde_json::Value;
use thingward_zigbee::aps::{ApsCommand, ApsDestination, ApsFrameType, ApsHeader, TransportedKey};
use thingward_zigbee::green_power::{Commissioning, GreenPowerFrame};
use thingward_zigbee::ieee802154::{
    Address, AuxiliarySecurity, Beacon, Endpoint, Fcs, Frame, FrameControl, FrameType, MacCommand, fcs,
};
use thingward_zigbee::nwk::{NwkCommand, NwkFrameType, NwkHeader, Route};
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, open};

use crate::vectors::unhex;

/// Values by name, numbers in decimal.
pub(super) struct Fields(pub(super) BTreeMap<String, Vec<String>>);

fn colons(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

impl Fields {
    pub(super) fn of(case: &Value) -> Self {
        let mut fields = Self(BTreeMap::new());
        let bytes = unhex(case["hex"].as_str().unwrap());
        if let Some((frame, check)) = Fcs::split(&bytes) {
            fields.control(FrameControl(u16::from_le_bytes([bytes[0], bytes[1]])));
            let found = u16::from_le_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]);
            assert_eq!(found == fcs(frame), check == Fcs::Good);
            fields.put("wpan.fcs", found);
            fields.put("wpan.fcs_ok", u8::from(check == Fcs::Good));
            if let Ok(mac) = Frame::read(frame) {
                fields.mac(case, &mac);
            }
        }
        fields
    }

    fn put(&mut self, name: &str, value: impl ToString) {
        self.0.entry(name.to_owned()).or_default().push(value.to_string());
    }

    fn bits(&mut self, name: &str, value: u64, bits: &[(&str, u32, u64)]) {
        for (bit, shift, mask) in bits {
            self.put(&format!("{name}{bit}"), (value >> shift) & mask);
        }
    }

    fn control(&mut self, control: FrameControl) {
        self.put("wpan.fcf", control.0);
        self.bits(
            "wpan.",
            control.0.into(),
            &[
                ("frame_type", 0, 7),
                ("security", 3, 1),
                ("pending", 4, 1),
                ("ack_request", 5, 1),
                ("pan_id_compression", 6, 1),
                ("fcf.reserved", 7, 1),
                ("seqno_suppression", 8, 1),
                ("ie_present", 9, 1),
            ],
        );
        self.put("wpan.dst_addr_mode", control.destination_mode());
        self.put("wpan.version", control.version());
        self.put("wpan.src_addr_mode", control.source_mode());
    }

    fn mac(&mut self, case: &Value, mac: &Frame) {
        if let Some(sequence) = mac.header.sequence {
            self.put("wpan.seq_no", sequence);
        }
        self.endpoint("dst", mac.header.destination);
        self.endpoint("src", mac.header.source);
        if let Some(security) = &mac.header.security {
            self.mac_security(security);
            self.put("wpan.mic", colons(&mac.mic));
        }
        match mac.header.control.frame_type().unwrap() {
            FrameType::Beacon => self.beacon(&mac.beacon().unwrap().unwrap()),
            FrameType::Command => {
                self.put("wpan.cmd", mac.payload[0]);
                if let Ok(command) = mac.command() {
                    self.mac_command(&command.unwrap());
                }
            }
            FrameType::Data if mac.header.security.is_none() => self.network(case, &mac.payload),
            FrameType::Data | FrameType::Acknowledgement => {}
        }
    }

    fn endpoint(&mut self, end: &str, endpoint: Endpoint) {
        if let Some(pan) = endpoint.pan {
            self.put(&format!("wpan.{end}_pan"), pan.0);
        }
        match endpoint.address {
            None => {}
            Some(Address::Short(short)) => self.put(&format!("wpan.{end}16"), short.0),
            Some(Address::Extended(eui64)) => self.put(&format!("wpan.{end}64"), eui64),
        }
    }

    fn mac_security(&mut self, security: &AuxiliarySecurity) {
        self.put("wpan.aux_sec.security_control_field", security.control);
        self.bits(
            "wpan.aux_sec.",
            security.control.into(),
            &[
                ("sec_level", 0, 7),
                ("key_id_mode", 3, 3),
                ("frame_counter_suppression", 5, 1),
                ("asn_in_nonce", 6, 1),
                ("reserved", 7, 1),
            ],
        );
        self.put("wpan.aux_sec.frame_counter", security.frame_counter.unwrap());
        self.put("wpan.aux_sec.key_index", security.key_index.unwrap());
    }

    fn mac_command(&mut self, command: &MacCommand) {
        match command {
            MacCommand::AssociationRequest(capability) => self.bits(
                "wpan.cinfo.",
                (*capability).into(),
                &[
                    ("alt_coord", 0, 1),
                    ("device_type", 1, 1),
                    ("power_src", 2, 1),
                    ("idle_rx", 3, 1),
                    ("sec_capable", 6, 1),
                    ("alloc_addr", 7, 1),
                ],
            ),
            MacCommand::AssociationResponse { address, status } => {
                self.put("wpan.asoc.addr", address.0);
                self.put("wpan.assoc.status", status);
            }
            MacCommand::CoordinatorRealignment { pan, coordinator, channel, address, page: None } => {
                self.put("wpan.realign.pan", pan.0);
                self.put("wpan.realign.addr", coordinator.0);
                self.put("wpan.realign.channel", channel);
                self.put("wpan.realign.addr", address.0);
            }
            _ => {}
        }
    }

    fn beacon(&mut self, beacon: &Beacon) {
        self.bits(
            "wpan.",
            beacon.superframe.into(),
            &[
                ("beacon_order", 0, 15),
                ("superframe_order", 4, 15),
                ("cap", 8, 15),
                ("battery_ext", 12, 1),
                ("bcn_coord", 14, 1),
            ],
        );
        self.put("wpan.assoc_permit", u8::from(beacon.permits_association()));
        self.bits("wpan.gts.", beacon.slots.into(), &[("count", 0, 7), ("permit", 7, 1)]);
        let Some(zigbee) = beacon.zigbee() else { return };
        self.put("zbee_beacon.protocol", 0);
        self.put("zbee_beacon.profile", zigbee.stack_profile);
        self.put("zbee_beacon.version", zigbee.version);
        self.put("zbee_beacon.router", u8::from(zigbee.router_capacity));
        self.put("zbee_beacon.depth", zigbee.depth);
        self.put("zbee_beacon.end_dev", u8::from(zigbee.end_device_capacity));
        self.put("zbee_beacon.ext_panid", zigbee.extended_pan);
        self.put("zbee_beacon.tx_offset", zigbee.tx_offset);
        self.put("zbee_beacon.update_id", zigbee.update_id);
    }

    fn network(&mut self, case: &Value, bytes: &[u8]) {
        if GreenPowerFrame::recognises(bytes) {
            if let Ok(frame) = GreenPowerFrame::read(bytes) {
                self.green_power(&frame);
            }
            return;
        }
        let Ok((header, rest)) = NwkHeader::read(bytes) else { return };
        self.put("zbee_nwk.fcf", header.control);
        self.bits(
            "zbee_nwk.",
            header.control.into(),
            &[
                ("frame_type", 0, 3),
                ("proto_version", 2, 15),
                ("discovery", 6, 3),
                ("multicast", 8, 1),
                ("security", 9, 1),
                ("src_route", 10, 1),
                ("ext_dst", 11, 1),
                ("ext_src", 12, 1),
                ("end_device_initiator", 13, 1),
            ],
        );
        self.route(header.route.as_ref().unwrap());
        let payload = if header.secured() { self.opened(case, bytes, rest) } else { Some(rest.to_vec()) };
        match (header.frame_type().unwrap(), payload) {
            (NwkFrameType::Data, Some(payload)) => self.application(&header, &payload),
            (NwkFrameType::Command, Some(payload)) => self.command(&payload),
            (_, None) | (NwkFrameType::InterPan, _) => {}
        }
    }

    fn route(&mut self, route: &Route) {
        self.put("zbee_nwk.dst", route.destination.0);
        self.put("zbee_nwk.src", route.source.0);
        self.put("zbee_nwk.radius", route.radius);
        self.put("zbee_nwk.seqno", route.sequence);
        for (name, eui64) in [("dst64", route.destination_eui64), ("src64", route.source_eui64)] {
            if let Some(eui64) = eui64 {
                self.put(&format!("zbee_nwk.{name}"), eui64);
            }
        }
        if let Some(path) = &route.source_route {
            self.put("zbee_nwk.relay.count", path.relays.len());
            self.put("zbee_nwk.relay.index", path.index);
            for relay in &path.relays {
                self.put("zbee_nwk.relay", relay.0);
            }
        }
    }

    fn security(&mut self, security: &SecurityHeader) {
        self.put("zbee.sec.field", security.control());
        self.put("zbee.sec.key_id", (security.control() >> 3) & 3);
        self.put("zbee.sec.ext_nonce", u8::from(security.source.is_some()));
        self.put("zbee.sec.counter", security.frame_counter);
        if let Some(source) = security.source {
            self.put("zbee.sec.src64", source);
        }
        if let KeyIdentifier::Network(sequence) = security.key {
            self.put("zbee.sec.key_seqno", sequence);
        }
    }

    fn opened(&mut self, case: &Value, bytes: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let (security, protected) = SecurityHeader::read(rest).unwrap();
        self.security(&security);
        self.put("zbee.sec.mic", colons(&protected[protected.len() - 4..]));
        let key = Key::from_hex(case["nwk_key"].as_str()?).unwrap();
        let header = &bytes[..bytes.len() - rest.len()];
        let level = SecurityLevel::EncryptedMic32;
        Some(open(&key, level, header, &security, security.source?, protected).unwrap())
    }
}
