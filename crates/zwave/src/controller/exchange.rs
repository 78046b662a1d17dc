//! Asking one node at a time: a nonce where one is needed, the command, and the answer.

use std::ops::Bound;
use std::time::Duration;

use rand_core::CryptoRng;

use super::Controller;
use super::event::{Event, Outcome, RequestId};
use super::node::{Node, Standing};
use super::transactions::Purpose;
use crate::command_class::encapsulation::SupervisionStatus;
use crate::command_class::wake_up::WakeUp;
use crate::security0::Part;
use crate::security2::{GroupId, KeySlot};
use crate::serial::message::TransmitStatus;
use crate::serial::node_info::Listening;
use crate::{Command, NodeId, SecurityClass};

/// How long a node may take for its half of a nonce: CC, Security 2, "Nonce Report" (at most 20 s for S0, seconds in use).
const NONCE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command may wait for the radio, where the controller lies about it.
const SENDING_TIMEOUT: Duration = Duration::from_secs(150);
/// How long a node may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node may keep all others waiting by saying that it is still at it.
const WORKING_MAX: Duration = Duration::from_secs(30);
/// How often a command is tried when the nonces have come apart, or the radio did not reach.
const TRIES: u8 = 3;

/// What ends an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// That it arrived.
    None,
    /// What the node says of the supervised command.
    Supervision(u8),
    /// The next command of this class.
    Class(u16),
}

/// What is to be sent to a node.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// `None` for what nobody but us waits for.
    pub(super) id: Option<RequestId>,
    pub(super) command: Vec<u8>,
    pub(super) answer: Answer,
    /// Whether it was sent, so that the node may have got it.
    pub(super) sent: bool,
    /// It follows up a message to this group.
    pub(super) group: Option<GroupId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Asked for a nonce.
    Nonce,
    /// Being sent.
    Sending,
    /// It was answered before the radio's acknowledgement came.
    Early(Outcome),
    /// Arrived; waiting for the answer.
    Waiting,
    /// The node does it and will say more; until then at most.
    Working(Duration),
}

pub(super) struct Exchange {
    pub(super) node: NodeId,
    pub(super) outgoing: Outgoing,
    stage: Stage,
    tries: u8,
    /// The second part of a command of Security 0, with its number, once the first is sent.
    pub(super) second: Option<Part>,
    pub(super) due: Option<Duration>,
}

impl<R: CryptoRng> Controller<R> {
    /// Starts with the next node that something waits for.
    pub(super) fn next_exchange(&mut self, now: Duration) {
        let joins = self.inclusion.as_ref().is_some_and(|inclusion| !inclusion.is_waiting());
        if !self.ready || self.exchange.is_some() || joins {
            return;
        }
        // In turn: a node that is asked a lot, or answers nothing, does not keep the ones after it waiting.
        let waits = |(id, node): (&NodeId, &mut Node)| node.pop().map(|outgoing| (*id, outgoing));
        let after = (Bound::Excluded(self.last_asked), Bound::Unbounded);
        let next =
            self.nodes.range_mut(after).find_map(waits).or_else(|| self.nodes.iter_mut().find_map(waits));
        let Some((node, outgoing)) = next else { return };
        self.last_asked = node;
        self.exchange =
            Some(Exchange { node, outgoing, stage: Stage::Sending, tries: 0, second: None, due: None });
        self.try_exchange(now);
    }

    /// Sends the command from its beginning, or asks for the nonce that it needs.
    fn try_exchange(&mut self, now: Duration) {
        if let Some(exchange) = &mut self.exchange {
            exchange.second = None;
        }
        self.go_on_exchange(now);
    }

    fn go_on_exchange(&mut self, now: Duration) {
        let Some(exchange) = &mut self.exchange else { return };
        let node = exchange.node;
        exchange.tries += 1;
        let Some(Standing::Granted(class)) = self.nodes.get(&node).map(|node| node.standing) else {
            return self.end_exchange(Outcome::Gone, now);
        };
        let sealed = match class {
            SecurityClass::S2(class) => {
                let Exchange { outgoing, .. } = exchange;
                match outgoing.group {
                    Some(group) => self.follow_up(node, group),
                    None => {
                        let slot = KeySlot::Class(class);
                        self.security2.seal(node, slot, &outgoing.command, &mut self.rng).ok()
                    }
                }
            }
            SecurityClass::S0 => self.seal0(node, now),
        };
        let Some(exchange) = &mut self.exchange else { return };
        if let Some(frame) = sealed {
            exchange.outgoing.sent = true;
            if exchange.second.is_some() {
                // It asks for the nonce of the second by itself.
                exchange.stage = Stage::Nonce;
                exchange.due = Some(now + NONCE_TIMEOUT);
                return self.transactions.send(Purpose::Aside, node, frame);
            }
            exchange.stage = Stage::Sending;
            exchange.due = Some(now + SENDING_TIMEOUT);
            return self.transactions.send(Purpose::Exchange(node), node, frame);
        }
        if exchange.tries > TRIES {
            return self.end_exchange(Outcome::NoNonce, now);
        }
        exchange.stage = Stage::Nonce;
        exchange.due = Some(now + NONCE_TIMEOUT);
        let command = match class {
            SecurityClass::S2(_) => self.security2.nonce_get(node, &mut self.rng),
            SecurityClass::S0 => self.security0.nonce_get(node),
        };
        self.transactions.send(Purpose::Exchange(node), node, command);
    }

