//! What has to be remembered, and its bytes: CBOR, with a hash that shows damage, and a version.

mod codec;

use minicbor::{Decode, Encode};
use thingward_model::Link;
use thingward_zigbee::address::{Eui64, PanId, ShortAddress};
use thingward_zigbee::coordinator::Network;
use thingward_zigbee::security::{Key, hash};
use thingward_zigbee::thing::Thing;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::wire::KEPT_BYTES_MAX;

const VERSION: u8 = 1;

/// Why what was kept is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum KeptError {
    #[error("what was kept is of version {0}, and not of 1")]
    Version(u8),
    #[error("what was kept is damaged")]
    Damaged,
}

/// A network with its things.
#[derive(Encode, Decode)]
pub(super) struct Kept {
    /// The coordinator's address: link keys and bindings are with it.
    #[n(0)]
    #[cbor(with = "codec::eui64")]
    pub(super) coordinator: Eui64,
    #[n(1)]
    pub(super) pan: u16,
    #[n(2)]
    #[cbor(with = "codec::eui64")]
    pub(super) extended_pan: Eui64,
    #[n(3)]
    pub(super) channel: u8,
    #[n(4)]
    pub(super) update_id: u8,
    /// The network's key.
    #[n(5)]
    #[cbor(with = "codec::key")]
    pub(super) key: Key,
    #[n(6)]
    pub(super) key_sequence: u8,
    /// A counter that was reached: more are skipped when the network is formed again than are used until this is kept anew.
    #[n(7)]
    pub(super) frame_counter: u32,
    /// What the nodes' own link keys are hashed from.
    #[n(8)]
    #[cbor(with = "codec::key")]
    pub(super) link_key: Key,
    /// Seconds that the network's key was seen in use.
    #[n(9)]
    pub(super) key_seconds: u64,
    #[n(10)]
    pub(super) next: Option<NextKey>,
    #[n(11)]
    pub(super) nodes: Vec<Node>,
}

/// A key that is to be the network's.
#[derive(Encode, Decode)]
pub(super) struct NextKey {
    #[n(0)]
    #[cbor(with = "codec::key")]
    pub(super) key: Key,
    /// Whether nodes were told, or will have been, to use it.
    #[n(1)]
    pub(super) switched: bool,
    /// Whether somebody left who may have it, so that another one has to follow.
    #[n(2)]
    #[cbor(default)]
    pub(super) is_known_outside: bool,
    /// Whether there has to be another key than the network's, and not only because that is old.
    #[n(3)]
    #[cbor(default)]
    pub(super) is_needed: bool,
}

/// How a node came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum Joined {
    /// Under the key of its install code.
    #[n(0)]
    InstallCode,
    /// Under the key that everybody knows, by exception.
    #[n(1)]
    WellKnown,
}

/// A node that is known.
#[derive(Clone, Encode, Decode)]
pub(super) struct Node {
    #[n(0)]
    #[cbor(with = "codec::eui64")]
    pub(super) eui64: Eui64,
    #[n(1)]
    #[cbor(with = "codec::short")]
    pub(super) short: ShortAddress,
    #[n(2)]
    pub(super) joined: Joined,
    /// Whether it has shown a link key of its own, which it got from the coordinator.
    #[n(3)]
    pub(super) own_key: bool,
    #[n(4)]
    pub(super) maker: Option<String>,
    #[n(5)]
    pub(super) model: Option<String>,
    #[n(6)]
    #[cbor(with = "codec::thing")]
    pub(super) thing: Thing,
    /// Whether it was told what to report.
    #[n(7)]
    pub(super) is_set_up: bool,
    /// Whether it listens only now and then.
    #[n(8)]
    pub(super) sleeps: bool,
}

impl Node {
    /// What protects a message, under a link key or under the network's only.
    pub(super) const fn link(&self, is_under_link_key: bool) -> Link {
        match (is_under_link_key, self.joined, self.own_key) {
            (true, Joined::InstallCode, _) => Link::ZigbeeInstallCode,
            (true, Joined::WellKnown, true) => Link::ZigbeeLinkKey,
            // A link key that everybody knows is none.
            (true, Joined::WellKnown, false) | (false, ..) => Link::ZigbeeNetworkKey,
        }
    }

