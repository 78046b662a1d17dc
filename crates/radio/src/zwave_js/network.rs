//! The nodes of a server: who is there, what they say, and what they are told.

use std::time::Duration;

use serde_json::{Value as Json, json};
use thingward_model::Link;

use super::message::{Event, Message, NODES_MAX, NodeState, State, ValueState, Written};
use super::node::{self, Node};
use super::value::Key;
use super::{ANSWER_TIME, Broken, CALL_TIME, Phase, Waiting, ZwaveJsRadio};
use crate::wire::{Address, Call, RefusalKind, Report};

/// Most calls that wait.
const CALLS_MAX: usize = 64;

impl ZwaveJsRadio {
    pub(super) fn begin(&mut self, state: State) -> Result<(), Broken> {
        let home = state.controller.home_id.unwrap_or(self.home);
        if home == 0 {
            return Err(Broken::NoNetwork);
        }
        if state.nodes.is_cut {
            return Err(Broken::TooManyNodes);
        }
        let is_there =
            |id: &u16| home == self.home && state.nodes.items.iter().any(|node| node.node_id == *id);
        let gone: Vec<u16> = self.nodes.keys().copied().filter(|id| !is_there(id)).collect();
        gone.into_iter().for_each(|id| self.forget(id));
        self.home = home;
        self.phase = match std::mem::take(&mut self.phase) {
            Phase::Greeting(socket, _) => Phase::Listening(socket),
            other => other,
        };
        self.outbox.report(Report::Ready { network: Address::fitting(&format!("{:08x}", self.home)) });
        for node in &state.nodes.items {
            if Some(node.node_id) != state.controller.own_node_id {
                self.node(node);
            }
        }
        Ok(())
    }

