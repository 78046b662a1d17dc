//! What nodes of one service say to each other.

use thingward_cluster::entry::messages;
use thingward_fuzz::decoders::node::key;
use thingward_ingress::Member;
use thingward_model::{Link, Principal, Role};
use thingward_store::hot::{Batch, Space};

use super::coap::framed;
use super::{NOW, put};

pub(super) fn write() {
    let mut batch = Batch::new();
    batch.put(Space::Sessions, *b"bulb-1", *b"session");
    batch.delete(Space::Commands, *b"bulb-1");
    let changes = batch.encode();
    put("hot_batch", "put-and-delete", &changes);
    let entry = |term, index| messages(&key(), term, index, &changes).unwrap();
    put("node_journal", "two-terms", &framed(&[entry(1, 1), entry(2, 2)].concat()));
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
