//! What a node is asked after it joined.

use std::time::Duration;

use rand_core::CryptoRng;

use super::event::Event;
use super::exchange::{Answer, Outgoing};
use super::node::{Node, Standing};
use super::{Controller, RequestError};
use crate::command_class::association::{Association, LIFELINE};
use crate::command_class::information::{ManufacturerSpecific, Version};
use crate::command_class::security::{self, listed_classes};
use crate::command_class::wake_up::{Seconds, WakeUp};
use crate::serial::node_info::Listening;
use crate::{Command, NodeId, SecurityClass};

/// How often a node that sleeps is to wake up.
const WAKE_UP_INTERVAL: Seconds = Seconds(4 * 3600);

impl<R: CryptoRng> Controller<R> {
    /// Asks a node again what it can do: one whose interview was cut short.
    ///
    /// # Errors
    ///
    /// [`RequestError`] where it may not be spoken to.
    pub fn interview(&mut self, node: NodeId, now: Duration) -> Result<(), RequestError> {
        self.node(node)?;
        self.begin_interview(node, now);
        self.go_on(now);
        Ok(())
    }

    /// Asks first which classes it has under its key; what follows depends on that.
    pub(super) fn begin_interview(&mut self, node: NodeId, now: Duration) {
        let Some(peer) = self.nodes.get_mut(&node) else { return };
        let Standing::Granted(class) = peer.standing else { return };
        let command = match class {
            SecurityClass::S2(_) => Command::from(security::Security2::CommandsSupportedGet {}),
            SecurityClass::S0 => security::Security0::CommandsSupportedGet {}.into(),
        };
        push(peer, &command, Answer::Class(command.class()));
        self.next_exchange(now);
    }

    /// Keeps what a report tells about its sender.
    pub(super) fn learn(&mut self, node: NodeId, command: &Command) {
        let classes = match command {
            Command::Security2(security::Security2::CommandsSupportedReport { classes })
            | Command::Security0(security::Security0::CommandsSupportedReport { classes, .. }) => {
                listed_classes(classes)
            }
            _ => return,
        };
        let own = self.own.and_then(|own| own.node.mesh());
        if let (Some(peer), Some(own)) = (self.nodes.get_mut(&node), own) {
            peer.supported.extend(classes);
            if peer.interview == Some(1) {
                push_rest(peer, own);
            }
        }
    }

    /// A step of the interview ended.
    pub(super) fn interview_step(&mut self, node: NodeId) {
        let Some(peer) = self.nodes.get_mut(&node) else { return };
        let Some(left) = peer.interview else { return };
        peer.interview = left.checked_sub(1).filter(|left| *left > 0);
        if peer.interview.is_none() {
            self.events.extend(peer.to_known(node).map(Event::Interviewed));
        }
    }
}

fn push_rest(peer: &mut Node, own: u8) {
    if peer.listening == Listening::Sleeping && peer.supports(WakeUp::CLASS) {
        let set = WakeUp::IntervalSet { wake_up_interval: WAKE_UP_INTERVAL, controller_node_id: own };
        push(peer, &set.into(), Answer::None);
    }
    if peer.supports(Association::CLASS) {
        push(peer, &Association::Set { group_id: LIFELINE, node_ids: vec![own] }.into(), Answer::None);
    }
    for question in [Command::from(ManufacturerSpecific::Get {}), Version::Get {}.into()] {
        if peer.supported.contains(&question.class()) {
            push(peer, &question, Answer::Class(question.class()));
        }
    }
}

/// A node that joined a moment ago has an empty outbox.
fn push(peer: &mut Node, command: &Command, answer: Answer) {
    if peer.push(Outgoing { id: None, command: command.to_bytes(), answer, sent: false, group: None }).is_ok()
    {
        peer.interview = Some(peer.interview.unwrap_or(0) + 1);
    }
}
