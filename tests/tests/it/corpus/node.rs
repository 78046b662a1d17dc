//! What nodes of one service say to each other.

use thingward_cluster::entry::messages;
use thingward_fuzz::decoders::node::key;
use thingward_ingress::Member;
use thingward_model::{Link, Principal, Role};
use thingward_store::hot::{Batch, Position, Space};

use super::coap::framed;
use super::{NOW, put};

pub(super) fn write() {
    let mut batch = Batch::new();
    batch.put(Space::Sessions, *b"bulb-1", *b"session");
    batch.delete(Space::Commands, *b"bulb-1");
    let changes = batch.encode();
    put("hot_batch", "put-and-delete", &changes);
    let first = messages(&key(), 1, Position::default(), &changes).unwrap();
    let last = Position { sequence: 1, index: 1, term: 1, seal: first.seal };
    let second = messages(&key(), 2, last, &changes).unwrap();
    put("node_journal", "two-terms", &framed(&[first.messages, second.messages].concat()));
    let principal =
        Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: "bulb-1".parse().unwrap() };
    let member = Member { principal, serial: vec![7; 8], not_after: NOW, link: Link::MutualTls };
    let member = member.encode();
    put("node_link", "member", &member);
    let event = |kind: u8, bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[kind], &9_u64.to_be_bytes()[..], &length, bytes].concat()
    };
    put("node_link", "events", &[event(1, &member), event(3, b"\xc0\x00"), event(5, b"")].concat());
}
