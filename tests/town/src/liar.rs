//! Who sits on a link and does not pass on what it was given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_gateway::queue::Queued;
use thingward_model::{DeviceName, Link, Timestamp};
use thingward_mqtt::codec::{
    Ack, AckKind, Delivery, Packet, PublishTopic, ReasonCode, Receiver, Version, decode,
};
use thingward_mqtt::topic::TopicName;

use thingward_seal::command::{CANONICAL_BYTES_MAX, COMMAND_BYTES_MAX, Command, Data, json, sign};

use crate::START_SECONDS;
use crate::names::{ACTION, Whose};
use crate::random::Random;

/// A value that no device measured.
const FORGED: &[u8] = br#"[{"n":"","u":"W","v":666000000}]"#;
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Where a gateway's topics name the child: `devices/me/children/NAME/commands/ID`.
const CHILD_LEVEL: usize = 3;
/// Messages that a liar remembers.
const REMEMBERED: usize = 16;

/// A message, and where to.
type Said = (TopicName, Bytes);

/// What somebody has seen, of all connections and starts of those between whom it sits.
#[derive(Clone)]
pub struct Memory<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Memory<T> {
    fn remember(&self, what: T, random: &mut Random) {
        let mut seen = lock(&self.0);
        if seen.len() < REMEMBERED {
            return seen.push(what);
        }
        if let Some(place) = seen.get_mut(random.index(REMEMBERED)) {
            *place = what;
        }
    }

    fn any(&self, random: &mut Random) -> Option<T> {
        let seen = lock(&self.0);
        seen.get(random.index(seen.len().max(1))).cloned()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command by nobody, for a device.
fn forged((tenant, device): Whose, random: &mut Random) -> Option<Said> {
    let key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &random.bytes()).ok()?;
    let id: [u8; 16] = random.bytes();
    let input = json::encode(&serde_json::json!(7)).ok()?;
    let issued = Timestamp::from_seconds(START_SECONDS);
    let command = Command {
        tenant,
        device,
        id,
        action: ACTION.parse().ok()?,
        input: Data::from_bytes(&input).ok()?,
        issued,
        expires: issued.plus_micros(86_400_000_000),
        actor: "operator",
    };
    let mut canonical = vec![0; CANONICAL_BYTES_MAX];
    let len = command.encode(&mut canonical).ok()?;
    let mut out = vec![0; COMMAND_BYTES_MAX];
    let signed = sign(&key, canonical.get(..len)?, Some(1), None, &mut out).ok()?;
    out.truncate(signed);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((TopicName::try_from(format!("devices/me/commands/{hex}").as_str()).ok()?, out.into()))
}

/// What a liar does to a message; `None` swallows it.
struct Twister {
    random: Random,
    seen: Memory<Said>,
    /// To whom it goes, when that is a device.
    device: Option<Whose>,
}

impl Twister {
    fn twist(&mut self, said: &Said) -> Option<Said> {
        self.seen.remember(said.clone(), &mut self.random);
        if !self.random.chance(300) {
            return Some(said.clone());
        }
        let (topic, payload) = said.clone();
        match self.random.below(5) {
            0 => None,
            1 => {
                let mut bytes = payload.to_vec();
                let (at, bit) = (self.random.index(bytes.len().max(1)), self.random.below(8));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                Some((topic, bytes.into()))
            }
            2 => self.seen.any(&mut self.random),
            3 => Some((topic, payload.slice(..self.random.index(payload.len() + 1)))),
            _ => match self.device {
                Some(device) => forged(device, &mut self.random),
                None => Some((topic, Bytes::from_static(FORGED))),
            },
        }
    }
}

/// One on a connection, who can read and write what is inside of it.
pub struct LinkLiar {
    up: BytesMut,
    down: BytesMut,
    up_twister: Twister,
    down_twister: Twister,
    /// What goes up with the next that does, in answer to what did not come down.
    answers: BytesMut,
}

/// What somebody on the link of a device remembers, by the way that it went.
#[derive(Default, Clone)]
pub struct LinkMemory {
    up: Memory<Said>,
    down: Memory<Said>,
}

impl LinkLiar {
    /// Someone who begins to lie.
    #[must_use]
    pub fn new(mut random: Random, memory: LinkMemory, device: Whose) -> Self {
        let down = Random::new(random.number());
        let (up_bytes, down_bytes, answers) = Default::default();
        Self {
            up: up_bytes,
            down: down_bytes,
            up_twister: Twister { random, seen: memory.up, device: None },
            down_twister: Twister { random: down, seen: memory.down, device: Some(device) },
            answers,
        }
    }

