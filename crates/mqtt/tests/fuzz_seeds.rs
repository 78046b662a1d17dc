//! Packets that fuzzers start from, as they are and bent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail this way")]

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;
use thingward_model::Timestamp;
use thingward_mqtt::broker::{Broker, Limits, OpenGate};
use thingward_mqtt::codec::{Packet, Receiver, Version, decode};

mod vectors;

use vectors::{cases, unhex};

const LIMIT: usize = 1 << 20;
const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04test";

fn seeds() -> Vec<Vec<u8>> {
    let cases = cases("fuzz_seeds.json").unwrap_or_default();
    cases.iter().map(|case| unhex(case["hex"].as_str().unwrap())).collect()
}

/// Reads with both ends; what can be read is written and read the same.
fn read_and_write(version: Version, bytes: &[u8]) {
    for receiver in [Receiver::Server, Receiver::Client] {
        let Ok(Some(packet)) = decode(receiver, version, &mut BytesMut::from(bytes), LIMIT) else { continue };
        let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
        let mut written = BytesMut::new();
        packet.write(version, LIMIT, &mut written).unwrap();
        assert_eq!(decode(receiver, version, &mut written, LIMIT), Ok(Some(packet)));
    }
}

fn play(bytes: &[u8]) {
    let mut broker = Broker::new(OpenGate, Limits::default());
    broker.accept(Timestamp::EPOCH, 1, ());
    broker.receive_bytes(Timestamp::EPOCH, 1, &mut BytesMut::from(CONNECT));
    broker.receive_bytes(Timestamp::EPOCH, 1, &mut BytesMut::from(bytes));
    broker.closed(Timestamp::EPOCH, 1);
    broker.drain();
    assert_eq!(broker.sessions(), 0);
}

#[test]
fn each_seed_is_a_packet_of_one_version_and_round_trips() {
    for seed in seeds() {
        let readable = [Version::V3_1_1, Version::V5].into_iter().any(|version| {
            read_and_write(version, &seed);
            [Receiver::Server, Receiver::Client].into_iter().any(|receiver| {
                matches!(decode(receiver, version, &mut BytesMut::from(&seed[..]), LIMIT), Ok(Some(_)))
            })
        });
        assert!(readable, "{seed:02x?}");
        play(&seed);
    }
}

proptest! {
    #[test]
    fn bent_seeds_harm_neither_codec_nor_broker(
        pick in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<Index>()),
        tail in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let seeds = seeds();
        if seeds.is_empty() {
            return Ok(());
        }
        let mut bytes = pick.get(&seeds).clone();
        for (at, value) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.extend(tail);
        for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
            read_and_write(version, &bytes);
        }
        play(&bytes);
    }
}
