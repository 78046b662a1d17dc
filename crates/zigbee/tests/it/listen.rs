//! Listening, held against Wireshark over captures, and to frames that are made here.

mod captures;
mod made;
mod tshark;

use std::time::Duration;

use thingward_zigbee::address::{Eui64, PanId, ShortAddress};
use thingward_zigbee::capture::Capture;
use thingward_zigbee::ieee802154::{Address, Fcs};
use thingward_zigbee::listen::{Heard, KeyRing, Layer, Listener, Message, ProtectionState, Secrecy};
use thingward_zigbee::security::{Freshness, Key};

use crate::vectors::path;
use made::Sender;

const NETWORK_KEY: [u8; 16] = [7; 16];

fn keys() -> KeyRing {
    let mut keys = KeyRing::default();
    keys.add_network(Key::new(NETWORK_KEY));
    keys
}

/// What a listener with the network's key makes of frames, one second apart.
fn listen(frames: &[Vec<u8>]) -> Vec<Heard> {
    let mut listener = Listener::new(keys());
    frames.iter().zip(1..).map(|(frame, at)| listener.hear(Duration::from_secs(at), frame)).collect()
}

#[test]
fn a_report_is_shown_with_its_name_and_unit() {
    let mut sensor = Sender::new(0x1234, 1, NETWORK_KEY);
    let frames = [
        sensor.report(0x0402, &[0x00, 0x00, 0x29, 0x56, 0x08]),
        sensor.report(0x0006, &[0x00, 0x00, 0x10, 0x01]),
        sensor.report(0x0405, &[0x00, 0x00, 0x21, 0xff, 0xff]),
        sensor.report(0x0402, &[0x12, 0xf0, 0x21, 0x05, 0x00]),
        sensor.report(0x0402, &[0x00, 0x00, 0x21, 0x56, 0x08]),
        sensor.report(0xfc01, &[0x00, 0x00, 0x42, 0x02, b'h', b'i']),
        sensor.report(0x040d, &[0x00, 0x00, 0x39, 0x17, 0xb7, 0xd1, 0x39]),
    ];
    let shown: Vec<String> = listen(&frames).iter().map(|heard| heard.message.to_string()).collect();
    assert_eq!(shown[0], "Report Attributes Temperature Measurement measuredValue = 21.34 °C");
    assert_eq!(shown[1], "Report Attributes On/Off onOff = true");
    assert_eq!(shown[2], "Report Attributes Relative Humidity Measurement measuredValue = no value");
    assert_eq!(shown[3], "Report Attributes Temperature Measurement attribute 0xf012 = 5 (type 0x21)");
    assert_eq!(shown[4], "Report Attributes Temperature Measurement measuredValue = 2134 (type 0x21)");
    assert_eq!(shown[5], "Report Attributes cluster 0xfc01 attribute 0x0000 = \"hi\" (type 0x42)");
    assert!(shown[6].starts_with("Report Attributes Carbon Dioxide Measurement measuredValue = 399.99"));
    let heard = &listen(&frames)[0];
    assert_eq!(heard.pan, Some(PanId(0x1a62)));
    assert_eq!(heard.source, Some(Address::Short(ShortAddress(0x1234))));
    assert_eq!(heard.security(), "network key #0");
    assert_eq!(heard.opened(), Some(Layer::Network));
}

#[test]
fn a_frame_that_comes_again_is_a_replay_and_at_once_a_repetition() {
    let mut sensor = Sender::new(0x1234, 1, NETWORK_KEY);
    let (first, second) = (sensor.on_off(1), sensor.on_off(0));
    let mut listener = Listener::new(keys());
    let mut hear = |ms, frame: &[u8]| listener.hear(Duration::from_millis(ms), frame);
    assert_eq!(hear(0, &first).security(), "network key #0");
    assert_eq!(hear(3, &first).security(), "network key #0, counter below 1, repeated");
    let heard = hear(4, &first);
    assert!(!heard.is_fresh() && heard.repeats == Some(Duration::from_millis(4)));
    assert_eq!(hear(10, &second).security(), "network key #1");
    let replay = hear(5000, &first);
    assert_eq!(replay.security(), "network key #0, counter below 2, REPLAY");
    let state =
        ProtectionState::Opened { freshness: Freshness::Replayed { expected: 2 }, secrecy: Secrecy::Secret };
    assert_eq!(replay.protections[0].state, state);
    // Who sends a frame again and again is not taken for its sender who repeats it.
    let chain: Vec<bool> =
        (0..4).map(|i| hear(10_000 + i * 150, &second).security().ends_with("REPLAY")).collect();
    assert_eq!(chain, [true, false, true, false]);
    // Another node has counters of its own.
    assert!(hear(20_000, &Sender::new(0x4321, 2, NETWORK_KEY).on_off(1)).is_fresh());
}

