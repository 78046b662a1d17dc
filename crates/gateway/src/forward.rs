//! From the queue to the service: each message in an envelope that the gateway signs, and questions for the time. And from
//! the service down: commands for children, as they are, and the time.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use bytes::Bytes;
use thingward_agent::segments::Place;
use thingward_agent::stream::SharedSigner;
use thingward_agent::uplink::{Outgoing, Received, Source};
use thingward_device::link::Kind;
use thingward_model::DeviceName;
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_seal::Envelope;
use thingward_seal::envelope::ENVELOPE_BYTES_MAX;
use tokio::sync::oneshot;

use crate::core::{ChildCommand, CoreHandle, SharedQueue};
use crate::queue::Queued;
use crate::serial::Visit;
use crate::switchboard::{Extension, Switchboard};
use crate::time::{self, Questions};

/// The queue as the uplink sees it.
pub(crate) struct Forwarder {
    pub(crate) queue: SharedQueue,
    pub(crate) key: SharedSigner,
    pub(crate) topic: TopicName,
    pub(crate) core: CoreHandle,
    pub(crate) questions: Questions,
    pub(crate) switchboard: Switchboard,
}

/// The child in a topic about this of it.
fn child_in<'t>(topic: &'t str, what: &str) -> Option<&'t str> {
    topic.strip_prefix("devices/me/children/")?.strip_suffix(what)
}

/// What is on its way.
pub(crate) enum Key {
    Message(DeviceName, Place),
    Question,
}

impl Forwarder {
    fn envelope(&self, queued: &Queued) -> Option<Bytes> {
        let envelope = Envelope {
            child: queued.child,
            topic: &queued.topic,
            received: queued.received,
            link: queued.link,
            message: &queued.message,
        };
        let mut out = vec![0; queued.message.len() + ENVELOPE_BYTES_MAX];
        let len = envelope.sign(&self.key.as_ref(), &mut out).ok()?;
        out.truncate(len);
        Some(out.into())
    }

    /// The next question for the time.
    fn question(&self) -> Option<Outgoing<Key>> {
        let topic = format!("{}{}", time::TOPIC, base16ct::lower::encode_string(&self.questions.next()?));
        let topic = TopicName::try_from(topic.as_str()).ok()?;
        Some(Outgoing { key: Key::Question, topic, payload: Bytes::new(), retain: false })
    }

    fn extension(&self, child: &str) -> Option<Extension> {
        child.parse().ok().and_then(|child: DeviceName| self.switchboard.find(&child))
    }

    /// Brings a chip what was taken back of its grants. One that is away is told when it is there; a child with a session
    /// asks the service itself.
    fn take_back(&self, child: &str, revocation: Vec<u8>) {
        let (answer, _) = oneshot::channel();
        if let Some(chip) = self.extension(child)
            && chip.visitors.try_send(Visit { kind: Kind::Revocation, body: revocation, answer }).is_err()
        {
            tracing::info!(child, "a chip is told later what was taken back");
        }
    }

    fn done(&self, child: &DeviceName, place: Place) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).done(child, place);
    }
}

impl Source for Forwarder {
    type Key = Key;
    /// Of a child; questions have one of their own.
    type Lane = Option<DeviceName>;

    fn lane(key: &Key) -> Self::Lane {
        match key {
            Key::Message(child, _) => Some(*child),
            Key::Question => None,
        }
    }

    fn next(&mut self, held: &BTreeSet<Self::Lane>) -> Option<Outgoing<Key>> {
        if !held.contains(&None)
            && let Some(question) = self.question()
        {
            return Some(question);
        }
        let held = held.iter().copied().flatten().collect();
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next_message(&held);
            let (place, queued) = match next {
                Ok(next) => next?,
                Err(error) => {
                    tracing::error!(%error, "a message cannot be read back");
                    return None;
                }
            };
            match self.envelope(&queued) {
                Some(payload) => {
                    let key = Key::Message(queued.child, place);
                    return Some(Outgoing { key, topic: self.topic.clone(), payload, retain: false });
                }
                None => {
                    tracing::error!(child = %queued.child, "a message does not fit an envelope and was dropped");
                    self.done(&queued.child, place);
                }
            }
        }
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        let filters = [
            "devices/me/children/+/commands/+",
            "devices/me/children/+/grants/revocation",
            "devices/me/children/+/attestation",
            "devices/me/time/+",
        ];
        filters.into_iter().filter_map(|filter| TopicFilter::try_from(filter).ok()).collect()
    }

    fn received(&mut self, message: Received) {
        let topic = message.topic.as_str();
        if topic.starts_with(time::TOPIC) {
            return self.questions.answered(topic, message.payload);
        }
        if let Some(child) = child_in(topic, "/grants/revocation") {
            return self.take_back(child, message.payload.to_vec());
        }
        if let Some(child) = child_in(topic, "/attestation") {
            // One that is away proves itself when it is there.
            if let Some(chip) = self.extension(child) {
                chip.evidence.notify_one();
            }
            return;
        }
        match ChildCommand::read(topic, message.payload, message.expires_in) {
            Some(command) => self.core.command(command),
            None => tracing::debug!(topic = %message.topic, "a message that is no command is let go"),
        }
    }

    fn delivered(&mut self, key: Key) {
        if let Key::Message(child, place) = key {
            self.done(&child, place);
        }
    }

    fn refused(&mut self, key: Key, reason: ReasonCode) -> bool {
        match key {
            Key::Message(child, place) => {
                tracing::warn!(%child, ?reason, "the service refused a message for good");
                self.done(&child, place);
            }
            Key::Question => tracing::warn!(?reason, "the service does not say what time it is"),
        }
        true
    }
}
