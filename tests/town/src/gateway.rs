//! A gateway: its core and queue over a disk that fails, and its way to the service.

use std::collections::BTreeSet;

use bytes::Bytes;
use thingward_agent::segments::Place;
use thingward_agent::stream::SharedSigner;
use thingward_agent::uplink::{Outgoing, Received, Source};
use thingward_crypto::sealed::SealingKey;
use thingward_gateway::queue::{QueueError, QueueLimits};
use thingward_gateway::stepped::{SteppedCore, envelope};
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};

use crate::disk::SimDisk;
use crate::liar::GatewayLiar;
use crate::uplink::Uplink;

/// What survives a crash of a gateway.
pub struct Gateway {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its name.
    pub name: DeviceName,
    /// Its key.
    pub signer: SharedSigner,
    /// Seals its files.
    pub sealing: SealingKey,
    /// Of its queue.
    pub disk: SimDisk,
    /// Bounds of its queue.
    pub limits: QueueLimits,
    /// What it makes of what its children say, when it lies.
    pub liar: Option<GatewayLiar>,
    /// What runs.
    pub running: Option<Running>,
    /// When it starts again, in the town's time.
    pub up_at: i64,
    /// When it connects again, in the town's time.
    pub connect_at: i64,
    /// How far its clock is off, in microseconds.
    pub offset: i64,
}

/// What a crash takes.
pub struct Running {
    /// The core, and what goes up and comes down.
    pub post: Post,
    /// Over which connection.
    pub uplink: Uplink<Post>,
}

impl Gateway {
    /// What it calls the time.
    #[must_use]
    pub const fn time(&self, now: i64) -> Timestamp {
        Timestamp::from_micros(now.saturating_add(self.offset))
    }

    /// Starts with what is on its disk.
    ///
    /// # Errors
    ///
    /// What does not open.
    pub fn start(&mut self) -> Result<(), QueueError> {
        let disk = Box::new(self.disk.clone());
        let core = SteppedCore::open(self.tenant, disk, self.sealing.clone(), self.limits)?;
        let (signer, liar) = (SharedSigner::clone(&self.signer), self.liar.clone());
        let post = Post { core, signer, liar, extra: Vec::new() };
        self.running = Some(Running { post, uplink: Uplink::new(self.name.as_str()) });
        Ok(())
    }
}

impl Running {
    /// Whether nothing waits here.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.uplink.is_idle() && self.post.core.is_empty()
    }
}

/// What goes up and comes down.
pub struct Post {
    /// The core with its queue.
    pub core: SteppedCore,
    signer: SharedSigner,
    /// What it makes of what its children say.
    pub liar: Option<GatewayLiar>,
    /// Envelopes that nobody sent.
    extra: Vec<(DeviceName, Bytes)>,
}

/// Names a message on its way; `None` for one that nobody sent.
pub type Key = (DeviceName, Option<Place>);

fn forward(key: Key, payload: Bytes) -> Option<Outgoing<Key>> {
    let topic = TopicName::try_from("devices/me/forward").ok()?;
    Some(Outgoing { key, topic, payload, retain: false })
}

impl Source for Post {
    type Key = Key;
    type Lane = DeviceName;

    fn lane(key: &Key) -> DeviceName {
        key.0
    }

    fn next(&mut self, held: &BTreeSet<DeviceName>) -> Option<Outgoing<Key>> {
        if let Some(at) = self.extra.iter().position(|(child, _)| !held.contains(child)) {
            let (child, payload) = self.extra.remove(at);
            return forward((child, None), payload);
        }
        loop {
            let (place, queued) = self.core.next_message(held).ok()??;
            let child = queued.child;
            let Some(liar) = &mut self.liar else {
                return forward((child, Some(place)), envelope(&queued, &*self.signer)?);
            };
            let mut said = liar.twist(&queued).into_iter();
            let Some(first) = said.next() else {
                self.core.done(&child, place);
                continue;
            };
            for other in said {
                self.extra.extend(envelope(&other, &*self.signer).map(|bytes| (other.child, bytes)));
            }
            return forward((child, Some(place)), envelope(&first, &*self.signer)?);
        }
    }

    fn delivered(&mut self, (child, place): Key) {
        if let Some(place) = place {
            self.core.done(&child, place);
        }
    }

    fn refused(&mut self, key: Key, _: ReasonCode) -> bool {
        self.delivered(key);
        true
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        TopicFilter::try_from("devices/me/children/+/commands/+").into_iter().collect()
    }

    fn received(&mut self, message: Received) {
        let (topic, payload) = (message.topic.as_str(), message.payload);
        let told = match &mut self.liar {
            Some(liar) => liar.hand_down(topic, &payload),
            None => vec![(topic.to_owned(), payload)],
        };
        for (topic, payload) in told {
            self.core.told(&topic, payload, message.expires_in);
        }
    }
}
