//! A running service: what starts in which order, what it does from time to time, how it stops.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_ingress::{GUESSES_MAX, Guesses, MqttListener, SharedTls};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_pki::tls::{ALPN_HTTP, ALPN_MQTT, check_anchor, member_server_config, open_server_config};
use thingward_pki::{PkiError, ca};
use thingward_store::registry::{LIST_MAX, Registry, RevocationReason};
use thingward_store::segment::RollPolicy;
use thingward_store::{Store, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::audit::{Auditor, LogWriter};
use crate::authority::{Authority, AuthorityError, sealed_key};
use crate::coap;
use crate::core::{self, RunningCore, Senders};
use crate::directory::Directory;
use crate::grants;
use crate::http;
use crate::purchases::{self, Payments};
use crate::sealer::Sealer;
use crate::settings::ServiceSettings;
use crate::shared::{MembershipTurn, Shared};
use crate::sign_in::Challenges;
use crate::witness::{self, WitnessError, Witnessing};

/// Most rows of one segment.
const SEGMENT_ROWS_MAX: usize = 1_000_000;
/// How often old commands are looked for.
const CLEANING: Duration = Duration::from_secs(6 * 3600);
/// How long a command is kept that has ended, in microseconds: 30 days.
const COMMANDS_KEPT_MICROS: i64 = 30 * 86_400 * 1_000_000;
/// The name of the key that commands are signed with, in the registry.
const COMMAND_KEY: &str = "command.key";
/// The name of the key that grants are signed with, in the registry.
const GRANT_KEY: &str = "grant.key";
/// How often certificates, the CRL and customers' keys are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A port or file is not to be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate authority does not open.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS does not take its configuration.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The witnesses cannot be asked.
    #[error(transparent)]
    Witness(#[from] WitnessError),
}

/// A running service.
pub struct Service {
    shared: Arc<Shared>,
    core: RunningCore,
    tasks: JoinSet<()>,
    web: JoinHandle<()>,
    web_stop: watch::Sender<bool>,
    mqtt: SocketAddr,
    https: SocketAddr,
    coap: Option<SocketAddr>,
}

impl Service {
    /// Starts everything. Ports are open when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(settings: ServiceSettings) -> Result<Self, StartError> {
        let data_dir = settings.data_dir.clone();
        let store = Arc::new(Store::open(&data_dir).await?);
        let sealing_key = sealing_key(&data_dir)?;
        let time = now();
        let authority = Authority::open(&settings, store.registry(), &sealing_key, time).await?;
        write_root(&data_dir, &authority)?;
        let directory = Arc::new(Directory::load(store.registry(), time).await?);
        let auditor = Arc::new(Auditor::open(&settings.trust_domain, store.registry(), &sealing_key).await?);
        let keys = keys(store.registry(), &sealing_key).await?;
        let (command_public, grant_key) = (keys.commands.public_key().clone(), Arc::clone(&keys.grants));
        let opener = Sealer::new(sealing_key.clone())
            .map_err(|_| StoreError::Corrupt { what: "the sealing key".to_owned() })?;
        let log = LogWriter::load(&store, &store.registry().all_tenants().await?)?;
        let (handle, core, senders) = core::start(
            Arc::clone(&store),
            Arc::clone(&directory),
            Arc::clone(&auditor),
            log,
            keys,
            settings.mqtt_limits.clone(),
        )?;
        // A kill between the end of a token or user and that of their commands leaves the commands.
        handle.cancel_commands_of(gone(store.registry(), senders, time).await?).await;
        let payments = settings.payments.as_ref().map(Payments::open).transpose();
        let payments = payments.map_err(io_error("service.payments".to_owned()))?;
        let witnessing =
            Witnessing::load(&settings.log, store.registry(), &auditor, &handle.log_sizes()).await?;
        let (mqtt_tls, https_tls) = tls(&settings, &authority, &store, time).await?;
        let (mqtt_tls, https_tls) = (SharedTls::new(mqtt_tls), SharedTls::new(https_tls));
        let listener = MqttListener::bind(
            settings.mqtt,
            mqtt_tls.clone(),
            settings.trust_domain.clone(),
            settings.connections,
            handle.clone(),
        );
        let port = |what: &str, address: SocketAddr| format!("open {what} port {address}");
        let listener = listener.await.map_err(io_error(port("MQTT", settings.mqtt)))?;
        let mqtt = listener.local_addr().map_err(io_error(port("MQTT", settings.mqtt)))?;
        let https = settings.https;
        let challenges = Challenges::new();
        let challenges = challenges.map_err(|e| io_error("sign-in".to_owned())(io::Error::other(e)))?;
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
            command_key: command_public,
            grant_key,
            grants: Arc::default(),
            payments,
            directory,
            core: handle,
            mqtt_tls,
            https_tls,
            mqtt,
        });
        let app = http::App::new(Arc::clone(&shared)).map_err(io_error("sign-in".to_owned()))?;
        let web = http::Listeners::bind(app).await.map_err(io_error(port("HTTPS", https)))?;
        let https = web.local_addr();
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run());
        let coap = match shared.settings.coap {
            None => None,
            Some(at) => {
                let listener = coap::listener(at, &shared, https.port()).await?;
                let bound = listener.local_addr().map_err(io_error(port("CoAP", at)))?;
                tasks.spawn(listener.run());
                Some(bound)
            }
        };
        let (web_stop, stop) = watch::channel(false);
        let web = tokio::spawn(web.run(stop));
        tasks.spawn(housekeeping(Arc::clone(&shared)));
        tasks.spawn(customer_keys(Arc::clone(&shared)));
        tasks.spawn(history(Arc::clone(&shared)));
        tasks.spawn(ended_commands(Arc::clone(&shared)));
        tasks.spawn(grants::untold(Arc::clone(&shared)));
        tasks.spawn(purchases::run(Arc::clone(&shared)));
        if shared.witnessing.is_required() {
            tasks.spawn(witness::run(Arc::clone(&shared)));
        }
        Ok(Self { shared, core, tasks, web, web_stop, mqtt, https, coap })
    }

    /// Where MQTT listens.
    #[must_use]
    pub const fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where HTTPS listens.
    #[must_use]
    pub const fn https(&self) -> SocketAddr {
        self.https
    }

    /// Where CoAP listens, where it is spoken.
    #[must_use]
    pub const fn coap(&self) -> Option<SocketAddr> {
        self.coap
    }

    /// What it is made of.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns when the core has ended by itself: the disk took no more changes.
    pub async fn failed(&self) {
        while !self.core.is_finished() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops taking connections, then makes everything durable that was taken.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.web_stop.send_replace(true);
        let _ = self.web.await;
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

pub(crate) fn io_error(what: String) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
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

fn sealing_key(data_dir: &Path) -> Result<SealingKey, StartError> {
    let path = data_dir.join("sealing.key");
    SealingKey::load_or_create(&path).map_err(io_error(format!("sealing key {}", path.display())))
}

/// The root certificate as a file, for the clients of other makers.
fn write_root(data_dir: &Path, authority: &Authority) -> Result<(), StartError> {
    let pem = ca::certificate_pem(&authority.ca().root_der()?)?;
    let path = data_dir.join("root.pem");
    std::fs::write(&path, pem).map_err(io_error(format!("write {}", path.display())))
}

type Configs = (Arc<rustls::ServerConfig>, Arc<rustls::ServerConfig>);

/// The listeners' TLS with a fresh certificate, the current CRL, and the makers that tenants trust.
async fn tls(
    settings: &ServiceSettings,
    authority: &Authority,
    store: &Store,
    time: Timestamp,
) -> Result<Configs, StartError> {
    let root = authority.ca().root_der()?;
    let (mqtt, _) = authority.service_credentials(settings, time)?;
    let (https, _) = authority.service_credentials(settings, time)?;
    let mut anchors = vec![root.clone()];
    let mut after: Option<(TenantName, String)> = None;
    loop {
        let last = after.as_ref().map(|(tenant, name)| (tenant, name.as_str()));
        let page = store.registry().makers(last, LIST_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.tenant, last.name.clone()));
        for maker in page {
            for certificate in maker.certificates {
                match check_anchor(&certificate) {
                    Ok(()) => anchors.push(certificate),
                    // Of one maker, or the whole installation would not start.
                    Err(error) => {
                        tracing::error!(tenant = %maker.tenant, maker = maker.name, %error, "a maker's certificate is left out");
                    }
                }
            }
        }
    }
    let crl = authority.crl();
    Ok((member_server_config(&root, &crl, mqtt, ALPN_MQTT)?, open_server_config(&anchors, https, ALPN_HTTP)?))
}