    /// Takes what goes up. Gives what goes on, and what comes down in answer to what does not.
    pub fn up(&mut self, bytes: &Bytes) -> (Bytes, Bytes) {
        self.up.extend_from_slice(bytes);
        let (mut on, mut back) = (std::mem::take(&mut self.answers), BytesMut::new());
        while let Ok(Some(packet)) = decode(Receiver::Server, Version::V5, &mut self.up, PACKET_BYTES_MAX) {
            pass(&mut self.up_twister, packet, &mut on, &mut back);
        }
        (on.freeze(), back.freeze())
    }

    /// Takes what comes down, and gives what goes on.
    pub fn down(&mut self, bytes: &Bytes) -> Bytes {
        self.down.extend_from_slice(bytes);
        let mut on = BytesMut::new();
        while let Ok(Some(packet)) = decode(Receiver::Client, Version::V5, &mut self.down, PACKET_BYTES_MAX) {
            pass(&mut self.down_twister, packet, &mut on, &mut self.answers);
        }
        on.freeze()
    }
}

fn pass(twister: &mut Twister, mut packet: Packet, on: &mut BytesMut, back: &mut BytesMut) {
    if let Packet::Publish(publish) = &mut packet
        && let PublishTopic::Name(topic) = &publish.topic
    {
        match twister.twist(&(topic.clone(), publish.payload.clone())) {
            Some((topic, payload)) => (publish.topic, publish.payload) = (PublishTopic::Name(topic), payload),
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

/// What a gateway makes of what its children say, and of what they are told. Clones remember the same.
#[derive(Clone)]
pub struct GatewayLiar {
    random: Arc<Mutex<Random>>,
    seen: Memory<Queued>,
    told: Memory<(String, Bytes)>,
    /// Whom it can say that it was.
    others: Vec<DeviceName>,
}

impl GatewayLiar {
    /// A gateway that knows these names.
    #[must_use]
    pub fn new(random: Random, others: Vec<DeviceName>) -> Self {
        let (seen, told) = Default::default();
        Self { random: Arc::new(Mutex::new(random)), seen, told, others }
    }

    /// What it hands down in place of what a child is told; commands for one child may go to another.
    pub fn hand_down(&mut self, topic: &str, payload: &Bytes) -> Vec<(String, Bytes)> {
        let random = &mut *lock(&self.random);
        let said = (topic.to_owned(), payload.clone());
        self.told.remember(said.clone(), random);
        if !random.chance(300) {
            return vec![said];
        }
        let other = self.others.get(random.index(self.others.len()));
        let elsewhere = topic.split('/').enumerate().map(|(level, name)| match other {
            Some(other) if level == CHILD_LEVEL => other.as_str(),
            _ => name,
        });
        match random.below(4) {
            0 => Vec::new(),
            1 => self.told.any(random).into_iter().chain([said]).collect(),
            2 => vec![(elsewhere.collect::<Vec<_>>().join("/"), payload.clone())],
            _ => vec![(elsewhere.collect::<Vec<_>>().join("/"), payload.clone()), said],
        }
    }

    /// What it passes on in place of a message.
    pub fn twist(&mut self, queued: &Queued) -> Vec<Queued> {
        let random = &mut *lock(&self.random);
        self.seen.remember(queued.clone(), random);
        if !random.chance(300) {
            return vec![queued.clone()];
        }
        let old = self.seen.any(random).unwrap_or_else(|| queued.clone());
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