    /// The best that protects its link: that of a link key only when it has shown that it has one.
    pub(super) const fn best_link(&self) -> Link {
        self.link(self.own_key)
    }

    /// What people call it.
    pub(super) fn title(&self) -> String {
        let words: Vec<&str> = [&self.maker, &self.model].into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { format!("Zigbee {}", self.eui64) } else { words.join(" ") }
    }
}

impl Kept {
    pub(super) fn new(coordinator: Eui64, network: Network, link_key: Key) -> Self {
        Self {
            coordinator,
            pan: network.pan.0,
            extended_pan: network.extended_pan,
            channel: network.channel,
            update_id: network.update_id,
            key: network.key,
            key_sequence: network.key_sequence,
            frame_counter: network.frame_counter,
            link_key,
            key_seconds: 0,
            next: None,
            nodes: Vec::new(),
        }
    }

    /// The network, as it is formed again.
    pub(super) fn network(&self) -> Network {
        Network {
            pan: PanId(self.pan),
            extended_pan: self.extended_pan,
            channel: self.channel,
            update_id: self.update_id,
            key: self.key.clone(),
            key_sequence: self.key_sequence,
            frame_counter: self.frame_counter,
        }
    }

    pub(super) fn node(&self, eui64: Eui64) -> Option<&Node> {
        self.nodes.iter().find(|node| node.eui64 == eui64)
    }

    pub(super) fn node_mut(&mut self, eui64: Eui64) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.eui64 == eui64)
    }

    pub(super) fn at(&self, short: ShortAddress) -> Option<&Node> {
        self.nodes.iter().find(|node| node.short == short && short != ShortAddress::UNKNOWN)
    }

    /// The coordinator says where a node is: nobody else is there. Whether that is new.
    pub(super) fn place(&mut self, eui64: Eui64, short: ShortAddress) -> bool {
        let is_new = self.node(eui64).is_some_and(|node| node.short != short);
        for node in self.nodes.iter_mut().filter(|_| is_new) {
            if node.eui64 == eui64 {
                node.short = short;
            } else if node.short == short {
                node.short = ShortAddress::UNKNOWN;
            }
        }
        is_new
    }

    /// Takes a node, in place of what was known of it.
    pub(super) fn put(&mut self, node: Node) {
        self.nodes.retain(|known| known.eui64 != node.eui64);
        for known in self.nodes.iter_mut().filter(|known| known.short == node.short) {
            known.short = ShortAddress::UNKNOWN;
        }
        self.nodes.push(node);
    }

    /// The next key is the network's. Whether another one has to follow.
    pub(super) fn switch(&mut self, sequence: u8) -> bool {
        let Some(next) = self.next.take() else { return false };
        self.key = next.key;
        self.key_sequence = sequence;
        // As if it had been in use for ever.
        self.key_seconds = if next.is_known_outside { u64::MAX } else { 0 };
        next.is_known_outside
    }

    /// The bytes; `None` when they are more than may be kept.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        // With room from the start: what grows leaves copies of keys behind.
        let mut body = Zeroizing::new(Vec::with_capacity(KEPT_BYTES_MAX));
        // A vector takes everything.
        let _ = minicbor::encode(self, &mut *body);
        let mut bytes = Vec::with_capacity(body.len() + 32);
        let mut encoder = minicbor::Encoder::new(&mut bytes);
        let _ = encoder.array(3).and_then(|e| e.u8(VERSION)).and_then(|e| e.bytes(&hash(&body)));
        let _ = encoder.bytes(&body);
        (bytes.len() <= KEPT_BYTES_MAX).then_some(bytes)
    }

    /// What was kept.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KeptError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let damaged = |_| KeptError::Damaged;
        decoder.array().map_err(damaged)?.filter(|parts| *parts == 3).ok_or(KeptError::Damaged)?;
        match decoder.u8().map_err(damaged)? {
            VERSION => {}
            other => return Err(KeptError::Version(other)),
        }
        let digest = decoder.bytes().map_err(damaged)?;
        let body = decoder.bytes().map_err(damaged)?;
        if decoder.position() != bytes.len() || hash(body) != digest {
            return Err(KeptError::Damaged);
        }
        minicbor::decode(body).map_err(damaged)
    }
}
