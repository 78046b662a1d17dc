//! Handing out the key of Security 0, to who may have it: CC, Security 0, "Network inclusion".

use std::time::Duration;

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::{Inclusion, STEP_TIMEOUT, Stage};
use crate::command_class::security::{HandedKey, Security0};
use crate::controller::Controller;
use crate::controller::event::{Event, Unsound};
use crate::controller::receive::Origin;
use crate::controller::transactions::Purpose;
use crate::security0::Part;
use crate::serial::NodeInfo;
use crate::serial::node_info::Listening;
use crate::{Command, LinkSecurity, NodeId, SecurityClass};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Somebody has to permit it.
    Permission,
    /// It says which schemes it has.
    Scheme,
    /// It tells a nonce for the key.
    Nonce,
    /// It shows that it has the key.
    Verify,
}

pub(super) struct Join0 {
    info: NodeInfo,
    listening: Listening,
    step: Step,
}

impl Join0 {
    pub(super) const fn node(&self) -> NodeId {
        self.info.node
    }

    pub(super) const fn listening(&self) -> Listening {
        self.listening
    }

    pub(super) fn waits_for_permission(&self) -> bool {
        self.step == Step::Permission
    }
}

impl<R: CryptoRng> Controller<R> {
    pub(super) fn begin_security0(&mut self, info: NodeInfo, listening: Listening, now: Duration) {
        let node = info.node;
        let permitted = self.security0.is_permitted(node);
        if let Some(inclusion) = &mut self.inclusion {
            inclusion.stage = Stage::Security0(Join0 { info, listening, step: Step::Permission });
            inclusion.due = now + STEP_TIMEOUT;
        }
        if permitted {
            self.s0_permitted(now);
        } else {
            self.events.push_back(Event::S0Asked(node));
        }
    }

    /// Somebody permitted Security 0, perhaps to the node that waits for it.
    pub(in crate::controller) fn s0_permitted(&mut self, now: Duration) {
        let Some(join) = self.join0() else { return };
        let node = join.node();
        if join.step == Step::Permission && self.security0.is_permitted(node) {
            self.security0.join(Some(node));
            self.send0(node, &Security0::SchemeGet { schemes: 0 }.into());
            self.step0(Step::Scheme, now);
        }
    }

    pub(in crate::controller) fn joining_command0(
        &mut self,
        command: Security0,
        origin: Origin,
        now: Duration,
    ) {
        let node = origin.node;
        let step = self.join0().filter(|join| join.node() == node).map(|join| join.step);
        match (step, command) {
            (Some(Step::Scheme), Security0::SchemeReport { .. }) => {
                let nonce_get = self.security0.nonce_get(node);
                self.transactions.send(Purpose::Aside, node, nonce_get);
                self.step0(Step::Nonce, now);
            }
            (Some(Step::Verify), Security0::NetworkKeyVerify {}) if origin.security == LinkSecurity::S0 => {
                if let Some(join) = self.join0() {
                    let (info, listening) = (join.info.clone(), join.listening);
                    self.included(&info, listening, SecurityClass::S0, now);
                }
            }
            _ => self.unsound(Some(node), Unsound::KeyExchange),
        }
    }

    /// Whether the joining node was asked for a nonce and has not told it.
    pub(in crate::controller) fn joining_expects_nonce0(&self, node: NodeId) -> bool {
        self.join0().is_some_and(|join| join.node() == node && join.step == Step::Nonce)
    }

    /// The joining node told a nonce: the key goes out under the key that everybody knows.
    pub(in crate::controller) fn joining_nonce0(&mut self, node: NodeId, now: Duration) {
        let Some(own) = self.own.filter(|_| self.joining_expects_nonce0(node)) else { return };
        let network_key = HandedKey(self.security0.network_key().clone());
        let mut whole = Part::Whole(Command::from(Security0::NetworkKeySet { network_key }).to_bytes());
        let sealed = self.security0.seal((own.node, node), &whole, now, &mut self.rng);
        if let Part::Whole(command) = &mut whole {
            command.zeroize();
        }
        if let Some(frame) = sealed {
            self.transactions.send(Purpose::Aside, node, frame);
            self.security0.join(None);
            self.step0(Step::Verify, now);
        }
    }

    /// The node that joins with Security 0, once that is permitted; or with both, for its key of Security 0.
    pub(in crate::controller) fn joining0(&self) -> Option<NodeId> {
        match self.join0() {
            Some(join) => Some(join.node()).filter(|_| join.step != Step::Permission),
            None => self.joining().filter(|node| self.security0.is_permitted(*node)),
        }
    }

    fn send0(&mut self, node: NodeId, command: &Command) {
        self.transactions.send(Purpose::Aside, node, command.to_bytes());
    }

    fn step0(&mut self, step: Step, now: Duration) {
        if let Some(Inclusion { stage: Stage::Security0(join), due, .. }) = &mut self.inclusion {
            join.step = step;
            *due = now + STEP_TIMEOUT;
        }
    }

    fn join0(&self) -> Option<&Join0> {
        match &self.inclusion {
            Some(Inclusion { stage: Stage::Security0(join), .. }) => Some(join),
            _ => None,
        }
    }
}