#[test]
fn without_the_key_nothing_is_shown_and_a_changed_frame_is_not_opened() {
    let frame = Sender::new(0x1234, 1, NETWORK_KEY).on_off(1);
    let mut listener = Listener::default();
    let heard = listener.hear(Duration::ZERO, &frame);
    assert!(matches!(heard.message, Message::Hidden));
    assert_eq!(heard.security(), "network key #0, not opened");
    // A forged counter does not shut the real node out.
    let mut listener = Listener::new(keys());
    let mut forged = frame.clone();
    let counter = frame.len() - 4 - 11 - 1 - 8 - 4;
    forged[counter + 2] = 0xff;
    assert!(matches!(listener.hear(Duration::ZERO, &forged).message, Message::Hidden));
    assert!(listener.hear(Duration::from_secs(1), &frame).is_fresh());
}

#[test]
fn a_transported_network_key_is_learnt_and_then_opens_frames() {
    let mut centre = Sender::new(0x0000, 0xcc, NETWORK_KEY);
    let transport = centre.transport_network_key(Eui64(5), Key::new(Key::WELL_KNOWN_LINK));
    let report = Sender::new(0x1234, 1, NETWORK_KEY).on_off(1);
    let mut listener = Listener::default();
    let heard = listener.hear(Duration::ZERO, &transport);
    assert_eq!(heard.message.to_string(), "Transport Key: network key 0 for 00:00:00:00:00:00:00:05");
    assert_eq!(heard.security(), "well-known link key #0");
    assert_eq!(heard.opened(), Some(Layer::Application));
    let heard = listener.hear(Duration::from_secs(1), &report);
    assert_eq!(heard.message.to_string(), "Report Attributes On/Off onOff = true");
    // Whoever listened has the key, also where the listener had it before.
    assert_eq!(heard.security(), "network key given away #0");
    let heard = &listen(&[transport, Sender::new(0x1234, 1, NETWORK_KEY).on_off(1)])[1];
    assert_eq!(heard.security(), "network key given away #0");
    let open = centre.open_transport_network_key(Eui64(5));
    assert_eq!(Listener::default().hear(Duration::ZERO, &open).security(), "open, KEY IN THE CLEAR");
    // Under a link key of an install code, only who has it can follow.
    let code = Key::from_hex("66b6900981e1ee3ca4206b6b861c02bb").unwrap();
    let transport = centre.transport_network_key(Eui64(5), code.clone());
    assert!(matches!(Listener::default().hear(Duration::ZERO, &transport).message, Message::Hidden));
    let mut ring = KeyRing::default();
    ring.add_link(code);
    let mut listener = Listener::new(ring);
    assert_eq!(listener.hear(Duration::ZERO, &transport).security(), "link key #1");
    let heard = listener.hear(Duration::from_secs(1), &report);
    assert!(heard.is_fresh());
    assert_eq!(heard.security(), "network key #0");
}

#[test]
fn a_third_party_network_that_sends_its_key_in_the_clear_is_open_from_then_on() {
    let Some(path) = path("pcap/control4-sample.pcap") else { return };
    let file = std::fs::read(path).unwrap();
    let mut listener = Listener::default();
    let (mut before, mut after, mut hidden, mut given_away) = (0, 0, 0, 0);
    for captured in Capture::open(&file).unwrap().flatten().filter(|captured| captured.fcs == Fcs::Good) {
        let heard = listener.hear(captured.at, captured.frame);
        given_away += u32::from(heard.security().contains("KEY IN THE CLEAR"));
        match (heard.opened(), &heard.message, given_away) {
            (Some(_), _, 0) => panic!("opened without a key"),
            (Some(_), ..) => after += 1,
            (None, Message::Hidden, 0) => before += 1,
            (None, Message::Hidden, _) => hidden += 1,
            _ => {}
        }
    }
    println!("{before} frames hidden before, {after} opened after the key was given away");
    assert!(before > 0 && after > 0 && hidden == 0 && given_away > 0);
}

