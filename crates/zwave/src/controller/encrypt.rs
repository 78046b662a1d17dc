//! Commands as they go out encrypted.

use std::time::Duration;

use rand_core::CryptoRng;

use super::Controller;
use super::node::Standing;
use crate::security2::{GroupId, KeySlot};
use crate::{NodeId, SecurityClass};

impl<R: CryptoRng> Controller<R> {
    /// The command under Security 0, or the part of it whose turn it is.
    pub(super) fn seal0(&mut self, node: NodeId, now: Duration) -> Option<Vec<u8>> {
        let (own, exchange) = (self.own?.node, self.exchange.as_mut()?);
        let (part, second) = match exchange.second.take() {
            Some(second) => (second, None),
            None => self.security0.parts(&exchange.outgoing.command),
        };
        let frame = self.security0.seal((own, node), &part, now, &mut self.rng)?;
        exchange.second = second;
        Some(frame)
    }

    /// The command again, for one member of the group that it was sent to; with the group's nonces where it lacks them.
    pub(super) fn follow_up(&mut self, node: NodeId, group: GroupId) -> Option<Vec<u8>> {
        let command = &self.exchange.as_ref()?.outgoing.command;
        let groups = &mut self.nodes.get_mut(&node)?.groups;
        let tell = !groups.contains(&group);
        let frame = self.security2.seal_follow_up(group, node, command, tell, &mut self.rng).ok()?;
        groups.insert(group);
        Some(frame)
    }

    /// Encrypts what needs no answer, if that takes no nonce.
    pub(super) fn seal_aside(&mut self, node: NodeId, command: &[u8]) -> Option<Vec<u8>> {
        let Standing::Granted(SecurityClass::S2(class)) = self.nodes.get(&node)?.standing else {
            return None;
        };
        self.security2.seal(node, KeySlot::Class(class), command, &mut self.rng).ok()
    }
}
