//! The line to a controller of Z-Wave, and what nodes say behind it.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::affordance::{follow_ups, readings};
use thingward_zwave::controller::{Controller, KnownNetwork, KnownNode, NetworkKeySet};
use thingward_zwave::security0::{NetworkKeys0, open};
use thingward_zwave::security2::Security2;
use thingward_zwave::serial::message::{Capabilities, InitData};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::serial::request::function;
use thingward_zwave::serial::{Message, NodeIdType};
use thingward_zwave::smart_start::QrCode;
use thingward_zwave::{Command, Dsk, HomeId, Key, NodeId, S2Class, SecurityClass};

/// The network.
pub const HOME: HomeId = HomeId(0xc0ff_ee01);
/// Its keys.
pub const KEY: [u8; 16] = [7; 16];
/// The nonce of Security 0 that was told.
pub const NONCE: [u8; 8] = [3; 8];

/// Somebody in the network: 2 holds a key of Security 2, 3 that of Security 0.
pub fn node(number: u16) -> NodeId {
    NodeId::new(number).expect("a number that nodes have")
}

/// The same in every run.
pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([9; 32])
}

/// What the host is to node 2 under Security 2, and the half of a nonce that it has told.
pub fn receiver() -> (Security2, Vec<u8>) {
    let mut receiver = Security2::new(HOME, NodeId::FIRST);
    receiver.insert_key(S2Class::Authenticated, Key::new(KEY));
    let told = receiver.nonce_report(node(2), &mut rng());
    (receiver, told)
}

/// What a controller answers at the start of its host.
fn begin() -> Vec<u8> {
    let functions = vec![function::SEND_DATA, function::ADD_NODE, function::GET_PROTOCOL_INFO];
    let nodes = vec![NodeId::FIRST, node(2), node(3)];
    let answers = [
        Message::ControllerId(HOME, NodeId::FIRST),
        Message::Capabilities(Capabilities { version: [1, 0], product: [0; 3], functions }),
        Message::InitData(InitData { version: 9, capabilities: 8, nodes, chip: None }),
    ];
    let frames = answers.iter().filter_map(|message| message.to_frame(NodeIdType::Short).ok());
    frames.flat_map(|frame| [vec![0x06], frame.to_bytes()].concat()).collect()
}

/// A host whose controller says anything, while a node may join and another is asked.
pub fn serial(data: &[u8]) {
    let key = || Key::new(KEY);
    let keys =
        NetworkKeySet { unauthenticated: key(), authenticated: key(), access_control: key(), s0: key() };
    let known = |number, class| KnownNode {
        node: node(number),
        class,
        listening: Listening::Always,
        supported: vec![0x25, 0x31, 0x6c],
    };
    let s2 = SecurityClass::S2(S2Class::Authenticated);
    let nodes = vec![known(2, s2), known(3, SecurityClass::S0)];
    let mut now = Duration::ZERO;
    let mut host = Controller::start(keys, Some(KnownNetwork { home: HOME, nodes }), rng(), now);
    host.receive(&begin(), now);
    let question = Command::parse(&[0x25, 0x02]).expect("a question");
    for number in [2, 3] {
        let _ = host.get(node(number), &question, now);
    }
    let _ = host.include(now);
    for part in data.chunks(32) {
        host.receive(part, now);
        while host.output().is_some() || host.event().is_some() {}
        now += Duration::from_secs(1);
        host.tick(now);
    }
}

/// What is encrypted for the host, and codes that are printed on things.
pub fn security(data: &[u8]) {
    let (mut receiver, _) = receiver();
    let _ = receiver.open(node(2), data);
    let _ = receiver.open_multicast(node(2), data);
    let keys = NetworkKeys0::derive(Key::new(KEY));
    let _ = open(&keys, (node(3), NodeId::FIRST), data, |id| (id == NONCE[0]).then_some(NONCE));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = QrCode::parse(text);
        if let Ok(dsk) = text.parse::<Dsk>() {
            assert_eq!(dsk.to_string().parse(), Ok(dsk));
        }
    }
}

/// A command, and what it shows.
pub fn command(data: &[u8]) {
    let Ok(command) = Command::parse(data) else { return };
    let _ = (command.values(), command.to_bytes());
    for reading in readings(&command) {
        assert!(!reading.name.is_empty());
    }
    assert!(follow_ups(&command).len() <= 256);
}
