//! Frames of Zigbee, from the air to what they say: both layers of encryption opened, replays told, the cluster library read,
//! and the property named. Beside zigbee-on-host and zigbee-herdsman with the same frames.

use std::hint::black_box;
use std::path::Path;

use serde_json::json;
use thingward_model::Value;
use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::listen::{KeyRing, Listener, Message, ZclContent};
use thingward_zigbee::nwk::{NwkHeader, Route};
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, seal};
use thingward_zigbee::thing::{Endpoint, Scalar, Thing, Told};
use thingward_zigbee::zcl::{Foundation, ZclHeader};

use crate::chain::Chain;
use crate::clock::{Rounds, spent};
use crate::peer::{Peer, WARM, hex};

const NETWORK_KEY: [u8; 16] = [7; 16];
const LINK_KEY: [u8; 16] = [8; 16];
const LEVEL: SecurityLevel = SecurityLevel::EncryptedMic32;
const NODES: u16 = 200;
const OF_EACH: u16 = 100;
/// What nodes report in turn: cluster and attributes. Temperature, humidity, a switch, what is left in a battery.
const REPORTS: [(u16, &[u8]); 4] = [
    (0x0402, &[0x00, 0x00, 0x29, 0x56, 0x08]),
    (0x0405, &[0x00, 0x00, 0x21, 0xa8, 0x16]),
    (0x0006, &[0x00, 0x00, 0x10, 0x01]),
    (0x0001, &[0x21, 0x00, 0x20, 0xb6]),
];

/// A frame, and what of it the cluster library has.
struct Sent {
    node: u16,
    frame: Vec<u8>,
    cluster: u16,
    message: Vec<u8>,
}

/// Frames in a second of the processor.
#[derive(Default)]
pub(crate) struct Zigbee {
    pub(crate) decoded: Rounds,
    pub(crate) sealed: Rounds,
    pub(crate) library: Rounds,
    pub(crate) peer_decoded: Rounds,
    pub(crate) peer_library: Rounds,
}

/// Frames, the peer that has them, and the figures so far.
pub(crate) struct Bench {
    sent: Vec<Sent>,
    thing: Thing,
    peer: Peer,
    figures: Zigbee,
}

impl Bench {
    pub(crate) fn new(modules: &Path) -> Self {
        let sent: Vec<Sent> =
            (0..OF_EACH).flat_map(|at| (0..NODES).map(move |node| send(node, at))).collect();
        let all: Vec<_> =
            sent.iter().map(|sent| json!([hex(&sent.frame), sent.cluster, hex(&sent.message)])).collect();
        let given = json!({"networkKey": hex(&NETWORK_KEY), "linkKey": hex(&LINK_KEY), "frames": all});
        let mut peer = Peer::start("zigbee.mjs", modules, &given);
        (0..WARM).for_each(|_| drop(peer.round()));
        let servers = REPORTS.iter().map(|(cluster, _)| *cluster).collect();
        let thing = Thing::new(vec![Endpoint { id: 1, servers, clients: Vec::new() }]);
        Self { sent, thing, peer, figures: Zigbee::default() }
    }

    /// The figures; the peer ends.
    pub(crate) fn done(self) -> Zigbee {
        self.figures
    }

    pub(crate) fn round(&mut self) {
        let frames = f64::from(NODES) * f64::from(OF_EACH);
        let ((), decoded) = spent(|| self.listen(|_, told| drop(black_box(told))));
        self.figures.decoded.push(frames / decoded.as_secs_f64());

        let mut chains: Vec<Chain> = (0..NODES).map(|node| Chain::new(&format!("thing-{node}"))).collect();
        let ((), sealed) = spent(|| self.listen(|node, told| add(&mut chains[usize::from(node)], &told)));
        self.figures.sealed.push(frames / sealed.as_secs_f64());

        let ((), library) = spent(|| self.read_library());
        self.figures.library.push(frames / library.as_secs_f64());

        let peer = self.peer.round();
        self.figures.peer_decoded.push(frames / peer["decoded"].as_f64().unwrap());
        self.figures.peer_library.push(frames / peer["library"].as_f64().unwrap());
    }

    /// Everything from the air.
    fn listen(&self, mut heard: impl FnMut(u16, Told)) {
        let mut keys = KeyRing::default();
        keys.add_network(Key::new(NETWORK_KEY));
        keys.add_link(Key::new(LINK_KEY));
        let mut listener = Listener::new(keys);
        for sent in &self.sent {
            let message = listener.hear(None, black_box(&sent.frame)).message;
            let Message::Zcl { cluster, header, content, .. } = message else {
                panic!("a frame is not opened")
            };
            let ZclContent::Foundation(Foundation::Report(attributes)) = content else { panic!("no report") };
            for attribute in &attributes {
                heard(sent.node, self.thing.attribute(1, cluster, &header, attribute));
            }
        }
    }

    /// Only what is inside both layers of encryption.
    fn read_library(&self) {
        for sent in &self.sent {
            let (header, rest) = ZclHeader::read(black_box(&sent.message)).unwrap();
            let Some(Foundation::Report(attributes)) = Foundation::read(header.command, rest).unwrap() else {
                panic!("no report")
            };
            for attribute in &attributes {
                black_box(self.thing.attribute(1, sent.cluster, &header, attribute));
            }
        }
    }
}

/// Into the chain of who said it.
fn add(chain: &mut Chain, told: &Told) {
    let Told::Property { name, unit, value: Some(value) } = told else { panic!("{told:?} is no value") };
    let value = match value {
        Scalar::Number(number) => Value::Number(*number),
        Scalar::Bool(bool) => Value::Bool(*bool),
        Scalar::Text(text) => Value::Text(text),
    };
    chain.add(name, unit, value);
}

/// What a node reports for the `at`-th time, under the network's key and its link key.
fn send(node: u16, at: u16) -> Sent {
    let (eui64, short) = (Eui64(0x0015_8d00_0000_0000 + u64::from(node)), ShortAddress(0x1000 + node));
    let (cluster, attributes) = REPORTS[usize::from(at) % REPORTS.len()];
    let [sequence, _] = at.to_le_bytes();
    let message = [&[0x18, sequence, 0x0a][..], attributes].concat();
    let protection =
        |key| SecurityHeader { sent_level: 0, key, frame_counter: u32::from(at), source: Some(eui64) };
    let protect = |key, header: &[u8], security: &SecurityHeader, payload: &[u8]| {
        let mut out = header.to_vec();
        security.write(&mut out);
        out.extend(seal(&Key::new(key), LEVEL, header, security, eui64, payload).unwrap());
        out
    };
    let [low, high] = cluster.to_le_bytes();
    // Data for an endpoint, with security: 2.2.5.1.
    let header = [0x20, 1, low, high, 0x04, 0x01, 1, sequence];
    let application = protect(LINK_KEY, &header, &protection(KeyIdentifier::Data), &message);
    let route = Route {
        destination: ShortAddress::COORDINATOR,
        source: short,
        radius: 30,
        sequence,
        destination_eui64: None,
        source_eui64: None,
        multicast: None,
        source_route: None,
    };
    let mut header = Vec::new();
    NwkHeader { control: 0x0208, route: Some(route) }.write(&mut header).unwrap();
    let network = protect(NETWORK_KEY, &header, &protection(KeyIdentifier::Network(0)), &application);
    // Data of the MAC layer to the coordinator of this network.
    let mut frame = vec![0x61, 0x88, sequence, 0x62, 0x1a, 0x00, 0x00];
    frame.extend(short.0.to_le_bytes());
    frame.extend(network);
    Sent { node, frame, cluster, message }
}
