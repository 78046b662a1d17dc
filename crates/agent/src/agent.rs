//! The running device: streams, commands, uplink and renewal behind one handle.
//!
//! A thread of its own makes readings durable; the network never waits for the disk. Whoever is told that a
//! reading is durable may forget it.

mod actions;
mod renewal;
mod source;
mod streams;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ClientConfig;
use thingward_crypto::{AeadAlgorithm, VerifyingKey};
use thingward_grant::{Nonce, Refusal};
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_model::{Confidentiality, Principal, StreamName, Timestamp};
use thingward_mqtt::codec::Text;
use thingward_pki::PkiError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::coap::uplink::{Coap, IN_FLIGHT_MAX};
use crate::commands::{Commands, CommandsStatus, UseError, UseState};
use crate::disk::Directory;
use crate::grants::{BookError, Grants, GrantsError, TakeBackError};
use crate::home::{Home, HomeError, Identity};
use crate::key_store::KeyStoreReference;
use crate::reading::{OwnedReading, ReadingError};
use crate::spool::SpoolLimits;
use crate::uplink::{Route, Uplink, UplinkSettings, UplinkStatus};
use streams::Streams;
use worker::Command;

pub use actions::Action;
use actions::Actions;
use renewal::Authority;
use source::{Asked, DeviceSource};
pub use streams::StreamStatus;

/// Most streams of one device.
pub const STREAMS_MAX: usize = 64;
/// How many callers may wait to be written before further ones have to queue up.
const COMMANDS_MAX: usize = 1024;
/// How long a clean stop waits for what is on its way.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// How a device works.
#[derive(Clone)]
pub struct AgentSettings {
    /// The gateway to connect to, or the service under another address; else the service's own.
    pub uplink: Option<Route>,
    /// Longest time that records wait for a checkpoint.
    pub checkpoint_every: Duration,
    /// Bounds of each stream's buffer.
    pub limits: SpoolLimits,
    /// For whom streams are sealed that are not named in [`Self::streams`].
    pub confidentiality: Confidentiality,
    /// For whom single streams are sealed.
    pub streams: BTreeMap<StreamName, Confidentiality>,
    /// The cipher of the records.
    pub cipher: AeadAlgorithm,
    /// What the device is and does. Without one nobody can tell it to do anything.
    pub description: Option<Arc<ThingDescription>>,
}

impl Default for AgentSettings {
    /// Sealed for the service with AES-256-GCM, signed every 10 seconds.
    fn default() -> Self {
        Self {
            uplink: None,
            checkpoint_every: Duration::from_secs(10),
            limits: SpoolLimits::default(),
            confidentiality: Confidentiality::Service,
            streams: BTreeMap::new(),
            cipher: AeadAlgorithm::Aes256Gcm,
            description: None,
        }
    }
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The home has no identity, or cannot be read.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Key and certificates do not fit together.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Why readings are not durable.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// They cannot be a record.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// The stream would be one too many.
    #[error("the device has {STREAMS_MAX} streams already")]
    TooManyStreams,
    /// The stream is for the customer only, who has no key.
    #[error("the customer has set no key, and the stream is sealed for the customer only")]
    NoCustomerKey,
    /// The stream's chain or buffer failed. A failed disk: whether the readings are kept is not known before
    /// the next success.
    #[error("{0}")]
    Stream(String),
    /// The agent stops.
    #[error("the agent is stopping")]
    Stopping,
}

/// Readings that belong together: one record of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// 1 to 64.
    pub readings: Vec<OwnedReading>,
    /// Becomes durable together with the record; see [`StreamState::note`].
    pub note: Option<u64>,
}

/// Readings are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Bytes of this stream on disk. Whoever could wait should, before they reach the buffer's bound and the
    /// oldest are dropped.
    pub backlog_bytes: u64,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The newest durable note; 0 when there never was one.
    pub note: u64,
    /// The note of the newest delivered message; `None` when none was since the start.
    pub delivered_note: Option<u64>,
    /// Whether everything durable is delivered.
    pub is_delivered: bool,
    /// Bytes on disk.
    pub backlog_bytes: u64,
}

/// How the device is.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentStatus {
    /// Who it is.
    pub principal: Principal,
    /// Its public key, by which others know what it signed.
    pub key: VerifyingKey,
    /// Where its keys are.
    pub key_store: KeyStoreReference,
    /// Where it connects to.
    pub uplink_to: Route,
    /// The connection.
    pub uplink: UplinkStatus,
    /// What waits, per stream.
    pub streams: Vec<StreamStatus>,
    /// What waits of commands; `None` when the device takes none.
    pub commands: Option<CommandsStatus>,
    /// When the certificate expires.
    pub certificate_expires: Timestamp,
    /// Why the certificate was not renewed when it was last tried.
    pub renewal_error: Option<String>,
}

/// Starts agents.
pub struct Agent;

/// A running agent. Clones are of the same agent; when the last one is dropped without [`Self::stop`], it ends
/// at once, as if it were killed.
#[derive(Clone)]
pub struct AgentHandle(Arc<Running>);

