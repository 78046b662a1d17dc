//! What decides, and what it does from time to time, without listeners.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_ingress::{GUESSES_MAX, Guesses};
use thingward_model::Timestamp;
use thingward_store::registry::Registry;
use thingward_store::{Store, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinSet};

use crate::audit::{Auditor, LogWriter};
use crate::authority::{Authority, AuthorityError, sealed_key};
use crate::chores;
use crate::core::{self, RunningCore, Senders};
use crate::directory::Directory;
use crate::http::{App, Site};
use crate::purchases::Payments;
use crate::sealer::Sealer;
use crate::service::{ListenersTls, StartError, io_error};
use crate::settings::ServiceSettings;
use crate::shared::Shared;
use crate::sign_in::Challenges;
use crate::witness::Witnessing;

/// The name of the key that commands are signed with, in the registry.
const COMMAND_KEY: &str = "command.key";
/// The name of the key that grants are signed with, in the registry.
const GRANT_KEY: &str = "grant.key";

/// How often it is looked whether it goes on.
const LOOK: Duration = Duration::from_millis(200);

/// What it stands on.
pub(crate) struct Ground {
    /// How it runs.
    pub(crate) settings: ServiceSettings,
    /// What it keeps.
    pub(crate) store: Arc<Store>,
    /// Who its members are.
    pub(crate) directory: Directory,
    /// What secrets are sealed under.
    pub(crate) sealing_key: SealingKey,
    /// Who issues certificates.
    pub(crate) authority: Authority,
    /// TLS of the listeners, which it renews.
    pub(crate) tls: ListenersTls,
    /// Where MQTT listens.
    pub(crate) mqtt: SocketAddr,
}

/// The one core, everything around it, and the chores.
pub(crate) struct Reign {
    pub(crate) shared: Arc<Shared>,
    pub(crate) site: Site,
    core: RunningCore,
    chores: JoinSet<()>,
}

impl Reign {
    /// Reads what is kept, and starts to decide.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub(crate) async fn begin(ground: Ground, time: Timestamp) -> Result<Self, StartError> {
        let Ground { settings, store, directory, sealing_key, authority, tls, mqtt } = ground;
        let directory = Arc::new(directory);
        let auditor = Arc::new(Auditor::open(&settings.trust_domain, store.registry(), &sealing_key).await?);
        let keys = keys(store.registry(), &sealing_key).await?;
        let (command_key, grant_key) = (keys.commands.public_key().clone(), Arc::clone(&keys.grants));
        let opener = Sealer::new(sealing_key)
            .map_err(|_| StoreError::Corrupt { what: "the sealing key".to_owned() })?;
        // Reads all sessions, and tiles, perhaps from where the other nodes left them.
        let (tenants, at) = (store.registry().all_tenants().await?, Arc::clone(&store));
        let limits = settings.mqtt_limits.clone();
        let (directory_there, auditor_there) = (Arc::clone(&directory), Arc::clone(&auditor));
        let starting = tokio::task::spawn_blocking(move || {
            let log = LogWriter::load(&at, &tenants)?;
            core::start(at, directory_there, auditor_there, log, keys, limits)
        });
        let failed = |e: JoinError| StoreError::Io { what: "read what is kept".to_owned(), source: e.into() };
        let (handle, core, senders) = starting.await.map_err(failed)??;
        // A kill between the end of a token or user and that of their commands leaves the commands.
        handle.cancel_commands_of(gone(store.registry(), senders, time).await?).await;
        let payments = settings.payments.as_ref().map(Payments::open).transpose();
        let payments = payments.map_err(io_error("service.payments".to_owned()))?;
        let witnessing =
            Witnessing::load(&settings.log, store.registry(), &auditor, &handle.log_sizes()).await?;
        let challenges = Challenges::new();
        let challenges = challenges.map_err(|e| io_error("sign-in".to_owned())(std::io::Error::other(e)))?;
        let shared = Arc::new(Shared {
            settings,
            store,
            authority,
            membership: Mutex::new(()),
            auditor,
            witnessing,
            guesses: std::sync::Mutex::new(Guesses::new(GUESSES_MAX)),
            challenges,
            left: Arc::default(),
            refusals: std::sync::Mutex::default(),
            opener: std::sync::Mutex::new(opener),
            command_key,
            grant_key,
            grants: Arc::default(),
            payments,
            directory,
            core: handle,
            tls,
            members_changed: watch::Sender::new(()),
            mqtt,
        });
        let app = App::new(Arc::clone(&shared)).map_err(io_error("sign-in".to_owned()))?;
        let chores = chores::start(&shared);
        Ok(Self { site: Site::new(&app), shared, core, chores })
    }

    /// Returns when the core has ended by itself: what it decided could not be made durable.
    pub(crate) async fn failed(&self) {
        while !self.core.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns when the registry has a newer leader: nothing can be read of it or changed in it here any more.
    pub(crate) async fn superseded(&self) {
        while !self.shared.store.registry().is_superseded() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes everything durable that was taken.
    pub(crate) async fn end(mut self) {
        self.chores.shutdown().await;
        self.shared.core.stop().await;
        let core = self.core;
        let _ = tokio::task::spawn_blocking(move || core.join()).await;
        self.shared.store.registry().close().await;
    }
}

/// Which of them are nobody any more.
async fn gone(registry: &Registry, senders: Senders, now: Timestamp) -> Result<HashSet<String>, StoreError> {
    let mut gone = HashSet::new();
    for (tenant, actor) in senders {
        let is_there = match actor.split_once('/') {
            Some(("token", id)) => match id.parse() {
                Ok(id) => registry.token_works(&id, now).await?,
                Err(_) => false,
            },
            Some(("user", id)) => match id.parse() {
                Ok(id) => registry.user_by_id(&tenant, &id).await.map(|_| true).or_else(unless_not_found)?,
                Err(_) => false,
            },
            _ => true,
        };
        if !is_there {
            gone.insert(actor);
        }
    }
    Ok(gone)
}

fn unless_not_found(e: StoreError) -> Result<bool, StoreError> {
    match e {
        StoreError::NotFound { .. } => Ok(false),
        other => Err(other),
    }
}

/// The core's keys, as the registry has them, or new ones at the first start. Ed25519, which chips verify too.
///
/// # Errors
///
/// [`AuthorityError`].
pub(crate) async fn keys(registry: &Registry, sealing: &SealingKey) -> Result<core::Keys, AuthorityError> {
    let make = || SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng());
    let commands = sealed_key(registry, sealing, COMMAND_KEY, make).await?;
    let grants = Arc::new(sealed_key(registry, sealing, GRANT_KEY, make).await?);
    Ok(core::Keys { sealing: sealing.clone(), commands, grants })
}