impl Shared {
    /// Puts new certificates, revocations and makers into effect for the next handshakes.
    ///
    /// # Errors
    ///
    /// [`StartError`]; the former configuration stays.
    pub async fn renew_tls(&self, _turn: &MembershipTurn<'_>) -> Result<(), StartError> {
        let (mqtt, https) = tls(&self.settings, &self.authority, &self.store, now()).await?;
        self.mqtt_tls.replace(mqtt);
        self.https_tls.replace(https);
        Ok(())
    }

    /// Revokes everything that a member has, at once in this process, then in the registry, then for live sessions
    /// and new handshakes. With `release` it leaves the tenant, and its history stays.
    ///
    /// # Errors
    ///
    /// [`StartError`]. The member is out in this process even then; asked again, the rest is done.
    pub async fn revoke_member(
        &self,
        tenant: TenantName,
        name: DeviceName,
        reason: RevocationReason,
        release: bool,
    ) -> Result<(), StartError> {
        let turn = self.membership.lock().await;
        let time = now();
        let registry = self.store.registry();
        self.directory.released(&tenant, &name);
        for serial in registry.revoke_member(&tenant, &name, time, reason, release).await? {
            self.directory.revoke_serial(serial.as_bytes());
        }
        self.core.cut_member(tenant, name, true).await;
        self.left.notify_one();
        self.core.forget_device(tenant, name).await;
        if release {
            self.end_grants(tenant, name).await?;
        }
        self.authority.sign_crl(registry, time).await?;
        self.renew_tls(&turn).await
    }
}

