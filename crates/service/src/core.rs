//! The one sequential state machine behind all listeners, and the thread that makes its changes durable.
//!
//! Connections send what they received; the core decides; the committer writes everything that a group of events
//! changed in one durable step, and only then are the answers released. While one group is being written the
//! next gathers, so a commit costs one flush however many clients wait for it.

mod things;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{Signer, SoftwareKey};
use thingward_ingress::{Member, Output, TooSlow};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_mqtt::broker::{Broker, ConnId, Effect, Limits};
use thingward_mqtt::codec::ReasonCode;
use thingward_seal::command::CommandId;
use thingward_store::hot::{Batch, Space};
use thingward_store::{Record, Store, StoreError};
use tokio::sync::{broadcast, mpsc, oneshot};
use zeroize::Zeroizing;

use crate::accounts::Accounts;
use crate::audit::{Auditor, Deed, LogWriter, Sizes};
use crate::command::{Commands, NewCommand};
use crate::directory::Directory;
use crate::finding::Finding;
use crate::gate::{self, ServiceGate};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::sealer::Sealer;
use crate::uses::Uses;

/// Events that wait for the core. A full queue makes connections wait, which TCP tells the peers.
const EVENTS_MAX: usize = 1024;
/// Events that one group takes at most.
const GROUP_EVENTS_MAX: usize = 512;
/// Groups that wait for the disk at most.
const GROUPS_MAX: usize = 4;
/// Records that a follower of live readings may lag behind.
const FOLLOW_MAX: usize = 4096;
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
        bytes: Bytes,
    },
    Closed {
        conn: ConnId,
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
    TellAdmission {
        tenant: TenantName,
        gateway: DeviceName,
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

/// The way to the core. Clones lead to the same one.
#[derive(Clone)]
pub struct CoreHandle {
    events: mpsc::Sender<Event>,
    followers: Arc<Mutex<HashMap<TenantName, broadcast::Sender<Arc<Record>>>>>,
    metrics: Arc<Metrics>,
    log_sizes: Sizes,
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

/// What one group of events changed and what follows from it.
struct Group {
    batch: Batch,
    effects: Vec<Effect>,
    accepted: Vec<(TenantName, Arc<Record>)>,
    logged: Logged,
}

/// What a group put into audit logs.
#[derive(Default)]
struct Logged {
    sizes: Vec<(TenantName, u64)>,
    waiting: Vec<(oneshot::Sender<Result<u64, StoreError>>, u64)>,
}

type Outputs = Arc<Mutex<HashMap<ConnId, Output>>>;

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
    let metrics = Arc::new(Metrics::new());
    let pipeline = Pipeline::new(Arc::clone(&store), Arc::clone(&directory), Arc::clone(&metrics))?;
    let corrupt = |what: &str| StoreError::Corrupt { what: what.to_owned() };
    let mut sealer = Sealer::new(keys.sealing).map_err(|_| corrupt("the sealing key"))?;
    things::descriptions(&store, &mut sealer, &directory.access)?;
    let waiting = things::waiting(&store, &mut sealer)?;
    let senders = waiting.iter().map(|record| (record.tenant, record.actor.clone())).collect();
    let mut commands = Commands::new(keys.commands, waiting);
    // What a gateway keeps is behind it for good, also before it said anything.
    for (tenant, thing, gateway) in directory.all_kept() {
        commands.carried(tenant, thing, gateway, now());
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
    let broker = Broker::restore(gate, limits, now(), entries.into_iter());

    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let log_sizes = log.sizes();
    let handle = CoreHandle {
        events,
        followers: Arc::default(),
        metrics: Arc::clone(&metrics),
        log_sizes: Arc::clone(&log_sizes),
    };
    let (groups, to_commit) = sync_channel(GROUPS_MAX);
    let outputs = Outputs::default();
    let core = Core {
        broker,
        sealer,
        auditor,
        log,
        waiting: Vec::new(),
        buffers: HashMap::new(),
        outputs: Arc::clone(&outputs),
        groups,
        metrics: Arc::clone(&metrics),
    };
    let committer =
        Committer { store, outputs, followers: Arc::clone(&handle.followers), metrics, log_sizes };
    let io = |source: io::Error| StoreError::Io { what: "start a thread".to_owned(), source };
    let committer = thread::Builder::new()
        .name("commit".to_owned())
        .spawn(move || committer.run(&to_commit))
        .map_err(io)?;
    let core = thread::Builder::new().name("core".to_owned()).spawn(move || core.run(inbox)).map_err(io)?;
    Ok((handle, RunningCore { core, committer }, senders))
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
    groups: SyncSender<Group>,
    metrics: Arc<Metrics>,
}

impl Core {
    fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else {
            tracing::error!("the core cannot keep time");
            return;
        };
        loop {
            let deadlines = [self.broker.next_deadline(), self.broker.gate().commands.next_deadline()];
            let wait = deadlines.into_iter().flatten().min().map_or(Duration::from_secs(3600), |at| {
                Duration::from_micros(u64::try_from(at.micros_since(now())).unwrap_or_default())
            });
            let first = runtime.block_on(async { tokio::time::timeout(wait, inbox.recv()).await });
            let time = now();
            let mut stop = false;
            match first {
                Ok(None) => stop = true,
                Ok(Some(event)) => stop = self.handle(time, event),
                Err(_) => {}
            }
            for _ in 1..GROUP_EVENTS_MAX {
                let Ok(event) = inbox.try_recv() else { break };
                stop |= self.handle(time, event);
            }
            self.broker.tick(time);
            if self.finish_group(time).is_err() || stop {
                return;
            }
        }
    }

    /// Whether it was the last event.
    fn handle(&mut self, now: Timestamp, event: Event) -> bool {
        match event {
            Event::Accept { conn, who, output } => {
                self.outputs.lock().unwrap_or_else(PoisonError::into_inner).insert(conn, output);
                self.buffers.insert(conn, BytesMut::new());
                self.broker.accept(now, conn, who);
            }
            Event::Received { conn, bytes } => {
                if let Some(buffer) = self.buffers.get_mut(&conn) {
                    buffer.extend_from_slice(&bytes);
                    self.broker.receive_bytes(now, conn, buffer);
                    if buffer.is_empty() {
                        // An idle connection holds no buffer.
                        *buffer = BytesMut::new();
                    }
                }
            }
            Event::Closed { conn } => {
                self.buffers.remove(&conn);
                self.outputs.lock().unwrap_or_else(PoisonError::into_inner).remove(&conn);
                self.broker.closed(now, conn);
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
            Event::TellAdmission { tenant, gateway, payload, done } => {
                if let Some(message) = gate::admission(&tenant, &gateway, &payload) {
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
            Event::Stop => return true,
        }
        false
    }

    fn finish_group(&mut self, now: Timestamp) -> Result<(), ()> {
        for message in std::mem::take(&mut self.broker.gate_mut().announcements) {
            self.broker.announce(now, message);
        }
        let kept = self.things(now)?;
        self.metrics.set_broker(*self.broker.counters());
        for (tenant, deed) in std::mem::take(&mut self.broker.gate_mut().pipeline.deeds) {
            let entry = self.auditor.entry(deed, now).map_err(|error| error.to_string());
            if let Err(error) = entry.and_then(|e| self.log.append(tenant, e).map_err(|e| e.to_string())) {
                tracing::error!(error, "the log cannot be written");
                return Err(());
            }
        }
        let (mut batch, accepted) = self.broker.gate_mut().pipeline.drain();
        let (log_batch, sizes) = self.log.drain();
        batch.extend(log_batch);
        batch.extend(kept);
        let logged = Logged { sizes, waiting: std::mem::take(&mut self.waiting) };
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
        if batch.is_empty() && output.effects.is_empty() && accepted.is_empty() {
            return Ok(());
        }
        self.groups.send(Group { batch, effects: output.effects, accepted, logged }).map_err(|_| ())
    }
}

struct Committer {
    store: Arc<Store>,
    outputs: Outputs,
    followers: Arc<Mutex<HashMap<TenantName, broadcast::Sender<Arc<Record>>>>>,
    metrics: Arc<Metrics>,
    log_sizes: Sizes,
}

impl Committer {
    fn run(self, groups: &Receiver<Group>) {
        while let Ok(mut group) = groups.recv() {
            let mut later = Vec::new();
            while let Ok(mut next) = groups.try_recv() {
                group.batch.extend(std::mem::take(&mut next.batch));
                later.push(next);
            }
            if !group.batch.is_empty() {
                if let Err(error) = self.store.commit(std::mem::take(&mut group.batch)) {
                    // What is in memory is ahead of the disk now. Nothing of it was acknowledged; the next start
                    // goes on from the disk, and the peers send again.
                    tracing::error!(%error, "changes cannot be made durable; stopping");
                    self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return;
                }
                self.metrics.commits.inc();
            }
            self.release(group);
            later.into_iter().for_each(|group| self.release(group));
        }
    }

    fn release(&self, group: Group) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        for effect in group.effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    let sent = outputs.get(&conn).map(|output| output.send(bytes));
                    if sent == Some(Err(TooSlow)) {
                        self.metrics.clients_too_slow.inc();
                        outputs.remove(&conn);
                    }
                }
                // The connection ends when its queue, which has the last words, is empty.
                Effect::Close { conn } => {
                    outputs.remove(&conn);
                }
            }
        }
        drop(outputs);
        self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(group.logged.sizes);
        for (done, index) in group.logged.waiting {
            let _ = done.send(Ok(index));
        }
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, record) in group.accepted {
            if let Some(follower) = followers.get(&tenant) {
                let _ = follower.send(record);
            }
        }
    }
}

