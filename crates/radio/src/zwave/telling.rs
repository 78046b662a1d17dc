//! What nodes are, say and are told.

use std::time::Duration;

use rand_core::CryptoRng;
use thingward_zwave::affordance::{Action, follow_ups, questions};
use thingward_zwave::command_class::information::DeviceResetLocally;
use thingward_zwave::controller::{KnownNode, Outcome, RequestId};
use thingward_zwave::serial::node_info::Listening;
use thingward_zwave::{Command, LinkSecurity, NodeId};

use super::calls::{self, Called, PATIENCE};
use super::describe::describe;
use super::keeper::Then;
use super::member::link;
use super::network::Network;
use crate::outbox::Outbox;
use crate::wire::{Call, Report, Sentence, Thing};

/// Most questions that wait for their time.
const LATER_MAX: usize = 64;
/// What a change takes beyond what it was told to take.
const AFTERWARDS: Duration = Duration::from_secs(1);

impl<R: CryptoRng> Network<R> {
    /// A node was asked what it can do.
    pub(super) fn interviewed(&mut self, known: KnownNode) {
        let node = known.node;
        if let Some(member) = self.kept.members.get_mut(&node) {
            member.known = known;
            member.interviewed = true;
            self.keeper.changed(Some(Then::Thing(node)));
        }
    }

    /// Tells what a node is.
    pub(super) fn announce(&mut self, node: NodeId, out: &mut Outbox) {
        let Some((address, member)) = self.address(node).zip(self.kept.members.get(&node)) else { return };
        match describe(member) {
            Ok(description) => {
                self.announced.insert(node);
                out.report(Report::Thing(Thing { address, link: member.link(), description }));
            }
            Err(error) => {
                let trouble = format!("{address} cannot be described: {error}");
                out.report(Report::Trouble(Sentence::fitting(&trouble)));
            }
        }
    }

    /// Asks for every value that a node has. What does not find room is left to the node to say.
    pub(super) fn ask_values(&mut self, node: NodeId, now: Duration) {
        let Some(member) = self.kept.members.get(&node) else { return };
        let classes: Vec<u8> = member.classes().collect();
        for class in classes {
            for question in questions(class) {
                if self.host.get(node, &question, now).is_ok() {
                    self.asked.insert((node, class));
                }
            }
        }
    }

    /// A node said something.
    pub(super) fn told(
        &mut self,
        node: NodeId,
        endpoint: u8,
        security: LinkSecurity,
        command: &Command,
        out: &mut Outbox,
        now: Duration,
    ) {
        if command.class() == u16::from(DeviceResetLocally::CLASS) {
            self.host.refuse(node, now);
            return self.forget(node);
        }
        let listed = follow_ups(command);
        let class = u8::try_from(command.class()).unwrap_or_default();
        // Only once for each time that it was asked.
        if !listed.is_empty() && self.asked.remove(&(node, class)) {
            for question in listed {
                let _ = self.host.get(node, &question, now);
            }
        }
        let Some(member) = self.kept.members.get_mut(&node) else { return };
        let told = member.told(endpoint, command);
        let mut is_news = false;
        let mut readings = Vec::with_capacity(told.len());
        for (reading, learned) in told {
            is_news |= member.learn(learned);
            readings.push(reading);
        }
        if is_news && member.interviewed {
            self.keeper.changed(Some(Then::Thing(node)));
        }
        // Before a thing is announced there is nobody to whom it would be told. Then everything is asked for.
        if let Some(thing) = self.address(node).filter(|_| self.announced.contains(&node)) {
            out.readings(&thing, link(security), &readings);
        }
    }

    /// Has a node do something.
    pub(super) fn call(&mut self, call: &Call, out: &mut Outbox, now: Duration) {
        if let Err(failure) = self.begin_call(call, now) {
            out.done(call.id, Some(&failure));
        }
    }

    fn begin_call(&mut self, call: &Call, now: Duration) -> Result<(), String> {
        let node = self.node(&call.thing).ok_or("there is no such thing")?;
        let member = self.kept.members.get(&node).ok_or("there is no such thing")?;
        let named = |action: &&Action| action.name == call.action.as_str();
        let action = member.actions().into_iter().find(named).ok_or("it has no such action")?;
        let command = calls::command(action, &call.arguments).map_err(|error| error.to_string())?;
        let request = self.host.set(node, &command, now).map_err(|error| error.to_string())?;
        let takes = calls::takes(action, &call.arguments);
        let called = Called { id: call.id, node, asks: action.asks(), takes, due: now + PATIENCE };
        self.calls.insert(request, called);
        Ok(())
    }

    /// A request came to its end.
    pub(super) fn done(&mut self, request: RequestId, outcome: &Outcome, out: &mut Outbox, now: Duration) {
        let Some(called) = self.calls.remove(request) else { return };
        let failure = calls::failure(outcome);
        out.done(called.id, failure);
        let Some(asks) = called.asks.filter(|_| failure.is_none()) else { return };
        if !called.takes.is_zero() && self.later.len() < LATER_MAX {
            self.later.push((now + called.takes + AFTERWARDS, called.node, asks.clone()));
        }
        // What finds no room the node says by itself.
        let _ = self.host.get(called.node, &asks, now);
    }

    /// Takes back what waited too long.
    pub(super) fn calls_due(&mut self, out: &mut Outbox, now: Duration) {
        for request in self.calls.overdue(now) {
            let Some(withdrawn) = self.host.withdraw(request) else { continue };
            let Some(called) = self.calls.remove(request) else { continue };
            let member = self.kept.members.get(&called.node);
            let listening = member.map_or(Listening::Sleeping, |member| member.known.listening);
            out.done(called.id, Some(calls::taken_back(withdrawn, listening)));
        }
    }

    pub(super) fn ask_later(&mut self, now: Duration) {
        for (_, node, question) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            let _ = self.host.get(node, &question, now);
        }
    }
}
