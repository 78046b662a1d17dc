//! A device: the agent's stream and commands over a disk that fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use thingward_agent::commands::journal::JournalError;
use thingward_agent::commands::{Commands, Ending, Order, OutgoingReply, id_of_topic};
use thingward_agent::membership::Membership;
use thingward_agent::spool::SpoolLimits;
use thingward_agent::stream::outbox::Outbox;
use thingward_agent::stream::{SharedSigner, Stream, StreamError, StreamSettings};
use thingward_agent::uplink::{Outgoing, Received, Source};
use thingward_crypto::AeadAlgorithm;
use thingward_crypto::sealed::SealingKey;
use thingward_model::description::{CONTEXT, NAMESPACE, ThingDescription};
use thingward_model::{Confidentiality, Reading, Timestamp, Value};
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_seal::Subject;
use thingward_seal::command::CommandId;

use crate::disk::SimDisk;
use crate::names::{STREAM, UNIT};
use crate::uplink::Uplink;

/// What survives a crash of a device.
pub struct Device {
    /// Who it is, and what it was told when it enrolled.
    pub membership: Membership,
    /// Its key.
    pub signer: SharedSigner,
    /// Seals its files.
    pub sealing: SealingKey,
    /// Of its stream.
    pub disk: SimDisk,
    /// Of its commands.
    pub journal: SimDisk,
    /// Bounds of its buffer.
    pub limits: SpoolLimits,
    /// What runs.
    pub running: Option<Running>,
    /// When it starts again, in the town's time.
    pub up_at: i64,
    /// When it connects again, in the town's time.
    pub connect_at: i64,
    /// How far its clock is off, in microseconds.
    pub offset: i64,
    /// Whether the disk of its stream, and that of its commands, lost what it had said was durable.
    pub has_lost: [bool; 2],
}

/// What a crash takes.
pub struct Running {
    /// What goes up and comes down.
    pub post: Post,
    /// Over which connection.
    pub uplink: Uplink<Post>,
    /// What it is told to do and has begun.
    pub doing: Option<Order>,
    /// Values that are pushed and not durable.
    pub pushed: Vec<u64>,
}

/// Why a device does not start.
#[derive(Debug)]
pub enum StartError {
    /// Its stream.
    Stream(StreamError),
    /// Its journal.
    Journal(JournalError),
}

impl Device {
    /// What it calls the time.
    #[must_use]
    pub const fn time(&self, now: i64) -> Timestamp {
        Timestamp::from_micros(now.saturating_add(self.offset))
    }

    /// Starts with what is on its disks.
    ///
    /// # Errors
    ///
    /// What does not open.
    pub fn start(&mut self, now: i64) -> Result<(), StartError> {
        let time = self.time(now);
        let Membership { tenant, name, .. } = self.membership;
        let subject = Subject { tenant, device: name, stream: STREAM.parse().expect("a name") };
        let settings = StreamSettings {
            confidentiality: Confidentiality::Service,
            recipient: self.membership.service_recipient,
            cipher: AeadAlgorithm::Aes256Gcm,
            limits: self.limits,
            checkpoint_every: Duration::from_secs(5),
        };
        let (disk, key, signer) = (self.disk.clone(), self.sealing.clone(), Arc::clone(&self.signer));
        let stream = Stream::open(disk, subject, settings, key, signer, time).map_err(StartError::Stream)?;
        let commands = Commands::open(
            self.journal.clone(),
            self.sealing.clone(),
            Arc::clone(&self.signer),
            self.membership.clone(),
            Arc::new(description()),
            None,
            time,
        );
        let commands = commands.map_err(StartError::Journal)?;
        let post =
            Post { outbox: Outbox::new(stream), commands, time, received: Vec::new(), replied: Vec::new() };
        let uplink = Uplink::new(name.as_str());
        self.running = Some(Running { post, uplink, doing: None, pushed: Vec::new() });
        Ok(())
    }
}

/// What it says that it can do: a lamp.
#[must_use]
pub fn description() -> ThingDescription {
    let forms = json!([{"href": "devices/me/commands"}]);
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": "Lamp",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": {"lamp": {"input": {"type": "integer"}, "forms": forms}},
    });
    ThingDescription::parse(document.to_string().as_bytes()).expect("a description")
}

impl Running {
    /// Measures these values; they are durable once it says so.
    ///
    /// # Errors
    ///
    /// What the stream says. What was taken is tried again with the next one.
    pub fn measure(&mut self, values: &[u64], time: Timestamp) -> Result<Vec<u64>, StreamError> {
        let stream = self.post.outbox.stream_mut();
        for value in values {
            #[expect(clippy::cast_precision_loss, reason = "a town has fewer readings than 2^53")]
            let number = *value as f64;
            let reading = Reading { field: None, unit: UNIT, time, value: Value::Number(number) };
            stream.push(&[reading], time)?;
            self.pushed.push(*value);
        }
        stream.commit(time)?;
        Ok(std::mem::take(&mut self.pushed))
    }

