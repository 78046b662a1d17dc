//! Nodes that join: the protocol's part, and then who decides about keys.
//!
//! [`security2`] is the key exchange of Security 2, [`security0`] that of what came before. A node with neither, or for which
//! one of them ends, is refused: it stays in the network, and nothing of it is believed.

mod join2;
mod security0;
mod security2;

use std::time::Duration;

use rand_core::CryptoRng;

use super::event::{Event, Refusal, Unsound};
use super::node::{Node, Standing};
use super::transactions::Purpose;
use super::{Controller, RequestError};
use crate::command_class::security;
use crate::serial::message::MembershipStatus;
use crate::serial::node_info::Listening;
use crate::serial::{AddMode, NodeInfo, Request};
use crate::{Dsk, NodeId, SecurityClass};
use join2::Join2;
use security0::Join0;

/// How long somebody has for putting a node into learn mode.
pub(super) const LEARN_TIMEOUT: Duration = Duration::from_secs(120);
/// How long each step of the other end may take: CC, Security 2, timers TA1 to TA7 (10 s).
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long somebody has for the digits: CC, Security 2, timer TAI2 (240 s).
const PIN_TIMEOUT: Duration = Duration::from_secs(240);

/// Somebody joins.
pub(super) struct Inclusion {
    stage: Stage,
    callback: u8,
    /// The device-specific key that is expected.
    expected: Option<Dsk>,
    pub(super) due: Duration,
}

impl Inclusion {
    /// Whether nobody has come yet, so that others may be spoken to.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }
}

enum Stage {
    /// Nobody yet.
    Waiting,
    /// The protocol lets a node in.
    Protocol(NodeInfo),
    /// The controller is told to let nobody else in, and asked how the node listens.
    Closing(NodeInfo),
    /// Keys of Security 2 are exchanged.
    Security2(Box<Join2>),
    /// Somebody has to permit Security 0, or its key is handed out.
    Security0(Join0),
}

impl<R: CryptoRng> Controller<R> {
    /// Waits for a node that wants to join.
    ///
    /// # Errors
    ///
    /// [`RequestError`] while somebody joins or leaves already.
    pub fn include(&mut self, now: Duration) -> Result<(), RequestError> {
        self.include_any(None, now)
    }

    /// Waits for the node with this device-specific key, which is compared whole.
    ///
    /// # Errors
    ///
    /// [`RequestError`] while somebody joins or leaves already.
    pub fn include_expected(&mut self, dsk: Dsk, now: Duration) -> Result<(), RequestError> {
        self.include_any(Some(dsk), now)
    }

    fn include_any(&mut self, expected: Option<Dsk>, now: Duration) -> Result<(), RequestError> {
        if !self.ready {
            return Err(RequestError::NotReady);
        }
        if self.excluding.is_some() || self.inclusion.is_some() {
            return Err(RequestError::Membership);
        }
        self.begin_inclusion(AddMode::Any, expected, now);
        self.go_on(now);
        Ok(())
    }

    /// Ends the waiting, where nobody has come yet; whether nobody is joining.
    pub fn stop_waiting(&mut self, now: Duration) -> bool {
        let waits = self.inclusion.as_ref().is_some_and(Inclusion::is_waiting);
        if waits {
            self.cancel_inclusion(now);
        }
        self.inclusion.is_none()
    }

    /// Ends what is under way. A node that has half joined is refused.
    pub fn cancel_inclusion(&mut self, now: Duration) {
        self.fail_inclusion(Refusal::Cancelled, Some(security::KexFail::Cancel), now);
        self.go_on(now);
    }

    pub(super) fn begin_inclusion(&mut self, mode: AddMode, expected: Option<Dsk>, now: Duration) {
        let callback = self.transactions.add(mode);
        let due = now + LEARN_TIMEOUT;
        self.inclusion = Some(Inclusion { stage: Stage::Waiting, callback, expected, due });
    }

    pub(super) fn adding(&mut self, callback: u8, status: MembershipStatus, now: Duration) {
        let Some(inclusion) = self.inclusion.as_mut().filter(|inclusion| inclusion.callback == callback)
        else {
            // What is left to be said when we told it to stop.
            return;
        };
        match (status, &inclusion.stage) {
            (MembershipStatus::Ready, Stage::Waiting) => self.events.push_back(Event::Including),
            (MembershipStatus::Node(Some(info)), Stage::Waiting) => {
                if self.own.is_some_and(|own| own.node == info.node) {
                    return self.unsound(Some(info.node), Unsound::Status);
                }
                inclusion.stage = Stage::Protocol(info);
                inclusion.due = now + LEARN_TIMEOUT;
            }
            (MembershipStatus::ProtocolDone, Stage::Protocol(info)) => {
                let info = info.clone();
                self.close(info, now);
            }
            (MembershipStatus::Failed, Stage::Waiting | Stage::Protocol(_)) => {
                self.fail_inclusion(Refusal::Timeout, None, now);
            }
            (MembershipStatus::Found | MembershipStatus::Done(_) | MembershipStatus::Other(_), _) => {}
            _ => self.unsound(None, Unsound::Status),
        }
    }