struct Running {
    commands: mpsc::Sender<Command>,
    streams: Arc<Mutex<Streams>>,
    actions: Option<Actions>,
    uplink: Mutex<Option<Uplink>>,
    uplink_status: watch::Receiver<UplinkStatus>,
    uplink_to: Route,
    principal: Principal,
    key: VerifyingKey,
    key_store: KeyStoreReference,
    limits: SpoolLimits,
    renewal: watch::Receiver<renewal::RenewalStatus>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Agent {
    /// Opens the streams of `home` and starts to deliver and to renew.
    ///
    /// MUST be called inside a tokio runtime; blocks shortly for files.
    ///
    /// # Errors
    ///
    /// [`AgentError`].
    pub fn start(home: &Home, settings: AgentSettings) -> Result<AgentHandle, AgentError> {
        let identity = home.identity()?;
        let membership = identity.membership.clone();
        let principal = membership.principal();
        let uplink_to = settings.uplink.clone().unwrap_or_else(|| membership.mqtt_endpoint().into());
        let limits = settings.limits;
        let (tls_tx, tls) = watch::channel(identity.uplink_tls()?);
        let wake = Arc::new(Notify::new());
        let description = settings.description.clone();
        let commands = description.clone().and_then(|d| open_commands(home, &identity, d));
        let actions = commands.map(|commands| Actions::new(commands, Arc::clone(&wake)));
        let streams = Streams::open(home.clone(), &identity, settings)?;
        let streams = Arc::new(Mutex::new(streams));

        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let started = worker::start(Arc::clone(&streams), actions.clone(), receiver, Arc::clone(&wake));
        started.map_err(AgentError::Thread)?;
        let client_id = Text::try_from(principal.name.as_str()).unwrap_or_default();
        let document = description.map(|d| d.as_json().to_string().into()).unwrap_or_default();
        let asked = Arc::<Asked>::default();
        let source = DeviceSource::new(Arc::clone(&streams), actions.clone(), document, Arc::clone(&asked));
        let (uplink, authority) = match uplink_to.clone() {
            Route::Mqtt(to) => {
                (Uplink::start(UplinkSettings::new(to, tls, client_id), source, wake), Authority::Https)
            }
            Route::Coap(to) => {
                let (carrier, client) = Coap::new(to, home.clone());
                (Uplink::over(carrier, IN_FLIGHT_MAX, source, wake), Authority::Coap(client))
            }
        };
        let (renewal_tx, renewal) = watch::channel(renewal::RenewalStatus::of(&identity.leaf));
        let tasks = vec![
            tokio::spawn(worker::tick(commands.downgrade())),
            tokio::spawn(renewal::keep_renewed(
                home.clone(),
                authority,
                tls_tx,
                Arc::clone(&streams),
                actions.clone(),
                renewal_tx,
                asked,
            )),
        ];
        let uplink_status = uplink.watch();
        let uplink = Mutex::new(Some(uplink));
        Ok(AgentHandle(Arc::new(Running {
            commands,
            streams,
            actions,
            uplink,
            uplink_status,
            uplink_to,
            principal,
            key: identity.key.public_key().clone(),
            key_store: home.key_store().clone(),
            limits,
            renewal,
            tasks,
        })))
    }
}

impl AgentHandle {
    /// Makes readings durable as one record of the stream, which is made on its first use.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub async fn record(
        &self,
        stream: StreamName,
        readings: Vec<OwnedReading>,
    ) -> Result<Durable, RecordError> {
        self.append(stream, vec![NewRecord { readings, note: None }]).await
    }