#[test]
fn a_node_that_joins_again_counts_from_the_start() {
    let mut centre = Sender::new(0x0000, 0xcc, NETWORK_KEY);
    let mut node = Sender::new(0x1234, 5, NETWORK_KEY);
    let before = [node.on_off(0), node.on_off(1)];
    let link = || Key::new(Key::WELL_KNOWN_LINK);
    let transport = centre.transport_network_key(Eui64(5), link());
    let after = Sender::new(0x9090, 5, NETWORK_KEY).on_off(1);
    let again = transport.clone();
    let [first, second] = before;
    let heard = listen(&[first, second.clone(), transport, after.clone(), again, after, second]);
    let fresh: Vec<bool> = heard.iter().map(Heard::is_fresh).collect();
    // The key that is transported again, as it was, frees nobody's counter.
    assert_eq!(fresh, [true, true, true, true, false, false, true]);
}

/// A Green Power frame of device 0x11223344 between networks.
fn green_power(octets: &[u8]) -> Vec<u8> {
    [&[0x01, 0x08, 0x01, 0xff, 0xff, 0xff, 0xff][..], octets].concat()
}

#[test]
fn a_green_power_counter_that_nobody_checked_makes_no_replay_of_other_frames() {
    let press = |counter: u32| {
        let mut frame = vec![0x8c, 0x10, 0x44, 0x33, 0x22, 0x11];
        frame.extend(counter.to_le_bytes());
        green_power(&[&frame[..], &[0x20, 1, 2, 3, 4]].concat())
    };
    let heard = listen(&[press(5), press(u32::MAX), press(6)]);
    let security: Vec<String> = heard.iter().map(Heard::security).collect();
    assert_eq!(security[0], "Green Power #5, not checked");
    assert_eq!(security[2], "Green Power #6, not checked, counter below 4294967295");
    assert!(heard.iter().all(Heard::is_fresh));
}

#[test]
fn keys_and_codes_are_not_shown_and_a_green_power_key_in_the_clear_is_told() {
    let key = [0xab; 16];
    let open = [&[0x0c, 0x44, 0x33, 0x22, 0x11, 0xe0, 0x02, 0x80, 0x20][..], &key].concat();
    let hidden = [&[0x0c, 0x44, 0x33, 0x22, 0x11, 0xe0, 0x02, 0x80, 0x60][..], &key, &[1, 2, 3, 4]].concat();
    let reply = [&[0x0c, 0x44, 0x33, 0x22, 0x11, 0xf0, 0x02][..], &key].concat();
    let frames = [open, hidden, reply].map(|frame| green_power(&frame));
    let notified =
        [&[0x00, 1, 0x21, 0x00, 0x04, 0x01, 1, 9, 0x11, 1, 0x04][..], &[0, 0, 0x44, 0x33, 0x22, 0x11]];
    let notified =
        [&notified.concat()[..], &[0, 0, 0, 0, 0xe0, 19, 0x02, 0x80, 0x20], &key, &[0, 0, 0]].concat();
    let unlock = [0x00, 1, 0x01, 0x01, 0x04, 0x01, 1, 9, 0x11, 1, 0x01, 4, 0xab, 0xab, 0xab, 0xab];
    let mut node = Sender::new(0x1234, 1, NETWORK_KEY);
    let heard = listen(&[&frames[..], &[node.data(&notified), node.data(&unlock)]].concat());
    let away: Vec<bool> = heard.iter().map(Heard::gives_key_away).collect();
    assert_eq!(away, [true, false, true, false, false]);
    assert!(heard[0].security().ends_with("KEY IN THE CLEAR"));
    for heard in &heard {
        let shown = heard.message.to_string();
        assert!(!shown.contains("abab"), "{shown}");
    }
    assert_eq!(heard[4].message.to_string(), "Door Lock unlockDoor: code = a code");
    assert!(heard[3].message.to_string().contains("gpdPayload = not shown"), "{}", heard[3].message);
}

#[test]
fn frames_cut_at_each_octet_are_heard_without_harm() {
    let mut sensor = Sender::new(0x1234, 1, NETWORK_KEY);
    let frames = [
        sensor.on_off(1),
        sensor.transport_network_key(Eui64(5), Key::new(Key::WELL_KNOWN_LINK)),
        sensor.report(0x0402, &[0x00, 0x00, 0x29, 0x56, 0x08]),
    ];
    for frame in frames {
        for at in 0..frame.len() {
            let mut bent = frame.clone();
            bent[at] ^= 0x40;
            for heard in listen(&[frame[..at].to_vec(), bent]) {
                let _ = (heard.message.to_string(), heard.security());
            }
        }
    }
}