impl thingward_ingress::Core for CoreHandle {
    async fn accept(&self, conn: ConnId, who: Member, output: Output) {
        self.metrics.connections.inc();
        self.send(Event::Accept { conn, who, output }).await;
    }

    async fn received(&self, conn: ConnId, bytes: Bytes) {
        self.send(Event::Received { conn, bytes }).await;
    }

    async fn closed(&self, conn: ConnId) {
        self.metrics.connections.dec();
        self.send(Event::Closed { conn }).await;
    }

    fn refused(&self) {
        self.metrics.connections_refused.inc();
    }
}

impl CoreHandle {
    /// Ends the live sessions of a member at once, with `drop_session` the stored ones too.
    pub async fn cut_member(&self, tenant: TenantName, name: DeviceName, drop_session: bool) {
        let (done, wait) = oneshot::channel();
        self.send(Event::CutMember { tenant, name, drop_session, done }).await;
        let _ = wait.await;
    }

    /// Forgets what was opened with the tenant's keys and ends its live sessions.
    pub async fn cut_tenant(&self, tenant: TenantName) {
        let (done, wait) = oneshot::channel();
        self.send(Event::CutTenant { tenant, done }).await;
        let _ = wait.await;
    }

    /// Appends an entry to a tenant's audit log. Returns its index once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is not in the log, or the service is stopping.
    pub async fn log(&self, tenant: TenantName, entry: Vec<u8>) -> Result<u64, StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::Log { tenant, entry, done }).await;
        wait.await.unwrap_or_else(|_| Err(stopping("write the audit log")))
    }

    /// How many entries of a tenant's audit log are durable.
    #[must_use]
    pub fn log_size(&self, tenant: &TenantName) -> u64 {
        self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied().unwrap_or(0)
    }

    /// How many entries of each audit log are durable.
    #[must_use]
    pub fn log_sizes(&self) -> Vec<(TenantName, u64)> {
        let sizes = self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.iter().map(|(tenant, size)| (*tenant, *size)).collect()
    }

    /// The findings of a tenant.
    pub async fn findings(&self, tenant: TenantName) -> Vec<Finding> {
        let (answer, wait) = oneshot::channel();
        self.send(Event::Findings { tenant, answer }).await;
        wait.await.unwrap_or_default()
    }

    /// Which members of a tenant are there. Nobody while the core stops.
    pub(crate) async fn presence(&self, tenant: TenantName) -> Presence {
        let (answer, wait) = oneshot::channel();
        self.send(Event::Presence { tenant, answer }).await;
        wait.await.unwrap_or_default()
    }

    /// Accepted readings of a tenant as they become durable.
    #[must_use]
    pub fn follow(&self, tenant: TenantName) -> broadcast::Receiver<Arc<Record>> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|_, sender| sender.receiver_count() > 0);
        followers.entry(tenant).or_insert_with(|| broadcast::channel(FOLLOW_MAX).0).subscribe()
    }

    /// Whether it takes events.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.events.is_closed()
    }

    /// What is counted.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics.text()
    }

    /// Ends the core behind everything that was sent before.
    pub async fn stop(&self) {
        self.send(Event::Stop).await;
    }

    async fn send(&self, event: Event) {
        // A core that has ended answers nobody; the service notices and stops.
        let _ = self.events.send(event).await;
    }
}

fn stopping(what: &str) -> StoreError {
    StoreError::Io { what: what.to_owned(), source: io::Error::other("the service is stopping") }
}
