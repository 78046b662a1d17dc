//! Several nodes that do the same at the same time: one message for all, then each one is asked whether it did.

use std::collections::BTreeSet;
use std::time::Duration;

use rand_core::CryptoRng;

use super::exchange::{Answer, Outgoing};
use super::node::Standing;
use super::{Controller, RequestError, RequestId};
use crate::security2::GroupId;
use crate::serial::node_info::Listening;
use crate::{Command, NodeId, S2Class, SecurityClass};

/// Groups that are kept; the oldest one gives way.
const GROUPS_MAX: usize = 32;
/// Longest command that goes to several nodes, in bytes: such a message has no segments, so that it is one frame of 46
/// bytes, of which 15 are around the command.
const COMMAND_MAX: usize = 46 - 15;

pub(super) struct Group {
    id: GroupId,
    class: S2Class,
    members: BTreeSet<NodeId>,
}

impl<R: CryptoRng> Controller<R> {
    /// Has nodes do the same at once. They hold one class of Security 2 as their best, listen always and answer
    /// supervised commands. Each is asked again by itself, and says whether it did.
    ///
    /// # Errors
    ///
    /// [`RequestError`], with nothing asked; [`RequestError::Group`] for nodes that are no such group.
    pub fn set_all(
        &mut self,
        nodes: &[NodeId],
        command: &Command,
        now: Duration,
    ) -> Result<Vec<RequestId>, RequestError> {
        let members: BTreeSet<_> = nodes.iter().copied().collect();
        let class = self.common_class(&members)?;
        let (bytes, session) = self.supervise(command);
        if bytes.len() > COMMAND_MAX {
            return Err(RequestError::TooLong);
        }
        let group = self.group(class, members.clone());
        let message = self.security2.seal_multicast(group, &bytes).map_err(|_| RequestError::Group)?;
        self.transactions.send_multicast(members.iter().copied().collect(), message);
        let mut asked = Vec::with_capacity(members.len());
        for node in members {
            let id = self.next_id();
            let (answer, command) = (Answer::Supervision(session), bytes.clone());
            let node = self.nodes.get_mut(&node).ok_or(RequestError::NoNode(node))?;
            node.push(Outgoing { id: Some(id), command, answer, sent: false, group: Some(group) })?;
            asked.push(id);
        }
        self.go_on(now);
        Ok(asked)
    }

    fn common_class(&self, members: &BTreeSet<NodeId>) -> Result<S2Class, RequestError> {
        let mut common = None;
        for node in members {
            let node = self.node(*node)?;
            let Standing::Granted(SecurityClass::S2(class)) = node.standing else {
                return Err(RequestError::Group);
            };
            let fits = node.listening == Listening::Always && node.is_supervised() && !node.is_full();
            if !fits || common.is_some_and(|common| common != class) {
                return Err(RequestError::Group);
            }
            common = Some(class);
        }
        common.ok_or(RequestError::Group)
    }

    /// The group of these members: the one that there is, or a new one.
    fn group(&mut self, class: S2Class, members: BTreeSet<NodeId>) -> GroupId {
        let same = |group: &&Group| group.class == class && group.members == members;
        if let Some(group) = self.groups.iter().find(same) {
            return group.id;
        }
        if self.groups.len() >= GROUPS_MAX {
            self.groups.remove(0);
        }
        // Numbers come round after 255 groups, of which 32 are kept.
        self.last_group = self.last_group.checked_add(1).unwrap_or(1);
        let id = GroupId(self.last_group);
        self.security2.insert_group(id, class, &mut self.rng);
        for node in self.nodes.values_mut() {
            node.groups.remove(&id);
        }
        self.groups.push(Group { id, class, members });
        id
    }
}
