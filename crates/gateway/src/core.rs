//! The sequential core of the gateway: children's sessions, their messages into the queue, and commands down to them.
//!
//! A group of events is decided, its messages become durable in one write, and only then are the answers
//! released. Sessions live in memory: a child that finds its session gone sends again what was not acknowledged.

mod down;
pub(crate) mod stepped;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thingward_agent::disk::Disk;
use thingward_crypto::{Digest, sha256};
use thingward_ingress::{Member, Output, Received, TooSlow};
use thingward_model::clock::now;
use thingward_model::limits::{self, TOPIC_BYTES_MAX};
use thingward_model::{DeviceName, Link, Role, StreamName, TenantName, Timestamp};
use thingward_mqtt::broker::{
    Broker, ConnId, Delivered, Effect, Gate, Incoming, Limits, Message, Routed, Scope,
};
use thingward_mqtt::codec::{Connect, QoS, ReasonCode};
use thingward_mqtt::topic::{LEVELS_MAX, TopicFilter, TopicName};

use thingward_seal::envelope::ENVELOPE_BYTES_MAX;
use thingward_seal::item;
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use self::down::{ChildCommand, Tell};
use self::down::{OWN, is_told, own_of};
use crate::queue::{Queue, QueueError, Queued};
use crate::serial::NotTaken;
use crate::switchboard::Switchboard;

/// The queue, shared with the one who empties it.
pub(crate) type SharedQueue = Arc<Mutex<Queue<Box<dyn Disk + Send>>>>;

const EVENTS_MAX: usize = 1024;
const GROUP_EVENTS_MAX: usize = 512;
/// Most commands that wait for one child.
const COMMANDS_WAITING_MAX: usize = 64;
/// How often deliveries are written down, what could not be read back is tried again, and the queue is made shorter where it can be.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(10);
/// Most levels of a child's topic: at the service two stand in front of it.
const TOPIC_LEVELS_MAX: usize = LEVELS_MAX - 2;
/// Largest packet of a child, in bytes: with its envelope it has to be a packet that the service takes.
const PACKET_BYTES_MAX: usize = limits::PACKET_BYTES_MAX - ENVELOPE_BYTES_MAX;

enum Event {
    Accept {
        conn: ConnId,
        who: Member,
        output: Output,
    },
    Received {
        conn: ConnId,
        received: Received,
    },
    Heard {
        conn: ConnId,
    },
    Closed {
        conn: ConnId,
    },
    /// The service has a command for a child. The gateway can neither read much of it nor make one: it is signed from
    /// end to end.
    Command(ChildCommand),
    /// The service has something else for a child with a session.
    Tell {
        child: DeviceName,
        what: Tell,
    },
    /// From here on nobody with one of these serial numbers has a session.
    Revoked {
        serials: BTreeSet<Vec<u8>>,
    },
    /// One whom the gateway speaks for has something for the service.
    Said {
        said: Said,
        done: oneshot::Sender<Result<(), NotTaken>>,
    },
    Children {
        answer: oneshot::Sender<Vec<DeviceName>>,
    },
    Stop,
}

/// What one whom the gateway speaks for says.
pub(crate) struct Said {
    /// Who.
    pub(crate) child: DeviceName,
    /// Of its certificate.
    pub(crate) serial: Vec<u8>,
    /// How it came.
    pub(crate) link: Link,
    /// Where to, as a child with a connection of its own would write it.
    pub(crate) topic: String,
    /// What.
    pub(crate) message: Vec<u8>,
}

/// The way to the core.
#[derive(Clone)]
pub(crate) struct CoreHandle(mpsc::Sender<Event>);

/// Starts the core. It ends when it is told to, or when the queue cannot be written.
pub(crate) fn start(
    tenant: TenantName,
    queue: SharedQueue,
    arrived: Arc<Notify>,
    switchboard: Switchboard,
) -> std::io::Result<(CoreHandle, thread::JoinHandle<()>)> {
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let core = Core::new(tenant, queue, arrived, switchboard);
    let thread = thread::Builder::new().name("core".to_owned()).spawn(move || core.run(inbox))?;
    Ok((CoreHandle(events), thread))
}

struct Core {
    broker: Broker<ChildGate>,
    buffers: HashMap<ConnId, BytesMut>,
    outputs: HashMap<ConnId, Output>,
    children: HashMap<ConnId, DeviceName>,
    switchboard: Switchboard,
    /// They wait for their messages to be durable.
    waiting: Vec<oneshot::Sender<Result<(), NotTaken>>>,
    queue: SharedQueue,
    arrived: Arc<Notify>,
    kept_house: Timestamp,
}

