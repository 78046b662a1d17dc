//! Frames of Zigbee, and octets of the lines to its coordinators.

use thingward_zigbee::address::Eui64;
use thingward_zigbee::ash::AshFrame;
use thingward_zigbee::ezsp::{EzspFrame, EzspHeader};
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, seal};
use thingward_zigbee::znp::ZnpFrame;

use super::put;

/// The network's key, which the decoder has.
const KEY: [u8; 16] = [7; 16];
const LEVEL: SecurityLevel = SecurityLevel::EncryptedMic32;
const SOURCE: Eui64 = Eui64(0x1122_3344_5566_7788);

pub(super) fn write() {
    put("zigbee_capture", "network.pcap", &pcap(&frames()));
    put("zigbee_capture", "network.pcapng", &pcapng(&frames()));
    let ask = AshFrame::Data {
        number: 0,
        again: false,
        acknowledges: 1,
        data: EzspFrame::ask_version(0, 13).into(),
    };
    let incoming = [
        0x00, 0x04, 0x01, 0x06, 0x00, 1, 1, 0x40, 1, 0, 0, 9, 0xff, 0xd0, 0x34, 0x12, 0xff, 0xff, 3, 1, 2, 3,
    ];
    let header = EzspHeader { sequence: 1, control: [0x90, 1], id: 0x45 };
    let incoming = EzspFrame { header, parameters: incoming.to_vec().into() }.to_bytes();
    let news = AshFrame::Data { number: 0, again: false, acknowledges: 1, data: incoming.clone() };
    put("zigbee_serial", "ash", &[ask.to_line().to_vec(), news.to_line().to_vec()].concat());
    put("zigbee_serial", "ezsp", &incoming);
    let announced = vec![0, 0, 0x34, 0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x8e];
    let znp = ZnpFrame { kind: 2, subsystem: 5, command: 0xc1, data: announced.into() };
    put("zigbee_serial", "znp", &znp.to_bytes().unwrap());
}

/// A frame to the coordinator: what is before the network layer's payload, and that payload, open or under the key.
fn network(control: u8, counter: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let secured = u8::from(counter.is_some()) << 1;
    let header = [control, secured, 0, 0, 0x34, 0x12, 0x1e, 1];
    let mut frame = vec![0x61, 0x88, 7, 0x62, 0x1a, 0, 0, 0x34, 0x12];
    frame.extend(header);
    match counter {
        None => frame.extend(payload),
        Some(frame_counter) => {
            let key = KeyIdentifier::Network(0);
            let security = SecurityHeader { sent_level: 0, key, frame_counter, source: Some(SOURCE) };
            security.write(&mut frame);
            frame.extend(seal(&Key::new(KEY), LEVEL, &header, &security, SOURCE, payload).unwrap());
        }
    }
    frame
}

/// A message of a cluster of home automation.
fn cluster(cluster: u16, message: &[u8]) -> Vec<u8> {
    let [low, high] = cluster.to_le_bytes();
    [&[0, 1, low, high, 0x04, 0x01, 1, 9][..], message].concat()
}

fn device_object(cluster: u16, message: &[u8]) -> Vec<u8> {
    let [low, high] = cluster.to_le_bytes();
    [&[0, 0, low, high, 0, 0, 0, 9][..], message].concat()
}

fn frames() -> Vec<Vec<u8>> {
    let structure = [0x18, 1, 0x0a, 1, 0xff, 0x4c, 2, 0, 0x10, 1, 0x48, 0x21, 2, 0, 1, 0, 2, 0];
    let reporting = [0x10, 1, 0x06, 0, 0, 0, 0x29, 10, 0, 0x58, 2, 50, 0, 1, 4, 0, 60, 0];
    let scene = [0x09, 1, 1, 0, 1, 0, 2, 5, 0, 1, b'x', 6, 0, 1, 1];
    let schedule = [0x09, 1, 0, 1, 0x40, 3, 0x68, 1, 0xfc, 8, 0x3a, 2];
    let neighbors = [&[1, 0, 1, 0, 1][..], &[9; 22]].concat();
    let transport = {
        let (header, key) = ([0x21, 0x11], KeyIdentifier::KeyTransport);
        let security = SecurityHeader { sent_level: 0, key, frame_counter: 1, source: Some(SOURCE) };
        let command = [&[5, 1][..], &KEY, &[0], &[5; 16]].concat();
        let link = Key::new(Key::WELL_KNOWN_LINK).key_transport();
        let mut out = header.to_vec();
        security.write(&mut out);
        out.extend(seal(&link, LEVEL, &header, &security, SOURCE, &command).unwrap());
        out
    };
    vec![
        network(0x08, Some(1), &cluster(0x0402, &[0x18, 1, 0x0a, 0, 0, 0x29, 0x56, 8])),
        network(0x08, Some(1), &cluster(0x0402, &[0x18, 1, 0x0a, 0, 0, 0x29, 0x56, 8])),
        network(0x08, None, &cluster(0x0000, &structure)),
        network(0x08, None, &cluster(0x0402, &reporting)),
        network(0x08, None, &cluster(0x0005, &scene)),
        network(0x08, None, &cluster(0x0201, &schedule)),
        network(0x08, None, &device_object(0x8031, &neighbors)),
        network(0x08, None, &transport),
        network(0x09, Some(2), &[8, 0x61, 0x78, 0x56, 0x31]),
        vec![
            0, 0x80, 1, 0x62, 0x1a, 0, 0, 0xff, 0xcf, 0, 0, 0, 0x22, 0x84, 8, 7, 6, 5, 4, 3, 2, 1, 0xff,
            0xff, 0xff, 0,
        ],
        vec![0x23, 0xc8, 1, 0x62, 0x1a, 0, 0, 0xff, 0xff, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0x8e],
        vec![0x01, 0x08, 1, 0xff, 0xff, 0xff, 0xff, 0x0c, 1, 2, 3, 4, 0xe0, 2, 4, 4, 2, 0x20, 0x21],
    ]
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Frames without their checksums, so that bent ones are still looked at.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 230]);
    for (frame, seconds) in frames.iter().zip(1_800_000_000..) {
        let length = u32::try_from(frame.len()).unwrap();
        file.extend(words(&[seconds, 0, length, length]));
        file.extend(frame);
    }
    file
}

fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
    file.extend(words(&[1, 20, 230, 65535, 20]));
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        let whole = 32 + length.next_multiple_of(4);
        file.extend(words(&[6, whole, 0, 0x0006_64f8, 0, length, length]));
        file.extend(frame);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(words(&[whole]));
    }
    file
}