    /// Signs what it has, and drops what is too old or too much.
    ///
    /// # Errors
    ///
    /// As [`Self::measure`].
    pub fn tick(&mut self, time: Timestamp) -> Result<Vec<u64>, StreamError> {
        self.post.commands.save();
        self.post.outbox.stream_mut().tick(time)?;
        Ok(std::mem::take(&mut self.pushed))
    }

    /// Begins what it is told to do, when nothing is begun.
    pub fn begin(&mut self, time: Timestamp) -> Option<&Order> {
        if self.doing.is_some() {
            return None;
        }
        self.doing = self.post.commands.next_order(time);
        self.doing.as_ref()
    }

    /// What was begun is done.
    pub fn finish(&mut self, time: Timestamp) -> Option<CommandId> {
        let order = self.doing.take()?;
        self.post.commands.finish(&order.id, Ending::Done(serde_json::Value::Null), time);
        Some(order.id)
    }

    /// Whether everything it has to say has been heard.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let commands = self.post.commands.status();
        self.post.outbox.stream().is_delivered()
            && self.uplink.is_idle()
            && self.doing.is_none()
            && commands.waiting + commands.started == 0
    }

    /// What it still has to do, for people.
    #[must_use]
    pub fn restless(&self) -> String {
        let (messages, _) = self.post.outbox.stream().backlog();
        let commands = self.post.commands.status();
        let (doing, is_idle) = (self.doing.is_some(), self.uplink.is_idle());
        format!("{messages} messages wait, {commands:?}, begun: {doing}, nothing in flight: {is_idle}")
    }
}

/// What goes up and comes down.
pub struct Post {
    /// The stream.
    pub outbox: Outbox<SimDisk>,
    /// What it is told to do.
    pub commands: Commands<SimDisk>,
    /// How late it is.
    pub time: Timestamp,
    /// Commands that came, for the trace.
    pub received: Vec<CommandId>,
    /// Commands on which the other end took a word.
    pub replied: Vec<CommandId>,
}

/// Names a message on its way.
pub enum Key {
    /// By its number.
    Reading(u64),
    /// The device's word.
    Reply(OutgoingReply),
}

/// What keeps its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Words on commands.
    Replies,
    /// The stream.
    Readings,
}

fn topic(text: &str) -> Option<TopicName> {
    TopicName::try_from(text).ok()
}

fn hex(id: &CommandId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Source for Post {
    type Key = Key;
    type Lane = Lane;

    fn lane(key: &Key) -> Lane {
        match key {
            Key::Reading(_) => Lane::Readings,
            Key::Reply(_) => Lane::Replies,
        }
    }

    fn next(&mut self, held: &BTreeSet<Lane>) -> Option<Outgoing<Key>> {
        if !held.contains(&Lane::Replies)
            && let Some(reply) = self.commands.next_reply()
        {
            let topic = topic(&format!("devices/me/replies/{}", hex(&reply.id)))?;
            let payload = Bytes::from(reply.bytes.clone());
            return Some(Outgoing { key: Key::Reply(reply), topic, payload, retain: false });
        }
        if held.contains(&Lane::Readings) {
            return None;
        }
        // A disk that fails is asked again later.
        let (number, payload) = self.outbox.next_message().ok()??;
        let topic = topic(&format!("devices/me/telemetry/{STREAM}"))?;
        Some(Outgoing { key: Key::Reading(number), topic, payload: payload.into(), retain: false })
    }

    fn delivered(&mut self, key: Key) {
        match key {
            // What cannot be noted goes again after a restart.
            Key::Reading(number) => drop(self.outbox.ended(number)),
            Key::Reply(reply) => {
                self.replied.push(reply.id);
                self.commands.reply_ended(reply);
            }
        }
    }

    fn refused(&mut self, key: Key, reason: ReasonCode) -> bool {
        match key {
            Key::Reading(number) => {
                let is_dropped = self.outbox.is_dropped(number, reason);
                if is_dropped {
                    let _noted = self.outbox.ended(number);
                }
                is_dropped
            }
            Key::Reply(reply) => {
                self.commands.reply_ended(reply);
                true
            }
        }
    }

    fn connected(&mut self) {
        self.outbox.connected();
    }

    fn subscriptions(&self) -> Vec<TopicFilter> {
        TopicFilter::try_from("devices/me/commands/+").into_iter().collect()
    }

    fn received(&mut self, message: Received) {
        if let Some(id) = id_of_topic(message.topic.as_str()) {
            self.received.push(id);
            self.commands.receive(id, &message.payload, self.time);
        }
    }
}
