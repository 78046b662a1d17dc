//! Frames of controllers of Z-Wave, what nodes encrypt in them, and what is printed on things.

use thingward_fuzz::decoders::zwave::{HOME, KEY, NONCE, node, receiver, rng};
use thingward_zwave::security0::{NetworkKeys0, Part, seal};
use thingward_zwave::security2::{KeySlot, Security2};
use thingward_zwave::serial::message::{MembershipStatus, Received, TransmitStatus, Update};
use thingward_zwave::serial::request::function;
use thingward_zwave::serial::{Message, NodeIdType, NodeInfo};
use thingward_zwave::{Command, HomeId, Key, NodeId, S2Class};

use super::put;

pub(super) fn write() {
    let command = [0x25, 0x03, 0xff];
    let secret = under_security2(&command);
    put("zwave_security", "security2", &secret);
    let keys = NetworkKeys0::derive(Key::new(KEY));
    let nodes = (node(3), NodeId::FIRST);
    for (name, part) in [
        ("security0", Part::Whole(command.to_vec())),
        ("security0-first", Part::First(1, vec![0x25])),
        ("security0-second", Part::Second(1, vec![0x03, 0xff])),
    ] {
        put("zwave_security", name, &seal(&keys, nodes, (&[1; 8], &NONCE), &part).unwrap());
    }
    let dsk = "51525-35455-41424-34445-31323-33435-21222-32425";
    put("zwave_security", "device-specific-key", dsk.as_bytes());
    let heard = |source, command: &[u8]| {
        let (status, target, trailer) = (0, None, Vec::new());
        Message::Received(Received { status, target, source, command: command.to_vec(), trailer })
    };
    let info = NodeInfo {
        node: node(9),
        device_class: [4, 16, 1],
        supported: vec![0x9f, 0x6c, 0x25],
        controlled: vec![],
    };
    let joining =
        [MembershipStatus::Ready, MembershipStatus::Node(Some(info)), MembershipStatus::ProtocolDone]
            .map(|status| Message::Membership(function::ADD_NODE, 3, status));
    let told = [
        heard(node(2), &secret),
        heard(node(2), &[0x9f, 0x01, 0x05]),
        heard(node(3), &[0x98, 0x40]),
        heard(node(3), &[0x98, 0x80, 1, 2, 3, 4, 5, 6, 7, 8]),
        Message::Transmitted(function::SEND_DATA, 1, TransmitStatus::Acknowledged),
        Message::Update(Update::SmartStart { home: HomeId(0xdead_beef) }),
    ];
    put("zwave_serial", "joining", &line(&joining));
    put("zwave_serial", "told", &line(&told));
    for (name, bytes) in [
        ("switch", &command[..]),
        ("sensor", &[0x31, 0x05, 0x01, 0x22, 0x00, 0xd7]),
        ("meter", &[0x32, 0x02, 0x21, 0x32, 0x30, 0x3a]),
        ("supervised", &[0x6c, 0x01, 0x01, 0x03, 0x25, 0x03, 0xff]),
        ("notification", &[0x71, 0x05, 0, 0, 0, 0xff, 0x06, 0x17, 0]),
        ("listed", &[0x31, 0x02, 0x11]),
    ] {
        assert!(Command::parse(bytes).is_ok());
        put("zwave_command", name, bytes);
    }
}

/// What node 2 says to the host under the half of a nonce that it was told.
fn under_security2(command: &[u8]) -> Vec<u8> {
    let (_, told) = receiver();
    let mut sender = Security2::new(HOME, node(2));
    sender.insert_key(S2Class::Authenticated, Key::new(KEY));
    let theirs = *told.last_chunk().unwrap();
    sender.heard_nonce(NodeId::FIRST, theirs, &mut rng());
    let slot = KeySlot::Class(S2Class::Authenticated);
    let frame = sender.seal(NodeId::FIRST, slot, command, &mut rng()).unwrap();
    assert_eq!(receiver().0.open(node(2), &frame).unwrap().command, command);
    frame
}

/// Whole frames, acknowledged as the host sends its own.
fn line(messages: &[Message]) -> Vec<u8> {
    let frames = messages.iter().map(|message| message.to_frame(NodeIdType::Short).unwrap().to_bytes());
    frames.flat_map(|frame| [vec![0x06], frame].concat()).collect()
}
