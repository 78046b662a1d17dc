//! Plays the packet sequences of the shared vectors against the broker, byte by byte.
//!
//! Two grades: *strict* wants every byte. *Lenient* lets a refused client be closed without the optional DISCONNECT
//! or CONNACK, and leaves the properties of CONNACK free. `docs/wire/mqtt-deviations.md` lists the cases that may
//! fail; a listed case that passes fails the test, so that the list can only shrink.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail this way"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use thingward_model::Timestamp;
use thingward_mqtt::broker::{Broker, Effect, Limits, Message, OpenGate};
use thingward_mqtt::codec::{MessageProperties, QoS};
use thingward_mqtt::topic::TopicName;

mod vectors;

use vectors::{cases, unhex};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CONN: u64 = 1;

struct Player {
    broker: Broker<OpenGate>,
    received: Vec<u8>,
    closed: bool,
}

impl Player {
    fn new() -> Self {
        let mut broker = Broker::new(OpenGate, Limits::conformance());
        broker.accept(NOW, CONN, ());
        Self { broker, received: Vec::new(), closed: false }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.broker.receive_bytes(NOW, CONN, &mut BytesMut::from(bytes));
        self.collect();
    }

    fn publish(&mut self, step: &Value) {
        let qos = u8::try_from(step["qos"].as_u64().unwrap()).unwrap();
        let message = Message {
            topic: TopicName::try_from(step["topic"].as_str().unwrap()).unwrap(),
            payload: Bytes::copy_from_slice(step["payload"].as_str().unwrap().as_bytes()),
            qos: QoS::from_level(qos).unwrap(),
            retain: false,
            properties: MessageProperties::default(),
            author: Bytes::new(),
        };
        self.broker.publish(NOW, message).unwrap();
        self.collect();
    }

    fn collect(&mut self) {
        for effect in self.broker.drain().effects {
            match effect {
                Effect::Send { conn: CONN, bytes } => self.received.extend_from_slice(&bytes),
                Effect::Close { conn: CONN } => self.closed = true,
                other => panic!("{other:?}"),
            }
        }
    }

    fn connect(&mut self, version: u64) {
        self.send(match version {
            3 => b"\x10\x12\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x04test",
            4 => b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test",
            _ => b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04test",
        });
        assert!(self.received.starts_with(&[0x20]) && self.received[3] == 0, "CONNACK 0");
        self.received.clear();
    }

    /// The packet that was received next, or nothing.
    fn next_packet(&mut self) -> Vec<u8> {
        // No sequence receives a packet of 128 bytes or more.
        let len = self.received.get(1).map_or(0, |len| usize::from(*len) + 2);
        self.received.drain(..len.min(self.received.len())).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grade {
    strict: bool,
    lenient: bool,
}

fn play(case: &Value) -> Grade {
    let mut player = Player::new();
    if case["connect"].as_bool().unwrap() {
        player.connect(case["ver"].as_u64().unwrap());
    }
    let refused = case["expect_disconnect"].as_bool().unwrap();
    let mut grade = Grade { strict: true, lenient: true };
    for step in case["msgs"].as_array().unwrap() {
        let payload = step["payload"].as_str().unwrap();
        match step["type"].as_str().unwrap() {
            "send" => player.send(&unhex(payload)),
            "publish" => player.publish(step),
            _ => grade.expect(&unhex(payload), &player.next_packet(), refused),
        }
    }
    if !refused {
        player.send(&[0xc0, 0x00]);
        let answer = player.next_packet();
        grade.both(answer == [0xd0, 0x00]);
    }
    grade.both(player.received.is_empty());
    grade.both(player.closed == refused);
    grade
}

impl Grade {
    fn both(&mut self, holds: bool) {
        self.strict &= holds;
        self.lenient &= holds;
    }

    fn expect(&mut self, wanted: &[u8], got: &[u8], refused: bool) {
        self.strict &= wanted == got;
        let optional = refused && (wanted[0] == 0xe0 || (wanted[0] == 0x20 && wanted[3] != 0));
        let same_connack =
            wanted[0] == 0x20 && got.len() > 3 && [got[0], got[2], got[3]] == [0x20, wanted[2], wanted[3]];
        self.lenient &= wanted == got || (optional && got.is_empty()) || same_connack;
    }
}

#[test]
fn the_packet_sequences_pass_but_for_the_listed_deviations() {
    let Some(cases) = cases("packet_sequences.json") else { return };
    let listed = deviations();
    let (mut strict, mut lenient) = (0, 0);
    let mut wrong = Vec::new();
    let mut unused = listed.clone();
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let grade = play(case);
        strict += usize::from(grade.strict);
        lenient += usize::from(grade.lenient);
        unused.remove(id);
        if grade.strict == listed.contains(id) {
            wrong.push(format!("{id} {grade:?} {}", case["name"]));
        }
    }
    println!("{} sequences: {strict} strict, {lenient} lenient", cases.len());
    assert!(wrong.is_empty(), "listed and passing, or failing and not listed:\n{}", wrong.join("\n"));
    assert!(unused.is_empty(), "listed and not in the vectors: {unused:?}");
}

/// The ids in the first column of the table.
fn deviations() -> BTreeSet<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/mqtt-deviations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let ids = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    ids.map(|(id, _)| id.to_owned()).collect()
}
