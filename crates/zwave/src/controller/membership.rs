//! Nodes that leave, and things that want to join by themselves.

use std::time::Duration;

use rand_core::CryptoRng;

use super::event::{Event, Unsound};
use super::inclusion::LEARN_TIMEOUT;
use super::settings::S0Permission;
use super::{Controller, RequestError};
use crate::serial::AddMode;
use crate::serial::message::MembershipStatus;
use crate::{Dsk, HomeId, NodeId};

/// Things that may join by themselves.
pub(super) const PROVISIONED_MAX: usize = 232;

impl<R: CryptoRng> Controller<R> {
    /// Lets the thing with this device-specific key join by itself, as soon as it is powered (SmartStart).
    ///
    /// # Errors
    ///
    /// [`RequestError::Membership`] for more than a network has room for.
    pub fn provision(&mut self, dsk: Dsk, now: Duration) -> Result<(), RequestError> {
        if self.provisioned.len() >= PROVISIONED_MAX {
            return Err(RequestError::Membership);
        }
        if !self.provisioned.contains(&dsk) {
            self.provisioned.push(dsk);
        }
        self.listen_for_smart_start();
        self.go_on(now);
        Ok(())
    }

    /// Lets it in no more. One that is joining already goes on.
    pub fn withdraw_provision(&mut self, dsk: &Dsk, now: Duration) {
        let Some(at) = self.provisioned.iter().position(|provisioned| provisioned == dsk) else { return };
        self.provisioned.remove(at);
        if self.ready && self.inclusion.is_none() && self.excluding.is_none() && self.provisioned.is_empty() {
            self.transactions.add(AddMode::Stop);
        }
        self.go_on(now);
    }

    /// Permits Security 0 to one node, for a reason, when it joins: once it has, or was refused, the permission is spent.
    pub fn permit_s0(&mut self, permission: S0Permission, now: Duration) {
        self.security0.forbid(permission.node());
        self.security0.permissions.push(permission);
        self.s0_permitted(now);
        self.go_on(now);
    }

    /// Waits for a node that wants to leave.
    ///
    /// # Errors
    ///
    /// [`RequestError`] while somebody joins or leaves already.
    pub fn exclude(&mut self, now: Duration) -> Result<(), RequestError> {
        if !self.ready {
            return Err(RequestError::NotReady);
        }
        if self.excluding.is_some() || self.inclusion.is_some() {
            return Err(RequestError::Membership);
        }
        self.excluding = Some(now + LEARN_TIMEOUT);
        self.transactions.remove(true);
        self.go_on(now);
        Ok(())
    }

    pub(super) fn listen_for_smart_start(&mut self) {
        if self.ready && self.inclusion.is_none() && self.excluding.is_none() && !self.provisioned.is_empty()
        {
            self.transactions.add(AddMode::SmartStartListen);
        }
    }

    /// A thing wants to join by itself: it is let in if it is expected.
    pub(super) fn smart_start(&mut self, home: HomeId, now: Duration) {
        if !self.ready || self.inclusion.is_some() || self.excluding.is_some() {
            return;
        }
        let expected = self.provisioned.iter().copied().find(|dsk| dsk.smart_start_home_id() == home.0);
        match expected {
            Some(dsk) => self.begin_inclusion(AddMode::SmartStart(dsk), Some(dsk), now),
            None => self.unsound(None, Unsound::Stranger),
        }
    }

    pub(super) fn removing(&mut self, status: MembershipStatus, now: Duration) {
        if self.excluding.is_none() {
            return self.unsound(None, Unsound::Status);
        }
        match status {
            MembershipStatus::Ready => self.events.push_back(Event::Excluding),
            MembershipStatus::Node(info) => {
                let node = info.map(|info| info.node);
                self.left(node, now);
            }
            MembershipStatus::Done(node) => {
                self.left(node, now);
                self.end_exclusion();
            }
            MembershipStatus::Failed => self.fail_exclusion(),
            MembershipStatus::Found | MembershipStatus::ProtocolDone | MembershipStatus::Other(_) => {}
        }
    }

    fn left(&mut self, node: Option<NodeId>, now: Duration) {
        if let Some(node) = node.filter(|node| self.nodes.contains_key(node)) {
            self.drop_node(node, now);
            self.security0.forbid(node);
            self.events.push_back(Event::Excluded(node));
        }
    }

    /// Nobody left in time.
    pub(super) fn exclusion_due(&mut self, now: Duration) {
        if self.excluding.is_some_and(|due| due <= now) {
            self.fail_exclusion();
        }
    }

    fn fail_exclusion(&mut self) {
        self.events.push_back(Event::ExclusionEnded);
        self.end_exclusion();
    }

    fn end_exclusion(&mut self) {
        self.excluding = None;
        self.transactions.remove(false);
        self.listen_for_smart_start();
    }
}
