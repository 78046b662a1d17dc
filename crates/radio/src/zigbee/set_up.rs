//! What a thing is told and asked once it is known: to report what it has, and what that is.

use std::collections::BTreeMap;

use thingward_zigbee::address::Eui64;

use super::ZigbeeRadio;
use super::job::Job;
use super::keep::After;
use super::kept::Node;

/// Sensors of alarms.
const ZONE: u16 = 0x0500;
/// Attributes of one message at most, with how they are to be reported, and without.
const REPORTED: usize = 4;
const READ: usize = 6;

impl ZigbeeRadio {
    /// A thing that was taken says what happens to it from now on.
    pub(super) fn set_up(&mut self, node: Eui64) {
        let Some(known) = self.kept.as_ref().and_then(|kept| kept.node(node)) else { return };
        let mut clusters: BTreeMap<(u8, u16), Vec<_>> = BTreeMap::new();
        for (endpoint, info) in known.thing.reported() {
            clusters.entry((endpoint, info.cluster)).or_default().push(info);
        }
        for (endpoint, cluster) in known.thing.eventful() {
            clusters.entry((endpoint, cluster)).or_default();
        }
        for ((endpoint, cluster), attributes) in clusters {
            if cluster == ZONE {
                self.put_once(node, Job::Master { endpoint });
                self.put_once(node, Job::Enrol { endpoint, request: None });
            }
            self.put_once(node, Job::Bind { endpoint, cluster });
            for attributes in attributes.chunks(REPORTED) {
                self.put_once(node, Job::Report { endpoint, cluster, attributes: attributes.to_vec() });
            }
        }
        self.read_all(node);
    }

    /// Things that have been told everything are not told again when the driver starts.
    pub(super) fn conclude_set_up(&mut self) {
        let Some(kept) = &self.kept else { return };
        let is_told = |node: &&Node| {
            let is_told = !self.is_busy(node.eui64) && !self.has_missed(node.eui64);
            let is_thing = !self.is_forbidden(node.eui64) && !self.keeper.is_waiting(node.eui64);
            !node.is_set_up && is_told && is_thing
        };
        let told: Vec<Eui64> = kept.nodes.iter().filter(is_told).map(|node| node.eui64).collect();
        for eui64 in told {
            if let Some(node) = self.kept.as_mut().and_then(|kept| kept.node_mut(eui64)) {
                node.is_set_up = true;
            }
            self.keep(After::Nothing);
        }
    }

    /// Asks for everything that a thing says of itself.
    pub(super) fn read_all(&mut self, node: Eui64) {
        self.read_where(node, |_, _| true);
    }

    /// Asks for what a command may have changed.
    pub(super) fn read_cluster(&mut self, node: Eui64, endpoint: u8, cluster: u16) {
        // What dims also switches.
        self.read_where(node, |at, of| {
            at == endpoint && (of == cluster || (of, cluster) == (0x0006, 0x0008))
        });
    }

    fn read_where(&mut self, node: Eui64, is_asked: impl Fn(u8, u16) -> bool) {
        let Some(known) = self.kept.as_ref().and_then(|kept| kept.node(node)) else { return };
        let mut clusters: BTreeMap<(u8, u16), Vec<u16>> = BTreeMap::new();
        for (endpoint, info) in known.thing.reported().filter(|(at, info)| is_asked(*at, info.cluster)) {
            clusters.entry((endpoint, info.cluster)).or_default().push(info.id);
        }
        for ((endpoint, cluster), ids) in clusters {
            for ids in ids.chunks(READ) {
                self.put(node, Job::Read { endpoint, cluster, ids: ids.to_vec() });
            }
        }
    }
}