/// Renews the service's certificates and the CRL long before they end.
async fn housekeeping(shared: Arc<Shared>) {
    let lifetimes = shared.settings.lifetimes;
    let renew_every = (lifetimes.service / 3).min(lifetimes.crl / 3);
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(HOUSEKEEPING.min(renew_every)).await;
        if renewed.elapsed() < renew_every {
            continue;
        }
        renewed = tokio::time::Instant::now();
        let turn = shared.membership.lock().await;
        let signed = shared.authority.sign_crl(shared.store.registry(), now()).await;
        if let Err(error) = signed.map_err(StartError::from) {
            tracing::error!(%error, "the CRL was not renewed");
        }
        if let Err(error) = shared.renew_tls(&turn).await {
            tracing::error!(%error, "the service's certificate was not renewed");
        }
    }
}

/// Looks whether customers' keys are still where they were. Each by itself: one may hang.
async fn customer_keys(shared: Arc<Shared>) {
    let mut running = JoinSet::new();
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        for tenant in all_tenants(&shared).await {
            running.spawn(recheck_key(Arc::clone(&shared), tenant));
        }
        while running.try_join_next().is_some() {}
    }
}

async fn recheck_key(shared: Arc<Shared>, tenant: TenantName) {
    let before = shared.store.keys().get(&tenant).is_ok();
    if let Err(error) = shared.store.keys().recheck(&tenant).await {
        tracing::warn!(%tenant, %error, "the customer's key cannot be used");
    }
    if before && shared.store.keys().get(&tenant).is_err() {
        shared.core.cut_tenant(tenant).await;
    }
}

/// All tenants, for work that comes round again.
async fn all_tenants(shared: &Shared) -> Vec<TenantName> {
    shared.store.registry().all_tenants().await.unwrap_or_else(|error| {
        tracing::error!(%error, "tenants cannot be listed");
        Vec::new()
    })
}

/// Forgets commands that ended long ago. What was done with them stays in the audit log.
async fn ended_commands(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CLEANING).await;
        let store = Arc::clone(&shared.store);
        let before = now().plus_micros(-COMMANDS_KEPT_MICROS);
        let forgotten =
            tokio::task::spawn_blocking(move || crate::command::forget_ended(&store, before)).await;
        if let Ok(Err(error)) = forgotten {
            tracing::error!(%error, "old commands stay where they are");
        }
    }
}

/// Moves readings to history.
async fn history(shared: Arc<Shared>) {
    let settings = shared.settings.history;
    let age = i64::try_from(settings.age_max.as_micros()).unwrap_or(i64::MAX);
    let mut swept = now();
    loop {
        tokio::time::sleep(settings.every).await;
        let time = now();
        // Once per age bound everything due goes, however little it is.
        let sweep = time.micros_since(swept) >= age;
        if sweep {
            swept = time;
        }
        let policy = RollPolicy {
            unsigned_before: time.plus_micros(-age),
            rows_min: if sweep { 1 } else { settings.rows_min },
            rows_max: SEGMENT_ROWS_MAX,
        };
        for tenant in all_tenants(&shared).await {
            shared.roll(tenant, policy).await;
        }
    }
}

impl Shared {
    /// Moves what is due of one tenant to history.
    pub async fn roll(&self, tenant: TenantName, policy: RollPolicy) {
        let store = Arc::clone(&self.store);
        let rolled = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.log(tenant).roll() {
                tracing::error!(%tenant, %error, "log entries stay where they are");
            }
            store.roll(&tenant, &policy, now())
        });
        match rolled.await {
            Ok(Ok(None) | Err(StoreError::KeyWithdrawn { .. })) => {}
            Ok(Ok(Some(segment))) => {
                tracing::info!(%tenant, rows = segment.rows, bytes = segment.bytes, "readings moved to history");
            }
            Ok(Err(error)) => tracing::error!(%tenant, %error, "readings stay where they are"),
            Err(error) => tracing::error!(%tenant, %error, "moving readings to history failed"),
        }
    }
}