impl Core {
    fn new(tenant: TenantName, queue: SharedQueue, arrived: Arc<Notify>, switchboard: Switchboard) -> Self {
        let (revoked, held_back) = Default::default();
        let gate = ChildGate { tenant, queue: Arc::clone(&queue), revoked, held_back };
        Self {
            broker: Broker::new(gate, broker_limits()),
            buffers: HashMap::new(),
            outputs: HashMap::new(),
            children: HashMap::new(),
            switchboard,
            waiting: Vec::new(),
            queue,
            arrived,
            kept_house: Timestamp::EPOCH,
        }
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            tracing::error!("the core cannot keep time");
            return;
        };
        loop {
            let wait = self.broker.next_deadline().map_or(HOUSEKEEPING_EVERY, |at| {
                Duration::from_micros(u64::try_from(at.micros_since(now())).unwrap_or_default())
            });
            let wait = wait.min(HOUSEKEEPING_EVERY);
            let first = runtime.block_on(async { tokio::time::timeout(wait, inbox.recv()).await });
            let first = match first {
                Ok(None) => Some(Event::Stop),
                Ok(Some(event)) => Some(event),
                Err(_) => None,
            };
            let more = std::iter::from_fn(|| inbox.try_recv().ok()).take(GROUP_EVENTS_MAX - 1);
            match self.step(now(), first.into_iter().chain(more)) {
                Ok(is_last) if !is_last => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, "messages cannot be made durable; stopping");
                    return;
                }
            }
        }
    }

    /// Decides about events in their order, makes what they brought durable, and then releases the answers. Says whether one
    /// was the last.
    ///
    /// # Errors
    ///
    /// When the queue cannot be written. Nothing is released then.
    fn step(&mut self, now: Timestamp, events: impl Iterator<Item = Event>) -> Result<bool, QueueError> {
        let mut is_last = false;
        for event in events {
            is_last |= self.handle(now, event);
        }
        self.broker.tick(now);
        let is_due = self.is_housekeeping_due(now);
        {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.expire(now);
            if is_due { queue.commit_all() } else { queue.commit() }?;
            if is_due {
                queue.look_again();
                if let Err(error) = queue.make_room() {
                    tracing::warn!(%error, "the queue has no more room than before");
                }
            }
        }
        self.arrived.notify_one();
        self.release();
        Ok(is_last)
    }

    /// Whether it was the last event.
    fn handle(&mut self, now: Timestamp, event: Event) -> bool {
        match event {
            Event::Accept { conn, who, output } => {
                self.outputs.insert(conn, output);
                self.buffers.insert(conn, BytesMut::new());
                self.children.insert(conn, who.principal.name);
                self.broker.accept(now, conn, who);
            }
            Event::Received { conn, mut received } => {
                if let Some(buffer) = self.buffers.get_mut(&conn) {
                    buffer.unsplit(std::mem::take(&mut received.bytes));
                    let before = self.broker.work();
                    self.broker.receive_bytes(now, conn, buffer);
                    received.had(self.broker.work() - before);
                }
            }
            Event::Heard { conn } => self.broker.heard(now, conn),
            Event::Closed { conn } => {
                self.buffers.remove(&conn);
                self.outputs.remove(&conn);
                self.children.remove(&conn);
                self.broker.closed(now, conn);
            }
            Event::Command(command) => {
                let child = command.child;
                if let Some(extension) = self.switchboard.find(&child) {
                    if extension.commands.try_send(command).is_err() {
                        tracing::info!(%child, "no room for a command; the service sends it again");
                    }
                    return false;
                }
                let Some(message) = command.message() else { return false };
                if self.broker.publish(now, message).is_err() {
                    tracing::info!(%child, "no room for a command; the service sends it again");
                }
            }
            Event::Tell { child, what } => {
                let told = what.message(&child).map(|message| self.broker.publish(now, message));
                if told.is_none_or(|told| told.is_err()) {
                    tracing::info!(%child, "no room for what the service says; a child asks by itself");
                }
            }
            Event::Revoked { serials } => {
                let is_chosen = |who: &Member| serials.contains(&who.serial);
                self.broker.cut(now, is_chosen, ReasonCode::AdministrativeAction, true);
                // A handshake under the CRL before this one may still be on its way here.
                self.broker.gate_mut().revoked = serials;
            }
            Event::Said { said, done } => match self.broker.gate_mut().said(now, said) {
                Ok(()) => self.waiting.push(done),
                Err(reason) => drop(done.send(Err(reason))),
            },
            Event::Children { answer } => {
                let names: BTreeSet<DeviceName> = self.children.values().copied().collect();
                let _ = answer.send(names.into_iter().collect());
            }
            Event::Stop => {
                self.broker.shut_down();
                return true;
            }
        }
        false
    }

    fn is_housekeeping_due(&mut self, now: Timestamp) -> bool {
        let since = now.as_micros().abs_diff(self.kept_house.as_micros());
        let is_due = Duration::from_micros(since) >= HOUSEKEEPING_EVERY;
        if is_due {
            self.kept_house = now;
        }
        is_due
    }

    fn release(&mut self) {
        for done in self.waiting.drain(..) {
            let _ = done.send(Ok(()));
        }
        for effect in self.broker.drain().effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    let sent = self.outputs.get(&conn).map(|output| output.send(&bytes));
                    if sent == Some(Err(TooSlow)) {
                        self.outputs.remove(&conn);
                    }
                }
                Effect::Close { conn } => {
                    self.outputs.remove(&conn);
                }
            }
        }
    }
}

