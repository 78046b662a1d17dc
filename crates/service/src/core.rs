//! The one sequential state machine behind all listeners. [`committer`] is the thread that makes its changes durable, [`handle`]
//! the way to it; [`stepped`] is both without threads and without a clock.
//!
//! Connections send what they received; the core decides; the committer writes everything that a group of events
//! changed in one durable step, and only then are the answers released. While one group is being written the
//! next gathers, so a commit costs one flush however many clients wait for it.

mod committer;
mod handle;
pub mod stepped;
mod things;

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use ahash::HashMap;
use bytes::{Bytes, BytesMut};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{Signer, SoftwareKey};
use thingward_ingress::{Member, Output, Received};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::{Broker, ConnId, Limits};
use thingward_mqtt::codec::ReasonCode;
use thingward_seal::command::CommandId;
use thingward_store::hot::Space;
use thingward_store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use self::committer::{Committer, Group, Logged, Outputs};
pub use self::handle::CoreHandle;
use crate::accounts::Accounts;
use crate::audit::{Auditor, Deed, LogWriter};
use crate::command::{Commands, Late, NewCommand};
use crate::directory::Directory;
use crate::finding::Finding;
use crate::gate::{self, ServiceGate};
use crate::metrics::Metrics;
use crate::pipeline::{Accepted, Drained, Pipeline};
use crate::sealer::Sealer;
use crate::topics;
use crate::uses::Uses;

