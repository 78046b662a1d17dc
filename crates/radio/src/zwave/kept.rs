//! What a driver of Z-Wave has its gateway keep: keys, and which nodes hold them.

use std::collections::BTreeMap;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use thingward_zwave::controller::{KnownNode, NetworkKeySet};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{HomeId, Key, NodeId, SecurityClass};
use thiserror::Error;
use zeroize::Zeroize;

use super::member::{LEARNED_MAX, Learned, Member};
use crate::wire::{KEPT_BYTES_MAX, Secret};

/// Version of what is written.
const VERSION: u8 = 1;
/// Most nodes of a network.
const NODES_MAX: usize = 232;
/// Most command classes of a node.
const CLASSES_MAX: usize = 256;

/// Why what was kept is not used. A new network in its place would have other keys, and would lock out every node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum KeptError {
    /// It was written by a later version.
    #[error("what was kept is of version {0}, which is not known")]
    Version(u8),
    /// It is not what was written.
    #[error("what was kept is damaged: {0}")]
    Damaged(String),
}

/// A network.
#[derive(Clone)]
pub(super) struct Kept {
    /// Which; not known until its controller has said so.
    pub(super) home: Option<HomeId>,
    pub(super) keys: NetworkKeySet,
    pub(super) members: BTreeMap<NodeId, Member>,
}

#[derive(Encode, Decode)]
struct Written {
    #[n(0)]
    home: Option<u32>,
    #[n(1)]
    keys: [ByteArray<16>; 4],
    #[n(2)]
    nodes: Vec<WrittenNode>,
}

#[derive(Encode, Decode)]
struct WrittenNode {
    #[n(0)]
    node: u16,
    /// The bit of its class in the key fields of Security 2.
    #[n(1)]
    class: u8,
    /// 0 always, 1 frequently, 2 sleeping.
    #[n(2)]
    listening: u8,
    #[n(3)]
    supported: Vec<u16>,
    #[n(4)]
    interviewed: bool,
    #[n(5)]
    learned: Vec<Learned>,
}

impl Kept {
    /// Its bytes. What its nodes have shown is left out where there is no room: it is seen again.
    pub(super) fn write(&self) -> Secret {
        let whole = self.write_with(true);
        if whole.expose().len() <= KEPT_BYTES_MAX { whole } else { self.write_with(false) }
    }

    fn write_with(&self, learned: bool) -> Secret {
        let nodes = self.members.values().map(|member| WrittenNode::of(member, learned)).collect();
        let mut written = Written { home: self.home.map(|home| home.0), keys: keys_to(&self.keys), nodes };
        // Not moved while it grows, so that nothing is left behind.
        let mut bytes = Vec::with_capacity(2 * KEPT_BYTES_MAX);
        bytes.push(VERSION);
        // A vector takes everything.
        let _ = minicbor::encode(&written, &mut bytes);
        written.keys.iter_mut().for_each(|key| key.zeroize());
        Secret::new(bytes)
    }

    /// Reads them.
    pub(super) fn read(secret: &Secret) -> Result<Self, KeptError> {
        let damaged = |why: &str| KeptError::Damaged(why.to_owned());
        let (version, body) = secret.expose().split_first().ok_or_else(|| damaged("it is empty"))?;
        if *version != VERSION {
            return Err(KeptError::Version(*version));
        }
        let mut decoder = minicbor::Decoder::new(body);
        let mut written: Written = decoder.decode().map_err(|error| damaged(&error.to_string()))?;
        let keys = keys_of(&written.keys);
        written.keys.iter_mut().for_each(|key| key.zeroize());
        if decoder.position() != body.len() {
            return Err(damaged("something is behind it"));
        }
        if written.nodes.len() > NODES_MAX || (written.home.is_none() && !written.nodes.is_empty()) {
            return Err(damaged("nodes that no network has"));
        }
        let mut members = BTreeMap::new();
        for node in written.nodes {
            let member = node.member().ok_or_else(|| damaged("a node that is none"))?;
            members.insert(member.known.node, member);
        }
        Ok(Self { home: written.home.map(HomeId), keys, members })
    }
}

impl WrittenNode {
    fn of(member: &Member, learned: bool) -> Self {
        let KnownNode { node, class, listening, supported } = &member.known;
        let listening = match listening {
            Listening::Always => 0,
            Listening::Frequently => 1,
            Listening::Sleeping => 2,
        };
        Self {
            node: node.number(),
            class: class.bit(),
            listening,
            supported: supported.iter().copied().take(CLASSES_MAX).collect(),
            interviewed: member.interviewed,
            learned: if learned { member.learned.clone() } else { Vec::new() },
        }
    }

    fn member(self) -> Option<Member> {
        let listening = match self.listening {
            0 => Listening::Always,
            1 => Listening::Frequently,
            2 => Listening::Sleeping,
            _ => return None,
        };
        if self.supported.len() > CLASSES_MAX || self.learned.len() > LEARNED_MAX {
            return None;
        }
        let (node, class) = (NodeId::new(self.node)?, SecurityClass::from_bit(self.class)?);
        let known = KnownNode { node, class, listening, supported: self.supported };
        Some(Member { known, interviewed: self.interviewed, learned: self.learned })
    }
}

fn keys_to(keys: &NetworkKeySet) -> [ByteArray<16>; 4] {
    SecurityClass::ALL.map(|class| ByteArray::from(*keys.of(class).expose()))
}

/// In the order of the classes, the best first.
fn keys_of(written: &[ByteArray<16>; 4]) -> NetworkKeySet {
    let [access_control, authenticated, unauthenticated, s0] = written.each_ref().map(|key| Key::new(**key));
    NetworkKeySet { unauthenticated, authenticated, access_control, s0 }
}
