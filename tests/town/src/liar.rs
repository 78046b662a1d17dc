//! Who sits on a link and does not pass on what it was given.

use bytes::{Bytes, BytesMut};
use thingward_gateway::queue::Queued;
use thingward_model::{DeviceName, Link};
use thingward_mqtt::codec::{
    Ack, AckKind, Delivery, Packet, PublishTopic, ReasonCode, Receiver, Version, decode,
};

use crate::random::Random;

/// A value that no device measured.
const FORGED: &[u8] = br#"[{"n":"","u":"W","v":666000000}]"#;
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Messages that a liar remembers.
const REMEMBERED: usize = 16;

/// What a liar does to a payload; `None` swallows it.
struct Twister {
    random: Random,
    seen: Vec<Bytes>,
}

impl Twister {
    fn twist(&mut self, payload: &Bytes) -> Option<Bytes> {
        if self.seen.len() < REMEMBERED {
            self.seen.push(payload.clone());
        } else {
            let at = self.random.index(REMEMBERED);
            if let Some(place) = self.seen.get_mut(at) {
                *place = payload.clone();
            }
        }
        if !self.random.chance(300) {
            return Some(payload.clone());
        }
        match self.random.below(5) {
            0 => None,
            1 => {
                let mut bytes = payload.to_vec();
                let (at, bit) = (self.random.index(bytes.len().max(1)), self.random.below(8));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                Some(bytes.into())
            }
            2 => self.seen.get(self.random.index(self.seen.len())).cloned(),
            3 => Some(payload.slice(..self.random.index(payload.len() + 1))),
            _ => Some(Bytes::from_static(FORGED)),
        }
    }
}

/// One on a connection, who can read and write what is inside of it.
pub struct LinkLiar {
    up: BytesMut,
    down: BytesMut,
    twister: Twister,
}

impl LinkLiar {
    /// Someone who begins to lie.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self { up: BytesMut::new(), down: BytesMut::new(), twister: Twister { random, seen: Vec::new() } }
    }

    /// Takes what goes up. Gives what goes on, and what comes down in answer to what does not.
    pub fn up(&mut self, bytes: &Bytes) -> (Bytes, Bytes) {
        self.up.extend_from_slice(bytes);
        let (mut on, mut back) = (BytesMut::new(), BytesMut::new());
        while let Ok(Some(packet)) = decode(Receiver::Server, Version::V5, &mut self.up, PACKET_BYTES_MAX) {
            self.pass(packet, &mut on, &mut back);
        }
        (on.freeze(), back.freeze())
    }

    /// Takes what comes down, and gives what goes on.
    pub fn down(&mut self, bytes: &Bytes) -> Bytes {
        self.down.extend_from_slice(bytes);
        let (mut on, mut back) = (BytesMut::new(), BytesMut::new());
        while let Ok(Some(packet)) = decode(Receiver::Client, Version::V5, &mut self.down, PACKET_BYTES_MAX) {
            self.pass(packet, &mut on, &mut back);
        }
        on.freeze()
    }

    fn pass(&mut self, mut packet: Packet, on: &mut BytesMut, back: &mut BytesMut) {
        if let Packet::Publish(publish) = &mut packet
            && matches!(publish.topic, PublishTopic::Name(_))
        {
            match self.twister.twist(&publish.payload) {
                Some(payload) => publish.payload = payload,
                None => {
                    if let Delivery::AtLeastOnce { id, .. } = publish.delivery {
                        let ack = Packet::Ack(AckKind::PubAck, Ack::new(id, ReasonCode::Success));
                        let _ = ack.write(Version::V5, PACKET_BYTES_MAX, back);
                    }
                    return;
                }
            }
        }
        let _ = packet.write(Version::V5, PACKET_BYTES_MAX, on);
    }
}

/// What a gateway makes of what its children say.
#[derive(Clone)]
pub struct GatewayLiar {
    random: Random,
    seen: Vec<Queued>,
    /// Whom it can say that it was.
    others: Vec<DeviceName>,
}

impl GatewayLiar {
    /// A gateway that knows these names.
    #[must_use]
    pub const fn new(random: Random, others: Vec<DeviceName>) -> Self {
        Self { random, seen: Vec::new(), others }
    }

    /// What it passes on in place of a message.
    pub fn twist(&mut self, queued: &Queued) -> Vec<Queued> {
        if self.seen.len() < REMEMBERED {
            self.seen.push(queued.clone());
        }
        if !self.random.chance(300) {
            return vec![queued.clone()];
        }
        let random = &mut self.random;
        let old = self.seen.get(random.index(self.seen.len())).cloned().unwrap_or_else(|| queued.clone());
        let other = self.others.get(random.index(self.others.len())).copied().unwrap_or(queued.child);
        match random.below(7) {
            0 => Vec::new(),
            1 => {
                let mut message = queued.message.clone();
                let at = random.index(message.len().max(1));
                if let Some(byte) = message.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
                vec![Queued { message, ..queued.clone() }]
            }
            // Again, or later than what came behind it.
            2 => vec![queued.clone(), old],
            3 => vec![old],
            4 => vec![Queued { child: other, ..queued.clone() }],
            5 => vec![Queued { link: Link::ZigbeeNetworkKey, ..queued.clone() }],
            _ => vec![queued.clone(), Queued { message: FORGED.to_vec(), ..queued.clone() }],
        }
    }
}