fn broker_limits() -> Limits {
    Limits {
        packet_bytes_max: PACKET_BYTES_MAX,
        queue_messages_max: COMMANDS_WAITING_MAX,
        ..Limits::default()
    }
}

/// How long a child whose message found no room has time to send it again, before another one is taken. What it has in flight
/// behind that message is refused with it, however late it arrives, so that nothing overtakes it.
const HELD_BACK_MICROS: i64 = 60_000_000;

/// An item of a chain that found no room: it is the next of its child. Of others the order is nothing that anybody verifies, and a
/// child without a chain, or that sends at most once, may never send again what was refused.
struct HeldBack {
    message: Digest,
    until: Timestamp,
}

impl HeldBack {
    const fn new(message: Digest, now: Timestamp) -> Self {
        Self { message, until: now.plus_micros(HELD_BACK_MICROS) }
    }

    /// Whether another message would overtake it. When the clock was set back, its time begins anew.
    fn is_before(&mut self, message: &Digest, now: Timestamp) -> bool {
        self.until = self.until.min(now.plus_micros(HELD_BACK_MICROS));
        self.message != *message && self.until > now
    }
}

/// Lets devices of one tenant publish what they are and what they measure.
struct ChildGate {
    tenant: TenantName,
    queue: SharedQueue,
    /// Serial numbers on the newest CRL.
    revoked: BTreeSet<Vec<u8>>,
    held_back: HashMap<DeviceName, HeldBack>,
}

impl ChildGate {
    /// Takes a message of one whom the gateway speaks for.
    fn said(&mut self, now: Timestamp, said: Said) -> Result<(), NotTaken> {
        let Said { child, serial, link, topic, message } = said;
        if self.revoked.contains(&serial) {
            return Err(NotTaken::Revoked);
        }
        check_topic(&topic).map_err(|_| NotTaken::Wrong("a topic that cannot be one"))?;
        let queued = Queued { child, topic, received: now, link, message };
        match self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(&queued) {
            Ok(()) => Ok(()),
            Err(QueueError::Full) => Err(NotTaken::Full),
            Err(error) => {
                tracing::error!(%error, "a message was not taken");
                Err(NotTaken::Full)
            }
        }
    }
}

impl Gate for ChildGate {
    type Identity = Member;

    fn scope(&self, who: &Member) -> Scope {
        Scope::from(who.principal.to_string())
    }

    /// Only what is for children is routed here, and nothing is retained.
    fn share(&self, _: &TopicName) -> Scope {
        Scope::new()
    }

    fn encode_identity(&self, who: &Member) -> Bytes {
        who.encode()
    }

    fn decode_identity(&self, bytes: &[u8]) -> Option<Member> {
        Member::decode(bytes)
    }

    fn connect(&mut self, _now: Timestamp, who: &Member, _connect: &Connect) -> Result<(), ReasonCode> {
        let p = &who.principal;
        let is_allowed = p.tenant == self.tenant && p.role == Role::Device;
        if is_allowed && !self.revoked.contains(&who.serial) {
            Ok(())
        } else {
            Err(ReasonCode::NotAuthorized)
        }
    }