    /// Nobody else is let in while keys are exchanged.
    fn close(&mut self, info: NodeInfo, now: Duration) {
        let node = info.node;
        // A node that was there under this number is another one from here on.
        self.drop_node(node, now);
        let Some(inclusion) = &mut self.inclusion else { return };
        inclusion.callback = self.transactions.add(AddMode::Stop);
        inclusion.stage = Stage::Closing(info);
        inclusion.due = now + STEP_TIMEOUT;
        self.events.push_back(Event::Joining(node));
        self.transactions.query(Purpose::ProtocolInfo(node), &Request::GetProtocolInfo(node));
    }

    /// How the joining node listens; from here on it is asked for keys.
    pub(super) fn protocol_info(&mut self, node: NodeId, listening: Listening, now: Duration) {
        let Some(Inclusion { stage: Stage::Closing(info), .. }) = &self.inclusion else { return };
        if info.node != node {
            return;
        }
        let info = info.clone();
        let supports = |class: u8| info.supported.contains(&class.into());
        if supports(security::Security2::CLASS) {
            self.begin_security2(info, listening, now);
        } else if self.inclusion.as_ref().is_some_and(|inclusion| inclusion.expected.is_some()) {
            // It was let in for a key that only Security 2 shows.
            self.fail_inclusion(Refusal::OtherDsk, None, now);
        } else if supports(security::Security0::CLASS) {
            self.begin_security0(info, listening, now);
        } else {
            self.fail_inclusion(Refusal::NoSecurity, None, now);
        }
    }

    /// The node that joins, once the protocol has let it in.
    pub(super) fn joining(&self) -> Option<NodeId> {
        match &self.inclusion.as_ref()?.stage {
            Stage::Security2(join) => Some(join.node()),
            Stage::Security0(join) => Some(join.node()),
            Stage::Waiting | Stage::Protocol(_) | Stage::Closing(_) => None,
        }
    }

    pub(super) fn inclusion_due(&mut self, now: Duration) {
        let Some(inclusion) = self.inclusion.as_ref().filter(|inclusion| inclusion.due <= now) else {
            return;
        };
        let refusal = match &inclusion.stage {
            Stage::Security2(join) if join.waits_for_pin() => Refusal::NoPin,
            Stage::Security0(join) if join.waits_for_permission() => Refusal::S0NotPermitted,
            _ => Refusal::Timeout,
        };
        self.fail_inclusion(refusal, Some(security::KexFail::Cancel), now);
    }

    /// Nobody joins, or who did is refused; the node is told where it listens to that.
    fn fail_inclusion(&mut self, refusal: Refusal, told: Option<security::KexFail>, now: Duration) {
        let Some(inclusion) = self.inclusion.take() else { return };
        let (node, listening) = match &inclusion.stage {
            Stage::Waiting => {
                self.transactions.add(AddMode::Stop);
                self.events.push_back(Event::InclusionEnded);
                return self.listen_for_smart_start();
            }
            Stage::Protocol(info) => {
                self.transactions.add(AddMode::Stop);
                (info.node, Listening::Sleeping)
            }
            Stage::Closing(info) => (info.node, Listening::Sleeping),
            Stage::Security2(join) => {
                if let Some(reason) = told {
                    self.tell_kex_fail(join.node(), reason);
                }
                (join.node(), join.listening())
            }
            Stage::Security0(join) => (join.node(), join.listening()),
        };
        self.security2.end_exchange();
        self.security0.join(None);
        self.security0.forbid(node);
        // One that was there before the protocol let this one in.
        self.drop_node(node, now);
        self.nodes.insert(node, Node::new(Standing::Refused(refusal), listening, &[]));
        self.events.push_back(Event::Refused(node, refusal));
        self.listen_for_smart_start();
        self.next_exchange(now);
    }

    /// A node holds its keys.
    fn included(&mut self, info: &NodeInfo, listening: Listening, class: SecurityClass, now: Duration) {
        let expected = self.inclusion.take().and_then(|inclusion| inclusion.expected);
        self.provisioned.retain(|dsk| Some(*dsk) != expected);
        self.security2.end_exchange();
        self.security0.join(None);
        self.security0.forbid(info.node);
        let mut node = Node::new(Standing::Granted(class), listening, &info.supported);
        // It is awake for a while after it joined.
        node.awake = true;
        self.events.extend(node.to_known(info.node).map(Event::Included));
        self.nodes.insert(info.node, node);
        self.begin_interview(info.node, now);
        self.listen_for_smart_start();
    }
}