    /// A node is there, or what it has is known better.
    fn node(&mut self, state: &NodeState) {
        let id = state.node_id;
        if !state.ready || state.is_controller_node || self.ignored.contains(&id) {
            return;
        }
        let (node, address) = (Node::new(state), self.address(id));
        let is_excepted = self.exceptions.iter().any(|exception| exception.thing == address);
        if node.standing.is_insecure() && !is_excepted {
            let reason =
                format!("Z-Wave JS says that it has {}, and no exception names it", node.standing.as_str());
            self.outbox.refused(Some(address), RefusalKind::Join, &reason);
            self.forget(id);
            return;
        }
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&id) {
            self.outbox.refused(Some(address), RefusalKind::Join, "there are as many nodes as can be");
            return;
        }
        let told = self.nodes.insert(id, node).map(|before| before.thing(&address));
        let thing = self.nodes.get(&id).map(|node| node.thing(&address));
        if told.is_none() || told != thing {
            self.tell(id);
        }
    }

    fn tell(&mut self, id: u16) {
        let address = self.address(id);
        match self.nodes.get(&id).map(|node| node.thing(&address)) {
            Some(Ok(Some(thing))) => self.outbox.report(Report::Thing(thing)),
            Some(Err(error)) => {
                self.outbox.refused(Some(address), RefusalKind::Malformed, &error.to_string())
            }
            Some(Ok(None)) | None => {}
        }
    }

    pub(super) fn forget(&mut self, id: u16) {
        if self.nodes.remove(&id).is_some() {
            let address = self.address(id);
            self.outbox.report(Report::Left(address));
        }
    }

    pub(super) fn event(&mut self, mut event: Event) -> Result<(), Broken> {
        match (event.source.as_str(), event.event.as_str()) {
            ("controller", "node removed") => {
                if let Some(id) = event.node.map(|node| node.node_id) {
                    self.forget(id);
                    self.ignored.remove(&id);
                }
            }
            ("node", _) if !matches!(self.phase, Phase::Listening(_)) => {}
            ("node", "ready") => {
                if let Some(state) = &event.node_state {
                    self.node(state);
                }
            }
            // All may be another than before, and is told anew: who is not among it then has left.
            ("driver", "driver ready") => {
                if let Phase::Listening(socket) = std::mem::take(&mut self.phase) {
                    self.phase = Phase::Greeting(socket, self.heard + ANSWER_TIME);
                }
                self.command("start_listening", json!({}))?;
            }
            ("node", _) => self.news(&mut event),
            _ => {}
        }
        Ok(())
    }

    /// A node said something.
    fn news(&mut self, event: &mut Event) {
        let Some((id, said)) = event.node_id.zip(event.args.0.as_deref_mut()) else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let key = said.command_class.zip(said.property.as_ref());
        let key = key.and_then(|(class, property)| {
            Key::new(class, said.endpoint, property, said.property_key.as_ref())
        });
        let readings = match (event.event.as_str(), key) {
            ("notification", _) => node::notification(event.cc_id.unwrap_or_default(), said),
            ("value notification", Some(key)) => {
                said.value.as_ref().map_or_else(Vec::new, |value| node::scene(&key, value))
            }
            ("value updated" | "value added", Some(key)) => {
                said.new_value.as_ref().map_or_else(Vec::new, |value| node.changed(&key, value))
            }
            ("metadata updated", Some(_)) => {
                let value = ValueState::of(said);
                if value.is_some_and(|value| node.add(&value)) {
                    self.tell(id);
                }
                return;
            }
            _ => return,
        };
        if !readings.is_empty() {
            let address = self.address(id);
            self.outbox.readings(&address, Link::ZwaveJs, &readings);
        }
    }

    pub(super) fn call(&mut self, call: &Call, now: Duration) -> Result<(), Broken> {
        match self.written(call) {
            Ok((id, target, value)) => {
                let message =
                    self.command("node.set_value", json!({"nodeId": id, "valueId": target, "value": value}))?;
                self.calls.insert(message, Waiting { call: call.id, until: now + CALL_TIME });
            }
            Err(failure) => self.outbox.done(call.id, Some(&failure)),
        }
        Ok(())
    }

    /// Which node gets which value where.
    fn written(&self, call: &Call) -> Result<(u16, Json, Json), String> {
        if !matches!(self.phase, Phase::Listening(_)) {
            return Err("Z-Wave JS is not there".to_owned());
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(format!("{CALLS_MAX} calls wait already"));
        }
        let known = self.nodes.iter().find(|(id, _)| self.address(**id) == call.thing);
        let (id, node) = known.ok_or_else(|| format!("there is no thing {}", call.thing))?;
        let (slot, action) =
            node.action(call.action.as_str()).ok_or_else(|| format!("it has no action {}", call.action))?;
        let value = slot.write(action, &call.arguments).map_err(|error| error.to_string())?;
        Ok((*id, slot.target(), value))
    }

    /// Whether a call waited for it.
    pub(super) fn answered(&mut self, said: &Message) -> bool {
        let id = said.message_id.as_ref().and_then(|id| id.parse().ok());
        let Some(waiting) = id.and_then(|id: u32| self.calls.remove(&id)) else { return false };
        let failure = match &said.result {
            _ if !said.success => Some(format!("Z-Wave JS refuses it: {}", reason(said))),
            result => match result.as_ref().and_then(|result| result.result.as_ref()) {
                Some(written) => Written::failure(written),
                None => Some("Z-Wave JS does not say whether it was done".to_owned()),
            },
        };
        self.outbox.done(waiting.call, failure.as_deref());
        true
    }

    pub(super) fn address(&self, id: u16) -> Address {
        Address::fitting(&format!("{:08x}-{id}", self.home))
    }
}

/// Why the server did not do something, in its words.
pub(super) fn reason(said: &Message) -> String {
    let words = [&said.zwave_error_message, &said.message, &said.error_code];
    let said = words.into_iter().flatten().find(|text| !text.is_empty());
    said.cloned().unwrap_or_else(|| "it does not say why".to_owned())
}