    fn publish(
        &mut self,
        now: Timestamp,
        who: &Member,
        incoming: &Incoming<'_>,
    ) -> Result<Routed, ReasonCode> {
        let message = incoming.message;
        let topic = message.topic.as_str();
        check_topic(topic)?;
        let child = who.principal.name;
        let is_item = message.qos != QoS::AtMostOnce && item::is_chained(&message.payload);
        let item = is_item.then(|| sha256(&[topic.as_bytes(), b"\0", &message.payload]));
        if let Some(item) = &item {
            if self.held_back.get_mut(&child).is_some_and(|held| held.is_before(item, now)) {
                return Err(ReasonCode::QuotaExceeded);
            }
            self.held_back.remove(&child);
        }
        let (topic, message) = (topic.to_owned(), message.payload.to_vec());
        let queued = Queued { child, topic, received: now, link: who.link, message };
        let pushed = self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(&queued);
        match pushed {
            Ok(()) => Ok(Routed::Nowhere),
            Err(QueueError::Full) => {
                self.held_back.extend(item.map(|message| (child, HeldBack::new(message, now))));
                Err(ReasonCode::QuotaExceeded)
            }
            Err(error) => {
                tracing::error!(%error, "a message was not taken");
                Err(ReasonCode::UnspecifiedError)
            }
        }
    }

    fn subscribe(&mut self, who: &Member, filter: &TopicFilter) -> Result<TopicFilter, ReasonCode> {
        let rest = filter.pattern_str().strip_prefix(OWN).filter(|_| filter.shared().is_none());
        let rest = rest.filter(|rest| is_told(rest));
        let inner = rest.map(|rest| format!("{}{rest}", own_of(&who.principal.name)));
        inner.and_then(|inner| TopicFilter::try_from(inner.as_str()).ok()).ok_or(ReasonCode::NotAuthorized)
    }

    fn deliver(&mut self, who: &Member, message: &Message) -> Option<Delivered> {
        let rest = message.topic.as_str().strip_prefix(&own_of(&who.principal.name))?;
        let is_member = who.principal.tenant == self.tenant && !self.revoked.contains(&who.serial);
        let topic = TopicName::try_from(format!("{OWN}{rest}").as_str()).ok().filter(|_| is_member)?;
        Some(Delivered { topic, payload: message.payload.clone() })
    }
}

/// Refuses what the service would refuse, while the child is there to hear of it.
fn check_topic(topic: &str) -> Result<(), ReasonCode> {
    let area = topic.strip_prefix("devices/me/").and_then(|rest| rest.split_once('/'));
    let is_allowed = area.is_some_and(|(area, name)| match area {
        "telemetry" => name.parse::<StreamName>().is_ok(),
        "state" | "replies" | "uses" => !name.is_empty(),
        _ => false,
    });
    if !is_allowed {
        Err(ReasonCode::NotAuthorized)
    } else if topic.len() > TOPIC_BYTES_MAX || topic.split('/').count() > TOPIC_LEVELS_MAX {
        Err(ReasonCode::TopicNameInvalid)
    } else {
        Ok(())
    }
}

impl thingward_ingress::Core for CoreHandle {
    async fn accept(&self, conn: ConnId, who: Member, output: Output) {
        let _ = self.0.send(Event::Accept { conn, who, output }).await;
    }

    async fn received(&self, conn: ConnId, received: Received) {
        let _ = self.0.send(Event::Received { conn, received }).await;
    }

    async fn heard(&self, conn: ConnId) {
        let _ = self.0.send(Event::Heard { conn }).await;
    }

    async fn closed(&self, conn: ConnId) {
        let _ = self.0.send(Event::Closed { conn }).await;
    }

    fn refused(&self) {
        tracing::debug!("a connection did not become a session");
    }
}

impl CoreHandle {
    /// For a thread that may wait.
    pub(crate) fn command(&self, command: ChildCommand) {
        let _ = self.0.blocking_send(Event::Command(command));
    }

    /// Takes a message of a chip; it is durable when this returns.
    pub(crate) async fn said(&self, said: Said) -> Result<(), NotTaken> {
        let (done, wait) = oneshot::channel();
        let _ = self.0.send(Event::Said { said, done }).await;
        wait.await.unwrap_or(Err(NotTaken::Stopping))
    }

    /// For a thread that may wait.
    pub(crate) fn tell(&self, child: DeviceName, what: Tell) {
        let _ = self.0.blocking_send(Event::Tell { child, what });
    }

    pub(crate) async fn revoked(&self, serials: BTreeSet<Vec<u8>>) {
        let _ = self.0.send(Event::Revoked { serials }).await;
    }

    pub(crate) async fn children(&self) -> Vec<DeviceName> {
        let (answer, wait) = oneshot::channel();
        let _ = self.0.send(Event::Children { answer }).await;
        wait.await.unwrap_or_default()
    }

    pub(crate) async fn stop(&self) {
        let _ = self.0.send(Event::Stop).await;
    }
}

#[cfg(test)]
mod tests;