    /// Makes records durable, in order and all with one write where they fit. When one of them fails, those in
    /// front of it are durable, and their notes say how many.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub async fn append(&self, stream: StreamName, records: Vec<NewRecord>) -> Result<Durable, RecordError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Append { stream, records, reply };
        self.0.commands.send(command).await.map_err(|_| RecordError::Stopping)?;
        answer.await.map_err(|_| RecordError::Stopping)?
    }

    /// Signs what a stream has now, instead of within [`AgentSettings::checkpoint_every`]: for whoever sends a last
    /// record and waits until it has arrived.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub async fn sign(&self, stream: StreamName) -> Result<(), RecordError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Sign { stream, reply };
        self.0.commands.send(command).await.map_err(|_| RecordError::Stopping)?;
        answer.await.map_err(|_| RecordError::Stopping)?
    }

    /// How far a stream is, which is made when there is none.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub async fn stream_state(&self, stream: StreamName) -> Result<StreamState, RecordError> {
        self.with_streams(move |streams| streams.state(&stream)).await?
    }

    /// The next thing that the device is told to do, once there is one. It is begun from here on. Never, when the
    /// device takes no commands. Cancel safe.
    pub async fn next_action(&self) -> Action {
        match &self.0.actions {
            Some(actions) => actions.next().await,
            None => std::future::pending().await,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.0.principal
    }

    /// A nonce for one presentation of a grant, within a minute.
    ///
    /// # Errors
    ///
    /// [`UseError::Closed`].
    pub async fn nonce(&self) -> Result<Nonce, UseError> {
        match &self.0.actions {
            Some(actions) => actions.nonce().await,
            None => Err(UseError::Closed),
        }
    }

    /// Somebody shows a grant. What it allows is done; gives the signed reply, or how far it is when that takes longer
    /// than `patience`.
    ///
    /// # Errors
    ///
    /// [`UseError`]; nothing is done then.
    pub async fn present(&self, presentation: Vec<u8>, patience: Duration) -> Result<UseState, UseError> {
        match &self.0.actions {
            Some(actions) => actions.present(presentation, patience).await,
            None => Err(UseError::Closed),
        }
    }

    /// A signed revocation of grants came, whoever carried it.
    ///
    /// # Errors
    ///
    /// [`TakeBackError`].
    pub async fn take_back(&self, revocation: Vec<u8>) -> Result<(), TakeBackError> {
        match &self.0.actions {
            Some(actions) => actions.take_back(revocation).await,
            None => Err(TakeBackError::Refused(Refusal::UnknownIssuer)),
        }
    }

    async fn commands_status(&self) -> Option<CommandsStatus> {
        match &self.0.actions {
            Some(actions) => Some(actions.status().await),
            None => None,
        }
    }

    /// How the device is.
    ///
    /// # Errors
    ///
    /// [`RecordError::Stopping`].
    pub async fn status(&self) -> Result<AgentStatus, RecordError> {
        let streams = self.with_streams(|streams| streams.status()).await?;
        let commands = self.commands_status().await;
        let renewal = self.0.renewal.borrow().clone();
        Ok(AgentStatus {
            principal: self.0.principal,
            key: self.0.key.clone(),
            key_store: self.0.key_store.clone(),
            uplink_to: self.0.uplink_to.clone(),
            uplink: self.0.uplink_status.borrow().clone(),
            streams,
            commands,
            certificate_expires: renewal.expires,
            renewal_error: renewal.error,
        })
    }

    /// The bounds of each stream's buffer.
    #[must_use]
    pub fn limits(&self) -> SpoolLimits {
        self.0.limits
    }

    /// Signs and writes everything, gives what is on its way a moment to arrive, and takes leave.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when a stream could not be closed; the agent has stopped all the same.
    pub async fn stop(&self) -> Result<(), RecordError> {
        let (reply, answer) = oneshot::channel();
        self.0.commands.send(Command::Stop { reply }).await.map_err(|_| RecordError::Stopping)?;
        let closed = answer.await.unwrap_or(Err(RecordError::Stopping));
        let uplink = lock(&self.0.uplink).take();
        if let Some(uplink) = uplink {
            let _in_time = tokio::time::timeout(DRAIN_MAX, self.drained()).await;
            uplink.stop().await;
        }
        for task in &self.0.tasks {
            task.abort();
        }
        closed
    }

    /// Until everything is delivered or the connection is gone.
    async fn drained(&self) {
        let mut status = self.0.uplink_status.clone();
        while status.borrow_and_update().online {
            let is_delivered = self.with_streams(|streams| streams.is_delivered()).await.unwrap_or(true);
            let replies = self.commands_status().await.map_or(0, |status| status.replies);
            if is_delivered && replies == 0 || status.changed().await.is_err() {
                return;
            }
        }
    }

    async fn with_streams<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Streams) -> T + Send + 'static,
    ) -> Result<T, RecordError> {
        let streams = Arc::clone(&self.0.streams);
        let answer = tokio::task::spawn_blocking(move || ask(&mut lock(&streams))).await;
        answer.map_err(|_| RecordError::Stopping)
    }
}

/// A journal that does not open is reported and left alone; readings go on.
fn open_commands(
    home: &Home,
    identity: &Identity,
    description: Arc<ThingDescription>,
) -> Option<Commands<Directory>> {
    let open = || {
        let disk = Directory::open(&home.commands_dir())?;
        let (key, signer) = (home.sealing_key().clone(), identity.key.clone());
        let grants = open_grants(home, &description);
        Commands::open(disk, key, signer, identity.membership.clone(), description, grants, now())
    };
    open().inspect_err(|error| tracing::error!(%error, "the device takes no commands")).ok()
}

/// A book that does not open, or a description that opens too much, is reported; commands go on.
fn open_grants(home: &Home, description: &ThingDescription) -> Option<Grants<Directory>> {
    let open = || -> Result<_, GrantsError> {
        let disk = Directory::open(&home.grants_dir()).map_err(BookError::from)?;
        Grants::open(disk, home.sealing_key().clone(), description)
    };
    open().inspect_err(|error| tracing::error!(%error, "the device takes no grants")).ok().flatten()
}

/// A thread that panicked holds no invariant here that its successor would break: what counts is on disk.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

type Tls = Arc<ClientConfig>;