/// Events that wait for the core. A full queue makes connections wait, which TCP tells the peers.
const EVENTS_MAX: usize = 1024;
/// Events that one group takes at most.
const GROUP_EVENTS_MAX: usize = 512;
/// Groups that wait for the disk at most.
const GROUPS_MAX: usize = 4;
/// Most entries of session state that are read at a start.
const SESSION_ENTRIES_MAX: usize = 50_000_000;

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
    End {
        connections: Vec<ConnId>,
    },
    CutMember {
        tenant: TenantName,
        name: DeviceName,
        drop_session: bool,
        done: oneshot::Sender<()>,
    },
    CutTenant {
        tenant: TenantName,
        done: oneshot::Sender<()>,
    },
    Log {
        tenant: TenantName,
        entry: Vec<u8>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    Command {
        new: Box<NewCommand>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    CancelCommand {
        tenant: TenantName,
        device: DeviceName,
        id: CommandId,
        deed: Box<Deed>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    ForgetDevice {
        tenant: TenantName,
        device: DeviceName,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    TellRevocation {
        tenant: TenantName,
        device: DeviceName,
        payload: Vec<u8>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    TellMembership {
        tenant: TenantName,
        devices: Vec<DeviceName>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    AskEvidence {
        tenant: TenantName,
        device: DeviceName,
    },
    TellGateway {
        tenant: TenantName,
        gateway: DeviceName,
        what: &'static str,
        payload: Zeroizing<String>,
        done: oneshot::Sender<()>,
    },
    NoteDevice {
        tenant: TenantName,
        device: DeviceName,
        kind: &'static str,
        detail: String,
    },
    CancelCommandsOf {
        actors: HashSet<String>,
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
    Findings {
        tenant: TenantName,
        answer: oneshot::Sender<Vec<Finding>>,
    },
    Presence {
        tenant: TenantName,
        answer: oneshot::Sender<Presence>,
    },
    Stop,
}

/// Which members of a tenant are there, and how they reach us.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Who is connected, and since when.
    pub(crate) connected: HashMap<DeviceName, Timestamp>,
    /// Devices, and the gateways that carried something of them last.
    pub(crate) gateways: HashMap<DeviceName, DeviceName>,
}

/// A running core: wait for its end to know that everything is durable.
pub struct RunningCore {
    core: thread::JoinHandle<()>,
    committer: thread::JoinHandle<()>,
}

impl RunningCore {
    /// Waits until the last group is durable.
    pub fn join(self) {
        let _ = self.core.join();
        let _ = self.committer.join();
    }

    /// Whether it has ended, which it does by itself only when a group could not be made durable.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.committer.is_finished() || self.core.is_finished()
    }
}

/// Whose commands wait since the last run, as the audit logs name them.
pub(crate) type Senders = HashSet<(TenantName, String)>;

/// The keys that the core works with.
pub(crate) struct Keys {
    /// Seals what it keeps.
    pub(crate) sealing: SealingKey,
    /// Signs commands.
    pub(crate) commands: SoftwareKey,
    /// Signs grants, and the time.
    pub(crate) grants: Arc<SoftwareKey>,
}

/// Reads the state of the last run and starts.
///
/// # Errors
///
/// [`StoreError`] when the state cannot be read, or a thread cannot be started.
pub(crate) fn start(
    store: Arc<Store>,
    directory: Arc<Directory>,
    auditor: Arc<Auditor>,
    log: LogWriter,
    keys: Keys,
    limits: Limits,
) -> Result<(CoreHandle, RunningCore, Senders), StoreError> {
    let (core, committer, senders) = open(store, directory, auditor, log, keys, limits, now())?;
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let handle = CoreHandle {
        events,
        followers: Arc::clone(&committer.followers),
        metrics: Arc::clone(&committer.metrics),
        log_sizes: Arc::clone(&committer.log_sizes),
    };
    let (groups, to_commit) = sync_channel(GROUPS_MAX);
    let io = |source: io::Error| StoreError::Io { what: "start a thread".to_owned(), source };
    let committer = thread::Builder::new()
        .name("commit".to_owned())
        .spawn(move || committer.run(&to_commit))
        .map_err(io)?;
    let core =
        thread::Builder::new().name("core".to_owned()).spawn(move || core.run(inbox, &groups)).map_err(io)?;
    Ok((handle, RunningCore { core, committer }, senders))
}

/// Reads the state of the last run.
fn open(
    store: Arc<Store>,
    directory: Arc<Directory>,
    auditor: Arc<Auditor>,
    log: LogWriter,
    keys: Keys,
    limits: Limits,
    now: Timestamp,
) -> Result<(Core, Committer, Senders), StoreError> {
    let metrics = Arc::new(Metrics::new());
    let pipeline = Pipeline::new(Arc::clone(&store), Arc::clone(&directory), Arc::clone(&metrics))?;
    let durable = pipeline.durable();
    let corrupt = |what: &str| StoreError::Corrupt { what: what.to_owned() };
    let mut sealer = Sealer::new(keys.sealing).map_err(|_| corrupt("the sealing key"))?;
    things::descriptions(&store, &mut sealer, &directory.access)?;
    let waiting = things::waiting(&store, &mut sealer)?;
    let senders = waiting.iter().map(|record| (record.tenant, record.actor.clone())).collect();
    let late = Late::load(&store, &mut sealer)?;
    let mut commands = Commands::new(keys.commands, waiting, late);
    // What a gateway keeps is behind it for good, also before it said anything.
    for (tenant, thing, gateway) in directory.all_kept() {
        commands.carried(tenant, thing, gateway, now);
    }
    let uses = Uses::new(keys.grants.public_key().clone(), Arc::clone(&store));
    let accounts = Accounts::new(auditor.trust_domain(), Arc::clone(&store));
    let gate =
        ServiceGate::new(pipeline, commands, uses, accounts, keys.grants, Arc::clone(&store), directory);
    let mut entries = Vec::new();
    for (key, value) in store.scan(Space::Sessions, b"", SESSION_ENTRIES_MAX)? {
        let plain = sealer.open(&key, &value).map_err(|_| corrupt("session state"))?;
        entries.push((key, Bytes::from(plain)));
    }
    let broker = Broker::restore(gate, limits, now, entries.into_iter());
    let (log_sizes, outputs) = (log.sizes(), Outputs::default());
    let core = Core {
        broker,
        sealer,
        auditor,
        log,
        waiting: Vec::new(),
        buffers: HashMap::default(),
        outputs: Arc::clone(&outputs),
        metrics: Arc::clone(&metrics),
    };
    let followers = Arc::default();
    let committer = Committer { store, outputs, followers, durable, metrics, log_sizes };
    Ok((core, committer, senders))
}

/// What came of a step.
struct Decided {
    group: Option<Group>,
    /// Nothing is decided behind it.
    is_last: bool,
}

struct Core {
    broker: Broker<ServiceGate>,
    sealer: Sealer,
    auditor: Arc<Auditor>,
    log: LogWriter,
    /// Who waits for the group to be durable, and the index of their entry, where they have one.
    waiting: Vec<(oneshot::Sender<Result<u64, StoreError>>, u64)>,
    buffers: HashMap<ConnId, BytesMut>,
    outputs: Outputs,
    metrics: Arc<Metrics>,
}

/// What clients made the core do so far, in messages: a record that is opened to compare another with it is as much as one.
const fn work(broker: &Broker<ServiceGate>) -> u64 {
    broker.work() + broker.gate().pipeline.records_opened()
}

impl Core {
    fn run(mut self, mut inbox: mpsc::Receiver<Event>, groups: &SyncSender<Group>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else {
            tracing::error!("the core cannot keep time");
            return;
        };
        loop {
            let wait = self.next_deadline().map_or(Duration::from_secs(3600), |at| {
                Duration::from_micros(u64::try_from(at.micros_since(now())).unwrap_or_default())
            });
            let first = runtime.block_on(async { tokio::time::timeout(wait, inbox.recv()).await });
            let first = match first {
                Ok(None) => Some(Event::Stop),
                Ok(Some(event)) => Some(event),
                Err(_) => None,
            };
            let more = std::iter::from_fn(|| inbox.try_recv().ok()).take(GROUP_EVENTS_MAX - 1);
            let Ok(Decided { group, is_last }) = self.step(now(), first.into_iter().chain(more)) else {
                return;
            };
            if group.is_some_and(|group| groups.send(group).is_err()) || is_last {
                return;
            }
        }
    }

    /// When a step has something to do although nothing happened.
    fn next_deadline(&self) -> Option<Timestamp> {
        let gate = self.broker.gate();
        let deadlines = [self.broker.next_deadline(), gate.commands.next_deadline(), gate.refusals.due()];
        deadlines.into_iter().flatten().min()
    }

    /// Decides about events in their order.
    ///
    /// # Errors
    ///
    /// When something that has to be kept cannot be: the core is ahead of the disk then, and must not go on.
    fn step(&mut self, now: Timestamp, events: impl Iterator<Item = Event>) -> Result<Decided, ()> {
        self.broker.gate_mut().set_time(now);
        let mut is_last = false;
        for event in events {
            is_last = self.handle(now, event);
            if is_last {
                break;
            }
        }
        self.broker.tick(now);
        Ok(Decided { group: self.finish_group(now)?, is_last })
    }

    /// Whether it was the last event.
    fn handle(&mut self, now: Timestamp, event: Event) -> bool {
        match event {
            Event::Accept { conn, who, output } => {
                self.outputs.lock().unwrap_or_else(PoisonError::into_inner).insert(conn, output);
                self.buffers.insert(conn, BytesMut::new());
                self.metrics.connections.inc();
                self.broker.accept(now, conn, who);
            }
            Event::Received { conn, mut received } => {
                if let Some(buffer) = self.buffers.get_mut(&conn) {
                    buffer.unsplit(std::mem::take(&mut received.bytes));
                    let before = work(&self.broker);
                    self.broker.receive_bytes(now, conn, buffer);
                    received.had(work(&self.broker) - before);
                    if buffer.is_empty() {
                        // An idle connection holds no buffer.
                        *buffer = BytesMut::new();
                    }
                }
            }
            Event::Heard { conn } => self.broker.heard(now, conn),
            Event::Closed { conn } => {
                if self.buffers.remove(&conn).is_some() {
                    self.metrics.connections.dec();
                }
                self.outputs.lock().unwrap_or_else(PoisonError::into_inner).remove(&conn);
                self.broker.closed(now, conn);
            }
            Event::End { connections } => {
                for conn in connections {
                    self.broker.disconnect(now, conn, ReasonCode::ServerShuttingDown);
                }
            }
            Event::CutMember { tenant, name, drop_session, done } => {
                let is_chosen = |m: &Member| m.principal.tenant == tenant && m.principal.name == name;
                self.broker.cut(now, is_chosen, ReasonCode::AdministrativeAction, drop_session);
                let _ = done.send(());
            }
            Event::CutTenant { tenant, done } => {
                self.broker.gate_mut().pipeline.forget_tenant_keys(&tenant);
                let is_chosen = |m: &Member| m.principal.tenant == tenant;
                self.broker.cut(now, is_chosen, ReasonCode::ServerUnavailable, false);
                let _ = done.send(());
            }
            Event::Log { tenant, entry, done } => match self.log.append(tenant, entry) {
                Ok(index) => self.waiting.push((done, index)),
                Err(error) => drop(done.send(Err(error))),
            },
            Event::Command { new, done } => self.command(now, *new, done),
            Event::CancelCommand { tenant, device, id, deed, done } => {
                if self.broker.gate_mut().commands.cancel(&tenant, &device, id, *deed) {
                    self.waiting.push((done, 0));
                } else {
                    let _ = done.send(Err(StoreError::Conflict { what: "the command has ended" }));
                }
            }
            Event::ForgetDevice { tenant, device, done } => {
                let gate = self.broker.gate_mut();
                gate.commands.cancel_all_for(&tenant, &device);
                gate.forget_description(&tenant, &device);
                self.waiting.push((done, 0));
            }
            Event::TellRevocation { tenant, device, payload, done } => {
                self.tell_revocation(now, (tenant, device), payload, done);
            }
            Event::TellMembership { tenant, devices, done } => {
                self.tell_membership(now, &tenant, &devices, done);
            }
            Event::TellGateway { tenant, gateway, what, payload, done } => {
                if let Some(message) = gate::once(&tenant, &gateway, what, &payload) {
                    self.broker.announce(now, message);
                }
                let _ = done.send(());
            }
            Event::AskEvidence { tenant, device } => self.ask_evidence(now, &tenant, &device),
            Event::NoteDevice { tenant, device, kind, detail } => {
                self.broker.gate_mut().pipeline.note_device(tenant, device, kind, detail, now);
            }
            Event::CancelCommandsOf { actors, done } => {
                self.broker.gate_mut().commands.cancel_all_of(&actors);
                self.waiting.push((done, 0));
            }
            Event::Findings { tenant, answer } => {
                let _ = answer.send(self.broker.gate().pipeline.findings.of_tenant(&tenant));
            }
            Event::Presence { tenant, answer } => {
                let own = |(who, since): (&Member, Timestamp)| {
                    (who.principal.tenant == tenant).then_some((who.principal.name, since))
                };
                let connected = self.broker.present().filter_map(own).collect();
                let gateways = self.broker.gate().commands.behind(tenant).collect();
                let _ = answer.send(Presence { connected, gateways });
            }
            Event::Stop => {
                self.broker.shut_down();
                return true;
            }
        }
        false
    }

    /// No text is made of readings that nobody subscribes to.
    fn tell_readers(&mut self, now: Timestamp, accepted: &[Accepted]) {
        for (tenant, record) in accepted {
            let levels = topics::telemetry_levels(tenant, &record.device, &record.stream);
            if self.broker.is_heard(&levels)
                && let Some(message) = gate::announcement(tenant, record)
            {
                self.broker.announce(now, message);
            }
        }
    }

    /// What events changed and what follows from it; `None` when that is nothing.
    fn finish_group(&mut self, now: Timestamp) -> Result<Option<Group>, ()> {
        for message in std::mem::take(&mut self.broker.gate_mut().announcements) {
            self.broker.announce(now, message);
        }
        let kept = self.things(now)?;
        let gate = self.broker.gate_mut();
        gate.pipeline.deeds.extend(gate.refusals.over(now));
        for (tenant, deed) in std::mem::take(&mut self.broker.gate_mut().pipeline.deeds) {
            let entry = self.auditor.entry(deed, now).map_err(|error| error.to_string());
            if let Err(error) = entry.and_then(|e| self.log.append(tenant, e).map_err(|e| e.to_string())) {
                tracing::error!(error, "the log cannot be written");
                return Err(());
            }
        }
        let drained = self.broker.gate_mut().pipeline.drain();
        let Drained { mut batch, accepted, group: number } =
            drained.map_err(|error| tracing::error!(%error, "readings cannot be sealed"))?;
        let (log_batch, sizes) = self.log.drain();
        batch.extend(log_batch);
        batch.extend(kept);
        let logged = Logged { sizes, waiting: std::mem::take(&mut self.waiting) };
        self.tell_readers(now, &accepted);
        self.metrics.set_broker(*self.broker.counters());
        let output = self.broker.drain();
        for change in output.changes {
            match change.value {
                None => batch.delete(Space::Sessions, change.key),
                Some(value) => {
                    let Ok(sealed) = self.sealer.seal(&change.key, &value) else {
                        tracing::error!("session state cannot be sealed");
                        return Err(());
                    };
                    batch.put(Space::Sessions, change.key, sealed);
                }
            }
        }
        let effects = output.effects;
        if batch.is_empty() && effects.is_empty() && accepted.is_empty() && logged.waiting.is_empty() {
            return Ok(None);
        }
        Ok(Some(Group { number, batch, effects, accepted, logged }))
    }
}
