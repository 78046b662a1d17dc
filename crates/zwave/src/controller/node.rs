//! One node, as a host sees it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::event::{Refusal, RequestId, Withdrawn};
use super::exchange::Outgoing;
use super::settings::KnownNode;
use crate::command_class::encapsulation::Supervision;
use crate::security0::COMMAND_MAX0;
use crate::security2::{GroupId, TEXT_MAX};
use crate::serial::node_info::Listening;
use crate::{NodeId, SecurityClass};

/// Requests that wait for one node: a sleeping one may be asked as much until it wakes up.
pub const OUTBOX_MAX: usize = 32;

/// Too much waits for the node already; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{OUTBOX_MAX} requests wait for the node already")]
pub struct OutboxFull;

/// How a node stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds this key, the best of those that it was given.
    Granted(SecurityClass),
    /// It is in the network and not believed.
    Refused(Refusal),
}

pub(super) struct Node {
    pub(super) standing: Standing,
    pub(super) listening: Listening,
    pub(super) supported: BTreeSet<u16>,
    pub(super) awake: bool,
    /// What is left to be asked after it joined.
    pub(super) interview: Option<u32>,
    /// The last supervised command of it that was passed on, and when it came.
    pub(super) last_session: Option<(u8, Duration)>,
    /// Groups whose nonces it can follow.
    pub(super) groups: BTreeSet<GroupId>,
    outbox: VecDeque<Outgoing>,
}

impl Node {
    pub(super) fn new(standing: Standing, listening: Listening, supported: &[u16]) -> Self {
        Self {
            standing,
            listening,
            supported: supported.iter().copied().collect(),
            awake: listening != Listening::Sleeping,
            interview: None,
            last_session: None,
            groups: BTreeSet::new(),
            outbox: VecDeque::new(),
        }
    }

    pub(super) fn known(known: &KnownNode) -> Self {
        Self::new(Standing::Granted(known.class), known.listening, &known.supported)
    }

    /// What is to be kept of it.
    pub(super) fn to_known(&self, node: NodeId) -> Option<KnownNode> {
        let Standing::Granted(class) = self.standing else { return None };
        let supported = self.supported.iter().copied().collect();
        Some(KnownNode { node, class, listening: self.listening, supported })
    }

    pub(super) fn supports(&self, class: u8) -> bool {
        self.supported.contains(&class.into())
    }

    /// Whether it says if it did what it was told.
    pub(super) fn is_supervised(&self) -> bool {
        self.supports(Supervision::CLASS)
    }

    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_MAX
    }

    /// Longest command that its link security carries, in bytes.
    pub(super) const fn command_max(&self) -> usize {
        match self.standing {
            Standing::Granted(SecurityClass::S0) => COMMAND_MAX0,
            Standing::Granted(SecurityClass::S2(_)) => TEXT_MAX,
            Standing::Refused(_) => 0,
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) -> Result<(), OutboxFull> {
        if self.is_full() {
            return Err(OutboxFull);
        }
        self.outbox.push_back(outgoing);
        Ok(())
    }

    /// What did not arrive because it fell asleep waits for the next time.
    pub(super) fn push_back_again(&mut self, outgoing: Outgoing) {
        self.outbox.push_front(outgoing);
    }

    /// Takes back what waits.
    pub(super) fn withdraw(&mut self, id: RequestId) -> Option<Withdrawn> {
        let at = self.outbox.iter().position(|outgoing| outgoing.id == Some(id))?;
        let outgoing = self.outbox.remove(at)?;
        Some(if outgoing.sent { Withdrawn::Sent } else { Withdrawn::Unsent })
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        if self.awake { self.outbox.pop_front() } else { None }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.outbox.is_empty()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Outgoing> {
        self.outbox.drain(..)
    }
}