    /// A node told its half of a nonce.
    pub(super) fn exchange_nonce(&mut self, node: NodeId, now: Duration) {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.node == node) {
            self.go_on_exchange(now);
        }
    }

    /// Whether a nonce of this node may be taken: it was asked for, or answers what we sent.
    pub(super) fn exchange_expects_nonce(&self, node: NodeId) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| {
            let waits = !matches!(exchange.stage, Stage::Early(_) | Stage::Working(_));
            exchange.node == node && waits && exchange.tries <= TRIES
        })
    }

    /// Whether a nonce of this node was asked for and has not come.
    pub(super) fn exchange_asked_for_nonce(&self, node: NodeId) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.node == node && exchange.stage == Stage::Nonce)
    }

    pub(super) fn exchange_transmitted(&mut self, node: NodeId, status: TransmitStatus, now: Duration) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.node == node) else { return };
        // Who answered got it, whether or not that was acknowledged.
        let answered = matches!(exchange.stage, Stage::Early(_) | Stage::Working(_));
        if answered || status == TransmitStatus::Acknowledged {
            match exchange.stage.clone() {
                Stage::Sending if exchange.outgoing.answer == Answer::None => {
                    self.end_exchange(Outcome::Delivered, now);
                }
                Stage::Sending => {
                    exchange.stage = Stage::Waiting;
                    exchange.due = Some(now + ANSWER_TIMEOUT);
                }
                Stage::Early(outcome) => self.end_exchange(outcome, now),
                Stage::Nonce | Stage::Waiting | Stage::Working(_) => {}
            }
            return;
        }
        let Some(peer) = self.nodes.get_mut(&node) else { return };
        if peer.listening == Listening::Sleeping {
            // It fell asleep: what was for it waits until it wakes up again.
            peer.awake = false;
            if let Some(exchange) = self.exchange.take() {
                peer.push_back_again(exchange.outgoing);
            }
        } else if exchange.tries < TRIES {
            self.try_exchange(now);
        } else {
            self.end_exchange(Outcome::NotReachable, now);
        }
    }

    /// A command came that may be the answer.
    pub(super) fn exchange_answer(&mut self, node: NodeId, command: &Command, now: Duration) {
        let expected = |exchange: &&mut Exchange| {
            exchange.node == node && exchange.outgoing.answer == Answer::Class(command.class())
        };
        if self.exchange.as_mut().filter(expected).is_some() {
            self.outcome(Outcome::Answered(command.clone()), now);
        }
    }

    pub(super) fn exchange_supervised(
        &mut self,
        node: NodeId,
        session: u8,
        (status, more, takes): (SupervisionStatus, bool, Option<Duration>),
        now: Duration,
    ) {
        let expected = |exchange: &&mut Exchange| {
            exchange.node == node && exchange.outgoing.answer == Answer::Supervision(session)
        };
        let Some(exchange) = self.exchange.as_mut().filter(expected) else { return };
        match status {
            SupervisionStatus::Working if more => {
                let latest =
                    if let Stage::Working(latest) = exchange.stage { latest } else { now + WORKING_MAX };
                exchange.stage = Stage::Working(latest);
                exchange.due = Some(latest.min(now + ANSWER_TIMEOUT + takes.unwrap_or_default()));
            }
            SupervisionStatus::Working => self.outcome(Outcome::Begun, now),
            SupervisionStatus::Success => self.outcome(Outcome::Confirmed, now),
            SupervisionStatus::Fail => self.outcome(Outcome::Failed, now),
            SupervisionStatus::NoSupport => self.outcome(Outcome::NotSupported, now),
        }
    }

    /// The answer may come before the radio's acknowledgement.
    fn outcome(&mut self, outcome: Outcome, now: Duration) {
        match &mut self.exchange {
            Some(Exchange { stage: stage @ Stage::Sending, .. }) => *stage = Stage::Early(outcome),
            Some(_) => self.end_exchange(outcome, now),
            None => {}
        }
    }

    pub(super) fn exchange_due(&mut self, now: Duration) {
        let Some(exchange) = &self.exchange else { return };
        if exchange.due.is_none_or(|due| due > now) {
            return;
        }
        match exchange.stage {
            Stage::Nonce => self.try_exchange(now),
            Stage::Working(_) => self.end_exchange(Outcome::Begun, now),
            Stage::Sending | Stage::Early(_) | Stage::Waiting => self.end_exchange(Outcome::NoAnswer, now),
        }
    }

    fn end_exchange(&mut self, outcome: Outcome, now: Duration) {
        let Some(exchange) = self.exchange.take() else { return };
        match exchange.outgoing.id {
            Some(id) => self.events.push_back(Event::Done(id, outcome)),
            None => self.interview_step(exchange.node),
        }
        self.send_to_sleep(exchange.node);
        self.next_exchange(now);
    }

    /// A node that sleeps may go back to it once nothing waits for it.
    pub(super) fn send_to_sleep(&mut self, node: NodeId) {
        let drained =
            |node: &&mut Node| node.listening == Listening::Sleeping && node.awake && node.is_drained();
        if self.nodes.get_mut(&node).filter(drained).is_none() {
            return;
        }
        let command = Command::from(WakeUp::NoMoreInformation {}).to_bytes();
        if let Some(frame) = self.seal_aside(node, &command) {
            self.transactions.send(Purpose::Aside, node, frame);
        }
        if let Some(node) = self.nodes.get_mut(&node) {
            node.awake = false;
        }
    }

    /// A node is gone: what waited for it comes to nothing.
    pub(super) fn drop_node(&mut self, node: NodeId, now: Duration) {
        self.security2.remove(node);
        self.security0.remove(node);
        if let Some(mut gone) = self.nodes.remove(&node) {
            let ids: Vec<_> = gone.drain().filter_map(|outgoing| outgoing.id).collect();
            self.events.extend(ids.into_iter().map(|id| Event::Done(id, Outcome::Gone)));
        }
        if self.exchange.as_ref().is_some_and(|exchange| exchange.node == node) {
            self.end_exchange(Outcome::Gone, now);
        }
    }
}
