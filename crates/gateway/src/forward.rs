//! From the queue to the service: each message in an envelope that the gateway signs. And from the service down:
//! commands for children, as they are.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use bytes::Bytes;
use thingward_agent::segments::Place;
use thingward_agent::stream::SharedSigner;
use thingward_agent::uplink::{Outgoing, Received, Source};
use thingward_model::DeviceName;
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_seal::envelope::ENVELOPE_BYTES_MAX;
use thingward_seal::{Envelope, EnvelopeLink};

use crate::core::{ChildCommand, CoreHandle, SharedQueue};
use crate::queue::Queued;

/// The queue as the uplink sees it.
pub(crate) struct Forwarder {
    pub(crate) queue: SharedQueue,
    pub(crate) key: SharedSigner,
    pub(crate) topic: TopicName,
    pub(crate) core: CoreHandle,
}

impl Forwarder {
    fn envelope(&self, queued: &Queued) -> Option<Bytes> {
        let envelope = Envelope {
            child: queued.child,
            topic: &queued.topic,
            received: queued.received,
            link: EnvelopeLink::MutualTls,
            message: &queued.message,
        };
        let mut out = vec![0; queued.message.len() + ENVELOPE_BYTES_MAX];
        let len = envelope.sign(&self.key.as_ref(), &mut out).ok()?;
        out.truncate(len);
        Some(out.into())
    }

    fn done(&self, (child, place): (DeviceName, Place)) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).done(&child, place);
    }
}

impl Source for Forwarder {
    type Key = (DeviceName, Place);
    type Lane = DeviceName;

    fn lane((child, _): &Self::Key) -> DeviceName {
        *child
    }

    fn next(&mut self, held: &BTreeSet<DeviceName>) -> Option<Outgoing<Self::Key>> {
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next_message(held);
            let (place, queued) = match next {
                Ok(next) => next?,
                Err(error) => {
                    tracing::error!(%error, "a message cannot be read back");
                    return None;
                }
            };
            let key = (queued.child, place);
            match self.envelope(&queued) {
                Some(payload) => {
                    return Some(Outgoing { key, topic: self.topic.clone(), payload, retain: false });
                }
                None => {
                    tracing::error!(child = %queued.child, "a message does not fit an envelope and was dropped");
                    self.done(key);
                }
            }
        }
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        TopicFilter::try_from("devices/me/children/+/commands/+").into_iter().collect()
    }

    fn received(&mut self, message: Received) {
        match ChildCommand::read(message.topic.as_str(), message.payload, message.expires_in) {
            Some(command) => self.core.command(command),
            None => tracing::debug!(topic = %message.topic, "a message that is no command is let go"),
        }
    }

    fn delivered(&mut self, key: Self::Key) {
        self.done(key);
    }

    fn refused(&mut self, key: Self::Key, reason: ReasonCode) -> bool {
        tracing::warn!(child = %key.0, ?reason, "the service refused a message for good");
        self.done(key);
        true
    }
}
