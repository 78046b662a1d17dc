//! The application support sublayer.

use super::*;

impl Fields {
    pub(super) fn application(&mut self, network: &NwkHeader, payload: &[u8]) {
        let (header, rest) = ApsHeader::read(payload).unwrap();
        let kind = header.frame_type();
        let bits =
            [("type", 0, 3), ("delivery", 2, 3), ("security", 5, 1), ("ack_req", 6, 1), ("ext_header", 7, 1)];
        self.bits("zbee_aps.", header.control.into(), &bits);
        if kind == ApsFrameType::Acknowledgement {
            self.put("zbee_aps.ack_format", (header.control >> 4) & 1);
        }
        if let Some(addressing) = &header.addressing {
            if let Some(ApsDestination::Endpoint(endpoint)) = addressing.destination {
                self.put("zbee_aps.dst", endpoint);
            }
            let cluster = if addressing.profile == 0 { "zbee_aps.zdp_cluster" } else { "zbee_aps.cluster" };
            self.put(cluster, addressing.cluster);
            self.put("zbee_aps.profile", addressing.profile);
            self.put("zbee_aps.src", addressing.source.unwrap());
        }
        self.put("zbee_aps.counter", header.counter.unwrap());
        if kind == ApsFrameType::Command {
            let rest =
                if header.secured() { self.transported(network, payload, rest) } else { rest.to_vec() };
            self.aps_command(&rest);
        }
    }

    fn transported(&mut self, network: &NwkHeader, payload: &[u8], rest: &[u8]) -> Vec<u8> {
        let (security, protected) = SecurityHeader::read(rest).unwrap();
        self.security(&security);
        self.put("zbee.sec.mic", colons(&protected[protected.len() - 4..]));
        let link = Key::new(Key::WELL_KNOWN_LINK);
        let key = match security.key {
            KeyIdentifier::KeyTransport => link.key_transport(),
            KeyIdentifier::KeyLoad => link.key_load(),
            KeyIdentifier::Data | KeyIdentifier::Network(_) => link,
        };
        let known = network.route.as_ref().and_then(|route| route.source_eui64);
        let source = security.source.or(known).unwrap();
        let header = &payload[..payload.len() - rest.len()];
        open(&key, SecurityLevel::EncryptedMic32, header, &security, source, protected).unwrap()
    }

    fn aps_command(&mut self, payload: &[u8]) {
        self.put("zbee_aps.cmd.id", payload[0]);
        let ApsCommand::TransportKey(transported) = ApsCommand::read(payload).unwrap() else { return };
        let TransportedKey::Network { sequence, destination, source, .. } = transported else { return };
        self.put("zbee_aps.cmd.key_type", payload[1]);
        self.put("zbee_aps.cmd.key", colons(&payload[2..18]));
        self.put("zbee_aps.cmd.seqno", sequence);
        self.put("zbee_aps.cmd.dst", destination);
        self.put("zbee_aps.cmd.src", source);
    }
}
