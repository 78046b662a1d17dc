//! Security 0 with all nodes that have it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::CryptoRng;

use super::settings::S0Permission;
use crate::command_class::security;
use crate::security0::{EncapsulationError, FRAME_MAX0, NetworkKeys0, Nonce, OwnNonces, Part, open, seal};
use crate::{Command, Key, NodeId};

/// How long a node's nonce may be used: CC, Security 0.
const NONCE_LIFETIME: Duration = Duration::from_secs(10);

pub(super) struct Security0 {
    keys: NetworkKeys0,
    /// Who joins now, under the key that everybody knows.
    joining: Option<NodeId>,
    own: OwnNonces,
    theirs: BTreeMap<NodeId, (Nonce, Duration)>,
    /// First parts of long commands, with their numbers.
    parts: BTreeMap<NodeId, (u8, Vec<u8>, Duration)>,
    pub(super) permissions: Vec<S0Permission>,
    last_part: u8,
}

impl Security0 {
    pub(super) fn new(network: Key) -> Self {
        let keys = NetworkKeys0::derive(network);
        let (own, theirs, parts) = (OwnNonces::default(), BTreeMap::new(), BTreeMap::new());
        Self { keys, joining: None, own, theirs, parts, permissions: Vec::new(), last_part: 0 }
    }

    pub(super) fn is_permitted(&self, node: NodeId) -> bool {
        self.permissions.iter().any(|permission| permission.node() == node)
    }

    /// A permission is for one time of joining: the next node may get the same number.
    pub(super) fn forbid(&mut self, node: NodeId) {
        self.permissions.retain(|permission| permission.node() != node);
    }

    /// A node is gone.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.theirs.remove(&node);
        self.parts.remove(&node);
    }

    pub(super) const fn join(&mut self, node: Option<NodeId>) {
        self.joining = node;
    }

    pub(super) fn nonce_get(&mut self, node: NodeId) -> Vec<u8> {
        self.theirs.remove(&node);
        Command::from(security::Security0::NonceGet {}).to_bytes()
    }

    pub(super) fn nonce_report(&mut self, node: NodeId, now: Duration, rng: &mut impl CryptoRng) -> Vec<u8> {
        let nonce = self.own.tell(node, now, rng);
        Command::from(security::Security0::NonceReport { nonce }).to_bytes()
    }

    pub(super) fn heard_nonce(&mut self, node: NodeId, nonce: Nonce, now: Duration) {
        self.theirs.insert(node, (nonce, now));
    }

    /// A command as what fits in one frame, and in a second where it takes one.
    pub(super) fn parts(&mut self, command: &[u8]) -> (Part, Option<Part>) {
        let Some((first, second)) = command.split_at_checked(FRAME_MAX0).filter(|(_, rest)| !rest.is_empty())
        else {
            return (Part::Whole(command.to_vec()), None);
        };
        self.last_part = (self.last_part + 1) & 0x0f;
        let number = self.last_part;
        (Part::First(number, first.to_vec()), Some(Part::Second(number, second.to_vec())))
    }

    /// `None` where the node's nonce is missing or too old, or the command too long.
    pub(super) fn seal(
        &mut self,
        (own, node): (NodeId, NodeId),
        part: &Part,
        now: Duration,
        rng: &mut impl CryptoRng,
    ) -> Option<Vec<u8>> {
        let (theirs, heard) = self.theirs.remove(&node)?;
        if now.saturating_sub(heard) >= NONCE_LIFETIME {
            return None;
        }
        let mut ours = Nonce::default();
        rng.fill_bytes(&mut ours);
        if self.joining == Some(node) {
            return seal(&NetworkKeys0::initial(), (own, node), (&ours, &theirs), part);
        }
        seal(&self.keys, (own, node), (&ours, &theirs), part)
    }

    /// `None` for the first part of a command, whose second one is to come.
    pub(super) fn open(
        &mut self,
        (node, own): (NodeId, NodeId),
        frame: &[u8],
        now: Duration,
    ) -> Result<Option<Vec<u8>>, EncapsulationError> {
        match open(&self.keys, (node, own), frame, |id| self.own.take(node, id, now))? {
            Part::Whole(command) => Ok(Some(command)),
            Part::First(number, part) => {
                self.parts.insert(node, (number, part, now));
                Ok(None)
            }
            Part::Second(number, second) => {
                let first = self
                    .parts
                    .remove(&node)
                    .filter(|(of, _, came)| *of == number && now.saturating_sub(*came) < NONCE_LIFETIME);
                let (_, mut command, _) = first.ok_or(EncapsulationError::Partial)?;
                command.extend(second);
                Ok(Some(command))
            }
        }
    }

    pub(super) const fn network_key(&self) -> &Key {
        &self.keys.network
    }
}
