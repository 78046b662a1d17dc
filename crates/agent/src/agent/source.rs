//! What goes up over the uplink, and what comes down: readings, the description, commands and their replies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use thingward_model::StreamName;
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};
use tokio::sync::Notify;

use super::actions::Actions;
use super::lock;
use super::streams::{Streams, Ticket};
use crate::commands::{OutgoingReply, hex, id_of_topic};
use crate::uplink::{Outgoing, Received, Source};

/// Where the service says which grants it takes back.
const REVOCATION: &str = "devices/me/grants/revocation";
/// Where the service asks for evidence.
const ATTESTATION: &str = "devices/me/attestation";
/// Where the service says that the membership is another now.
const MEMBERSHIP: &str = "devices/me/membership";

/// Replies first: somebody waits for them. Then the description, and the telemetry of all streams, in turn.
pub(super) struct DeviceSource {
    streams: Arc<Mutex<Streams>>,
    actions: Option<Actions>,
    description: Description,
    asked: Arc<Asked>,
    /// What was said last of the membership: it comes again with each connection.
    heard: Bytes,
}

/// What the service asks the device for.
#[derive(Default)]
pub(super) struct Asked {
    /// New evidence.
    pub(super) evidence: Notify,
    /// To look at its membership.
    pub(super) membership: Notify,
}

/// The description goes up once in the life of a process: it does not change in it.
struct Description {
    bytes: Bytes,
    state: DescriptionState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DescriptionState {
    ToSend,
    OnTheWay,
    Ended,
}

/// Names a message on its way.
pub(super) enum Key {
    Reading(Ticket),
    Reply(OutgoingReply),
    Description,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Replies,
    Description,
    Stream(StreamName),
}

impl DeviceSource {
    /// `description` is the document; empty for none.
    pub(super) fn new(
        streams: Arc<Mutex<Streams>>,
        actions: Option<Actions>,
        description: Bytes,
        asked: Arc<Asked>,
    ) -> Self {
        let state = if description.is_empty() { DescriptionState::Ended } else { DescriptionState::ToSend };
        Self {
            streams,
            actions,
            description: Description { bytes: description, state },
            asked,
            heard: Bytes::new(),
        }
    }

    fn next_reply(&self) -> Option<Outgoing<Key>> {
        let reply = self.actions.as_ref()?.with(|commands| commands.next_reply())?;
        let area = if reply.presentation.is_empty() { "replies" } else { "uses" };
        let topic = topic(&format!("devices/me/{area}/{}", hex(&reply.id)))?;
        let payload = [&reply.bytes[..], &reply.presentation].concat().into();
        Some(Outgoing { key: Key::Reply(reply), topic, payload, retain: false })
    }

    fn next_description(&mut self) -> Option<Outgoing<Key>> {
        if self.description.state != DescriptionState::ToSend {
            return None;
        }
        let topic = topic("devices/me/state/description")?;
        self.description.state = DescriptionState::OnTheWay;
        Some(Outgoing { key: Key::Description, topic, payload: self.description.bytes.clone(), retain: true })
    }

    fn next_reading(&self, held: &BTreeSet<Lane>) -> Option<Outgoing<Key>> {
        let streams = held.iter().filter_map(|lane| match lane {
            Lane::Stream(name) => Some(*name),
            Lane::Replies | Lane::Description => None,
        });
        let (ticket, payload) = lock(&self.streams).next(&streams.collect())?;
        // A stream's name is a topic level as it is.
        let topic = topic(&format!("devices/me/telemetry/{}", ticket.stream()))?;
        Some(Outgoing { key: Key::Reading(ticket), topic, payload: payload.into(), retain: false })
    }
}

fn topic(text: &str) -> Option<TopicName> {
    TopicName::try_from(text).ok()
}

impl Source for DeviceSource {
    type Key = Key;
    type Lane = Lane;

    fn lane(key: &Key) -> Lane {
        match key {
            Key::Reading(ticket) => Lane::Stream(*ticket.stream()),
            Key::Reply(_) => Lane::Replies,
            Key::Description => Lane::Description,
        }
    }

    fn next(&mut self, held: &BTreeSet<Lane>) -> Option<Outgoing<Key>> {
        let reply = if held.contains(&Lane::Replies) { None } else { self.next_reply() };
        reply.or_else(|| self.next_description()).or_else(|| self.next_reading(held))
    }

    fn delivered(&mut self, key: Key) {
        match key {
            Key::Reading(ticket) => lock(&self.streams).ended(&ticket),
            Key::Reply(reply) => self.reply_ended(reply),
            Key::Description => self.description.state = DescriptionState::Ended,
        }
    }

    fn refused(&mut self, key: Key, reason: ReasonCode) -> bool {
        let code = reason.code();
        match key {
            Key::Reading(ticket) => {
                let dropped = lock(&self.streams).refused(&ticket, reason);
                if dropped {
                    tracing::error!(stream = %ticket.stream(), code, "readings refused for good and dropped");
                }
                dropped
            }
            Key::Reply(reply) => {
                tracing::error!(id = %hex(&reply.id), code, "a reply was refused for good");
                self.reply_ended(reply);
                true
            }
            Key::Description => {
                tracing::error!(code, "the description was refused for good");
                self.description.state = DescriptionState::Ended;
                true
            }
        }
    }

    fn connected(&mut self) {
        lock(&self.streams).connected();
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        let takes_grants = |actions: &Actions| actions.with(|commands| commands.takes_grants());
        let commands = self.actions.as_ref().map(|_| "devices/me/commands/+");
        let grants = self.actions.as_ref().filter(|actions| takes_grants(actions)).map(|_| REVOCATION);
        let filters = [ATTESTATION, MEMBERSHIP].into_iter().chain(commands).chain(grants);
        filters.filter_map(|filter| TopicFilter::try_from(filter).ok()).collect()
    }

    fn received(&mut self, message: Received) {
        let topic = message.topic.as_str();
        match (&self.actions, id_of_topic(topic)) {
            (Some(actions), Some(id)) => actions.receive(id, &message.payload),
            (Some(actions), None) if topic == REVOCATION => {
                if let Err(error) = actions.with(|commands| commands.take_back(&message.payload)) {
                    tracing::warn!(%error, "a revocation of grants has no effect");
                }
            }
            (_, None) if topic == ATTESTATION => self.asked.evidence.notify_one(),
            (_, None) if topic == MEMBERSHIP => {
                if message.payload != self.heard {
                    self.heard = message.payload;
                    self.asked.membership.notify_one();
                }
            }
            _ => tracing::debug!(topic, "a message that is no command is let go"),
        }
    }
}

impl DeviceSource {
    fn reply_ended(&self, reply: OutgoingReply) {
        if let Some(actions) = &self.actions {
            actions.with(|commands| commands.reply_ended(reply));
        }
    }
}
