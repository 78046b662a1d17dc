//! Frames and files that are made for tests.

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::ieee802154::fcs;
use thingward_zigbee::nwk::{NwkHeader, Route};
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, seal};

const LEVEL: SecurityLevel = SecurityLevel::EncryptedMic32;

/// A node that sends frames to the coordinator, each with the next counter.
pub(super) struct Sender {
    address: u16,
    eui64: Eui64,
    network_key: [u8; 16],
    counter: u32,
}

impl Sender {
    pub(super) fn new(address: u16, eui64: u64, network_key: [u8; 16]) -> Self {
        Self { address, eui64: Eui64(eui64), network_key, counter: 0 }
    }

    fn security(&mut self, key: KeyIdentifier) -> SecurityHeader {
        let frame_counter = self.counter;
        self.counter += 1;
        SecurityHeader { sent_level: 0, key, frame_counter, source: Some(self.eui64) }
    }

    fn frame(&self, control: u16, after: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut header = Vec::new();
        let route = Route {
            destination: ShortAddress::COORDINATOR,
            source: ShortAddress(self.address),
            radius: 30,
            sequence: 1,
            destination_eui64: None,
            source_eui64: None,
            multicast: None,
            source_route: None,
        };
        NwkHeader { control, route: Some(route) }.write(&mut header).unwrap();
        let mut frame = vec![0x61, 0x88, 0x07, 0x62, 0x1a, 0x00, 0x00];
        frame.extend(self.address.to_le_bytes());
        let after = after(&header);
        frame.extend([header, after].concat());
        frame
    }

    /// A frame under the network key.
    pub(super) fn data(&mut self, payload: &[u8]) -> Vec<u8> {
        let security = self.security(KeyIdentifier::Network(0));
        self.frame(0x0208, |header| {
            let key = Key::new(self.network_key);
            let mut out = Vec::new();
            security.write(&mut out);
            out.extend(seal(&key, LEVEL, header, &security, self.eui64, payload).unwrap());
            out
        })
    }

    /// A report of attributes of a cluster.
    pub(super) fn report(&mut self, cluster: u16, attributes: &[u8]) -> Vec<u8> {
        let [low, high] = cluster.to_le_bytes();
        self.data(&[&[0x00, 1, low, high, 0x04, 0x01, 1, 9, 0x18, 1, 0x0a], attributes].concat())
    }

    /// A report of the state of a switch, whose last octets have a length that tests count on: eleven octets behind the
    /// header, four of attribute, four of integrity.
    pub(super) fn on_off(&mut self, state: u8) -> Vec<u8> {
        self.report(0x0006, &[0x00, 0x00, 0x10, state])
    }

    /// The network key under a link key, for somebody who joins.
    pub(super) fn transport_network_key(&mut self, to: Eui64, link: Key) -> Vec<u8> {
        let security = self.security(KeyIdentifier::KeyTransport);
        let (header, command, key) = ([0x21, 0x11], self.network_key_for(to), link.key_transport());
        self.frame(0x0008, |_| {
            let mut out = header.to_vec();
            security.write(&mut out);
            out.extend(seal(&key, LEVEL, &header, &security, self.eui64, &command).unwrap());
            out
        })
    }

    /// The same for everybody to hear.
    pub(super) fn open_transport_network_key(&self, to: Eui64) -> Vec<u8> {
        let command = self.network_key_for(to);
        self.frame(0x0008, |_| [&[0x01, 0x11], &command[..]].concat())
    }

    fn network_key_for(&self, to: Eui64) -> Vec<u8> {
        let mut command = vec![0x05, 0x01];
        command.extend(self.network_key);
        command.push(0);
        command.extend(to.0.to_le_bytes());
        command.extend(self.eui64.0.to_le_bytes());
        command
    }
}

/// What a capture of a link type has of a frame.
fn linked(link: u32, frame: &[u8]) -> Vec<u8> {
    let checked = [frame, &fcs(frame).to_le_bytes()].concat();
    match link {
        230 => frame.to_vec(),
        283 => [&[0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 10, 0, 1, 0, 99, 0, 0, 0][..], &checked].concat(),
        _ => checked,
    }
}

fn u32s(big: bool, numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| if big { n.to_be_bytes() } else { n.to_le_bytes() }).collect()
}

/// A file of the older format, a frame each second.
pub(super) fn pcap(link: u32, big: bool, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = u32s(big, &[0xa1b2_c3d4]);
    file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
    file.extend(u32s(big, &[0, 0, 65535, link]));
    for (frame, seconds) in frames.iter().zip(1_800_000_000..) {
        let data = linked(link, frame);
        let len = u32::try_from(data.len()).unwrap();
        file.extend(u32s(big, &[seconds, 1007, len, len]));
        file.extend(data);
    }
    file
}

/// A file of the older format whose frames were longer than what was captured.
pub(super) fn captured(link: u32, frames: &[(Vec<u8>, u32)]) -> Vec<u8> {
    let mut file = pcap(link, false, &[]);
    for (data, whole) in frames {
        file.extend(u32s(false, &[0, 0, u32::try_from(data.len()).unwrap(), *whole]));
        file.extend(data);
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = u32::try_from(body.len() + 12).unwrap();
    [u32s(false, &[kind, length]), body, u32s(false, &[length])].concat()
}

/// A file of the newer format, a frame each second.
pub(super) fn pcapng(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &u32s(false, &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    let clock = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    file.extend(block(1, &[u32s(false, &[link, 65535]), clock.to_vec()].concat()));
    file.extend(block(5, &[0; 12]));
    for (frame, seconds) in frames.iter().zip(1_800_000_000u64..) {
        let data = linked(link, frame);
        let len = u32::try_from(data.len()).unwrap();
        let ticks = (seconds * 1_000_000 + 1007) * 1000;
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
        file.extend(block(6, &[u32s(false, &[0, high, low, len, len]), data].concat()));
    }
    file
}

/// The same without times, and with its order of octets turned.
pub(super) fn pcapng_without_times(frames: &[Vec<u8>]) -> Vec<u8> {
    let turned = |kind: u32, body: Vec<u8>| {
        let length = u32::try_from(body.len() + 12).unwrap();
        [u32s(true, &[kind, length]), body, u32s(true, &[length])].concat()
    };
    let mut file = turned(0x0a0d_0d0a, u32s(true, &[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX]));
    file.extend(turned(1, [&[0, 230, 0, 0][..], &u32s(true, &[65535])].concat()));
    for frame in frames {
        let mut body = u32s(true, &[u32::try_from(frame.len()).unwrap()]);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(turned(3, body));
    }
    file
}
