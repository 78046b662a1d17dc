//! What waits until the gateway has made durable what it is about.

use std::collections::BTreeSet;

use thingward_zwave::NodeId;

/// Something that is told once what it is about is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Then {
    /// The radio works.
    Ready,
    /// A node left. Before others: its number may be that of another by now.
    Left(NodeId),
    /// A node is there.
    Thing(NodeId),
}

/// One thing is kept at a time, so that it is clear what the gateway's answer is about.
#[derive(Default)]
pub(super) struct Keeper {
    is_dirty: bool,
    is_under_way: bool,
    next: BTreeSet<Then>,
    under_way: BTreeSet<Then>,
}

impl Keeper {
    /// Something changed. `then` is told when that is durable.
    pub(super) fn changed(&mut self, then: Option<Then>) {
        self.is_dirty = true;
        self.next.extend(then);
    }

    /// Whether the state is to be kept now.
    pub(super) fn begin(&mut self) -> bool {
        if !self.is_dirty || self.is_under_way {
            return false;
        }
        self.is_dirty = false;
        self.is_under_way = true;
        self.under_way = std::mem::take(&mut self.next);
        true
    }

    /// It is durable; gives what may be told.
    pub(super) fn kept(&mut self) -> BTreeSet<Then> {
        self.is_under_way = false;
        std::mem::take(&mut self.under_way)
    }
}
