//! The streams as a source of messages for the uplink.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use thingward_model::StreamName;
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::TopicName;

use super::lock;
use super::streams::{Streams, Ticket};
use crate::uplink::{Outgoing, Source};

/// Telemetry of all streams, in turn.
pub(super) struct StreamSource(Arc<Mutex<Streams>>);

impl StreamSource {
    pub(super) const fn new(streams: Arc<Mutex<Streams>>) -> Self {
        Self(streams)
    }
}

impl Source for StreamSource {
    type Key = Ticket;
    type Lane = StreamName;

    fn lane(key: &Ticket) -> StreamName {
        *key.stream()
    }

    fn next(&mut self, held: &BTreeSet<StreamName>) -> Option<Outgoing<Ticket>> {
        let (key, payload) = lock(&self.0).next(held)?;
        // A stream's name is a topic level as it is.
        let topic = TopicName::try_from(format!("devices/me/telemetry/{}", key.stream()).as_str()).ok()?;
        Some(Outgoing { key, topic, payload: payload.into(), retain: false })
    }

    fn delivered(&mut self, key: Ticket) {
        lock(&self.0).ended(&key);
    }

    fn refused(&mut self, key: Ticket, reason: ReasonCode) -> bool {
        let dropped = lock(&self.0).refused(&key, reason);
        if dropped {
            tracing::error!(stream = %key.stream(), code = reason.code(), "readings refused for good and dropped");
        }
        dropped
    }

    fn connected(&mut self) {
        lock(&self.0).connected();
    }
}
