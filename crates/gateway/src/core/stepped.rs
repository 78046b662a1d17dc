//! The core without its thread and without a clock: somebody else says when it takes a step and what time it is then. The thread
//! takes the same steps.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use thingward_agent::disk::Disk;
use thingward_agent::segments::Place;
use thingward_crypto::Signer;
use thingward_crypto::sealed::SealingKey;
use thingward_ingress::{Member, Output};
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::ConnId;

use super::{ChildCommand, Core, Event, SharedQueue};
use crate::forward;
use crate::queue::{Queue, QueueError, QueueLimits, Queued};
use crate::switchboard::Switchboard;

type AnyQueue = Queue<Box<dyn Disk + Send>>;

/// See the module.
pub struct SteppedCore {
    core: Core,
    queue: SharedQueue,
    events: Vec<Event>,
}

impl SteppedCore {
    /// With what waits on the disk.
    ///
    /// # Errors
    ///
    /// [`QueueError`].
    pub fn open(
        tenant: TenantName,
        disk: Box<dyn Disk + Send>,
        key: SealingKey,
        limits: QueueLimits,
    ) -> Result<Self, QueueError> {
        let queue = Arc::new(Mutex::new(Queue::open(disk, key, limits)?));
        let core = Core::new(tenant, Arc::clone(&queue), Arc::default(), Switchboard::default());
        Ok(Self { core, queue, events: Vec::new() })
    }

    /// A child connected.
    pub fn accept(&mut self, conn: ConnId, who: Member, output: Output) {
        self.events.push(Event::Accept { conn, who, output });
    }

    /// Bytes came from a child.
    pub fn received(&mut self, conn: ConnId, bytes: Bytes) {
        self.events.push(Event::Received { conn, received: BytesMut::from(bytes).into() });
    }

    /// The connection of a child ended.
    pub fn closed(&mut self, conn: ConnId) {
        self.events.push(Event::Closed { conn });
    }

    /// The service published something for the gateway. What is a command for a child goes down to it.
    pub fn told(&mut self, topic: &str, payload: Bytes, expires_in: Option<u32>) {
        self.events.extend(ChildCommand::read(topic, payload, expires_in).map(Event::Command));
    }

    /// Decides about everything that happened, makes it durable, and then releases the answers.
    ///
    /// # Errors
    ///
    /// When the queue cannot be written. Nothing is released then, and the core must not go on.
    pub fn step(&mut self, now: Timestamp) -> Result<(), QueueError> {
        let events = std::mem::take(&mut self.events);
        self.core.step(now, events.into_iter()).map(drop)
    }

    /// The next message for the service that was not handed out, of a child that is not held back.
    ///
    /// # Errors
    ///
    /// As [`Queue::next_message`].
    pub fn next_message(
        &mut self,
        held: &BTreeSet<DeviceName>,
    ) -> Result<Option<(Place, Queued)>, QueueError> {
        self.queue().next_message(held)
    }

    /// A message is at the service, or was refused there for good.
    pub fn done(&mut self, child: &DeviceName, place: Place) {
        self.queue().done(child, place);
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue().backlog().is_empty()
    }

    fn queue(&self) -> MutexGuard<'_, AnyQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message in the envelope that the gateway signs; `None` when it does not fit one.
#[must_use]
pub fn envelope(queued: &Queued, key: &dyn Signer) -> Option<Bytes> {
    forward::envelope(queued, key)
}
