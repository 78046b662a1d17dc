//! Who comes, who goes, and how what nodes say gets to the host.

use std::time::Duration;

use super::{Coordinator, News, Node, Presence, Said};

const JOINED: u16 = 0x0024;
const INCOMING: u16 = 0x0045;
const KEY_ESTABLISHED: u16 = 0x009b;
/// A node has shown its link key.
const VERIFIED: u8 = 52;
/// An acknowledgement was asked for, and the link key protected it.
const ACKNOWLEDGED: u16 = 0x0040;
pub(super) const ENCRYPTED: u16 = 0x0020;
/// How often a node that is not in the network tries to get in, and how long it leaves it when it could not read its key.
const RETRY: Duration = Duration::from_secs(1);
/// How long it hears nothing before it asks for the network's key.
pub(super) const REJOIN: Duration = Duration::from_secs(20);
const GIVES_UP: Duration = Duration::from_secs(600);

impl Coordinator {
    /// A node that is outside tries to get in.
    pub(super) fn join(&mut self, at: usize) -> Vec<News> {
        let (now, is_open) = (self.now, self.now < self.open_until);
        let key = self.key;
        let Some(node) = self.nodes.get_mut(at) else { return Vec::new() };
        if node.presence == Presence::Joined {
            return self.come_back(at);
        }
        if !is_open || now < node.tries_at {
            return Vec::new();
        }
        match self.expected.get(&node.eui64) {
            None => {
                node.tries_at = now + RETRY;
                self.met(at, 1, 2).into_iter().collect()
            }
            // It cannot read the network's key.
            Some(key) if *key != node.key => {
                node.tries_at = now + GIVES_UP;
                self.met(at, 1, 0).into_iter().collect()
            }
            Some(_) => {
                node.presence = Presence::Joined;
                node.network_key = key;
                let announcement = node.announcement();
                let shown = (KEY_ESTABLISHED, [&node.eui64[..], &[VERIFIED]].concat());
                let shown = node.asks_for_key.then_some(shown);
                let met = self.met(at, 1, 0);
                met.into_iter().chain([self.incoming(at, announcement)]).chain(shown).collect()
            }
        }
    }

    /// A node that hears nothing any more asks for the network's key, and gets it under its own link key where it has one. Without
    /// one it comes under the key that everybody knows, which the coordinator refuses (`NO_ACTION` with `DENY_JOIN`).
    fn come_back(&mut self, at: usize) -> Vec<News> {
        let (now, key) = (self.now, self.key);
        let Some(node) = self.nodes.get_mut(at) else { return Vec::new() };
        if node.network_key == key || now < node.tries_at {
            return Vec::new();
        }
        node.tries_at = now + REJOIN;
        if !node.asks_for_key {
            return self.met(at, 3, 2).into_iter().collect();
        }
        node.network_key = key;
        let announcement = node.announcement();
        self.met(at, 3, 0).into_iter().chain([self.incoming(at, announcement)]).collect()
    }

    pub(super) fn leave(&mut self, eui64: [u8; 8]) -> Vec<News> {
        let there = |node: &Node| node.presence == Presence::Joined && node.eui64 == eui64;
        let Some(at) = self.nodes.iter().position(there) else { return Vec::new() };
        if let Some(node) = self.nodes.get_mut(at) {
            node.presence = Presence::Away;
            node.tries_at = self.now + RETRY;
        }
        self.met(at, 2, 0).into_iter().collect()
    }

    /// What the coordinator has to do with a node, if there is one of this place in the list: how it came or went
    /// (`EmberDeviceUpdate`), and what was decided about it (`EmberJoinDecision`).
    #[must_use]
    pub fn met(&self, at: usize, update: u8, decision: u8) -> Option<News> {
        let node = self.nodes.get(at)?;
        Some((JOINED, [&node.short.to_le_bytes()[..], &node.eui64, &[update, decision, 0, 0]].concat()))
    }

    /// A message of the node of this place in the list.
    pub fn incoming(&mut self, at: usize, said: Said) -> News {
        self.aps = self.aps.wrapping_add(1);
        let node = self.nodes.get(at);
        let is_encrypted = said.profile != 0 && node.is_some_and(|node| node.uses_link_key);
        let options = ACKNOWLEDGED | if is_encrypted { ENCRYPTED } else { 0 };
        let fields = [
            &[0][..],
            &said.profile.to_le_bytes(),
            &said.cluster.to_le_bytes(),
            &[said.endpoint, u8::from(said.profile != 0)],
            &options.to_le_bytes(),
            &[0, 0, self.aps, 200, 0xd0],
            &node.map_or(0, |node| node.short).to_le_bytes(),
            &[0xff, 0xff, u8::try_from(said.payload.len()).unwrap_or(u8::MAX)],
            &said.payload,
        ];
        (INCOMING, fields.concat())
    }
}
