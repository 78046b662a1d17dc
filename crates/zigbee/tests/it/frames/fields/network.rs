//! Commands of the network layer.

use super::*;

const ROUTE: &str = "zbee_nwk.cmd.route.";

impl Fields {
    pub(super) fn command(&mut self, payload: &[u8]) {
        self.put("zbee_nwk.cmd.id", payload[0]);
        match NwkCommand::read(payload).unwrap() {
            NwkCommand::RouteRequest(request) => {
                self.put("zbee_nwk.cmd.route.opts", request.options);
                let bits = [("opts.mcast", 6, 1), ("opts.dest_ext", 5, 1), ("opts.many2one", 3, 3)];
                self.bits(ROUTE, request.options.into(), &bits);
                self.put("zbee_nwk.cmd.route.id", request.id);
                self.put("zbee_nwk.cmd.route.dest", request.destination.0);
                self.put("zbee_nwk.cmd.route.cost", request.cost);
            }
            NwkCommand::RouteReply {
                options,
                id,
                originator,
                responder,
                cost,
                originator_eui64,
                responder_eui64,
            } => {
                self.put("zbee_nwk.cmd.route.opts", options);
                let bits = [("opts.mcast", 6, 1), ("opts.resp_ext", 5, 1), ("opts.orig_ext", 4, 1)];
                self.bits(ROUTE, options.into(), &bits);
                self.put("zbee_nwk.cmd.route.id", id);
                self.put("zbee_nwk.cmd.route.orig", originator.0);
                self.put("zbee_nwk.cmd.route.resp", responder.0);
                self.put("zbee_nwk.cmd.route.cost", cost);
                self.put("zbee_nwk.cmd.route.orig_ext", originator_eui64.unwrap());
                self.put("zbee_nwk.cmd.route.resp_ext", responder_eui64.unwrap());
            }
            NwkCommand::NetworkStatus { code, destination } => {
                self.put("zbee_nwk.cmd.status", code);
                self.put("zbee_nwk.cmd.route.dest", destination.0);
            }
            NwkCommand::Leave(options) => {
                let bits = [("rejoin", 5, 1), ("request", 6, 1), ("children", 7, 1)];
                self.bits("zbee_nwk.cmd.leave.", options.into(), &bits);
            }
            NwkCommand::RouteRecord(relays) => {
                self.put("zbee_nwk.cmd.relay_count", relays.len());
                for relay in relays {
                    self.put("zbee_nwk.cmd.relay_device", relay.0);
                }
            }
            NwkCommand::RejoinRequest(capability) => self.capability(capability),
            NwkCommand::RejoinResponse { address, status } => {
                self.put("zbee_nwk.cmd.addr", address.0);
                self.put("zbee_nwk.cmd.rejoin_status", status);
            }
            NwkCommand::LinkStatus { first, last, links } => {
                self.put("zbee_nwk.cmd.link.last", u8::from(last));
                self.put("zbee_nwk.cmd.link.first", u8::from(first));
                self.put("zbee_nwk.cmd.link.count", links.len());
                for link in links {
                    self.put("zbee_nwk.cmd.link.address", link.neighbour.0);
                    self.put("zbee_nwk.cmd.link.incoming_cost", link.incoming);
                    self.put("zbee_nwk.cmd.link.outgoing_cost", link.outgoing);
                }
            }
            NwkCommand::NetworkReport { control, extended_pan, report } => {
                self.bits("zbee_nwk.cmd.report.", control.into(), &[("type", 5, 7), ("count", 0, 31)]);
                self.put("zbee_nwk.cmd.epid", extended_pan);
                self.put("zbee_nwk.panid", u16::from_le_bytes([report[0], report[1]]));
            }
            NwkCommand::NetworkUpdate { control, extended_pan, update_id, update } => {
                self.bits("zbee_nwk.cmd.update.", control.into(), &[("type", 5, 7), ("count", 0, 31)]);
                self.put("zbee_nwk.cmd.epid", extended_pan);
                self.put("zbee_nwk.cmd.update.id", update_id);
                self.put("zbee_nwk.panid", u16::from_le_bytes([update[0], update[1]]));
            }
            NwkCommand::EndDeviceTimeoutRequest { timeout, configuration } => {
                self.put("zbee_nwk.cmd.ed_tmo_req", timeout);
                self.put("zbee_nwk.cmd.ed_config", configuration);
            }
            NwkCommand::EndDeviceTimeoutResponse { status, parent } => {
                self.put("zbee_nwk.cmd.ed_tmo_rsp_status", status);
                self.put("zbee_nwk.cmd.ed_prnt_info", parent);
                let bits = [
                    ("ed_prnt_info.mac_data_poll_keepalive", 0, 1),
                    ("ed_prnt_info.ed_tmo_req_keepalive", 1, 1),
                    ("power_negotiation_supported", 2, 1),
                ];
                self.bits("zbee_nwk.cmd.", parent.into(), &bits);
            }
            NwkCommand::LinkPowerDelta(_) | NwkCommand::Other { .. } => {}
        }
    }

    fn capability(&mut self, capability: u8) {
        self.put("zbee_nwk.cmd.cinfo", capability);
        let bits = [
            (".alt_coord", 0, 1),
            (".ffd", 1, 1),
            (".power", 2, 1),
            (".on_idle", 3, 1),
            (".security", 6, 1),
            (".alloc", 7, 1),
        ];
        self.bits("zbee_nwk.cmd.cinfo", capability.into(), &bits);
    }
}
