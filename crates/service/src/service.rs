//! A running service on one machine: its listeners, and what decides behind them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thingward_cluster::journal::JournalError;
use thingward_cluster::nats::NatsError;
use thingward_cluster::s3::S3Error;
use thingward_crypto::sealed::SealingKey;
use thingward_ingress::{MqttListener, SharedTls};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_pki::tls::{ALPN_HTTP, ALPN_MQTT, check_anchor, member_server_config, open_server_config};
use thingward_pki::{PkiError, ca};
use thingward_store::registry::{LIST_MAX, Registry, RevocationReason};
use thingward_store::{PlaceProblem, Store, StoreError};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::authority::{Authority, AuthorityError};
use crate::coap;
use crate::directory::Directory;
use crate::http;
use crate::reign::{Ground, Reign};
use crate::settings::ServiceSettings;
use crate::shared::{MembershipTurn, Shared};
use crate::witness::WitnessError;

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
    /// What the nodes of one service share is not to be had.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// Files that the nodes share are not to be had.
    #[error(transparent)]
    Objects(#[from] S3Error),
    /// The journal does not go on.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A service on one machine is there, and no node has taken what it has.
    #[error(
        "{} is of a service on one machine: run `thingward move` first, or take another data directory",
        data_dir.display()
    )]
    NotMoved {
        /// Where it is.
        data_dir: PathBuf,
    },
    /// The registry is that of nodes with another journal.
    #[error(
        "the database of `scale.postgres_file` has tenants, and the journal of `scale.nats` is empty: put `nats` and \
         `nats_prefix` as they were, or restore the streams of the same backup"
    )]
    OtherJournal,
}

impl StartError {
    /// Whether it is only that NATS or PostgreSQL is away, or that another node was faster.
    pub(crate) const fn will_pass(&self) -> bool {
        matches!(
            self,
            Self::Nats(_)
                | Self::Journal(JournalError::Nats(_) | JournalError::Deposed)
                | Self::Store(
                    StoreError::Superseded
                        | StoreError::PlaceUnusable { problem: PlaceProblem::Unreachable(_), .. }
                )
        )
    }
}

/// A running service.
pub struct Service {
    reign: Reign,
    tasks: JoinSet<()>,
    /// Those who are connected with MQTT.
    members: JoinHandle<()>,
    web: JoinHandle<()>,
    stop: watch::Sender<bool>,
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
        let time = now();
        let opening = Store::begin(&settings.data_dir).await?;
        let directory = Directory::load(opening.registry(), time).await?;
        let store = Arc::new(opening.finish().await?);
        let sealing_key = sealing_key(&settings.data_dir)?;
        let authority = Authority::open(&settings, store.registry(), &sealing_key, time).await?;
        write_root(&settings.data_dir, &authority)?;
        let tls = tls(&settings, &authority, store.registry(), time).await?;
        let (mqtt, mqtt_listener) = mqtt_listener(&settings, &tls).await?;
        let web = web_listeners(&settings).await?;
        let (https, https_tls) = (web.local_addr(), tls.https.clone());
        let coap = settings.coap;
        let ground = Ground { settings, store, directory, sealing_key, authority, tls, mqtt };
        let reign = Reign::begin(ground, time).await?;
        let (stop, stopping) = watch::channel(false);
        let members = tokio::spawn(mqtt_listener.run(reign.shared.core.clone(), stopping.clone()));
        let mut tasks = JoinSet::new();
        let coap = match coap {
            None => None,
            Some(at) => {
                let listener = coap::listener(at, &reign.shared, https.port()).await?;
                let bound = listener.local_addr();
                tasks.spawn(listener.run());
                Some(bound.map_err(io_error(format!("open CoAP port {at}")))?)
            }
        };
        let web = tokio::spawn(web.run(reign.site.clone(), https_tls, stopping));
        Ok(Self { reign, tasks, members, web, stop, mqtt, https, coap })
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
        &self.reign.shared
    }

    /// Returns when the core has ended by itself: the disk took no more changes.
    pub async fn failed(&self) {
        self.reign.failed().await;
    }

    /// Stops taking connections, makes everything durable that was taken, and tells those who are connected that it ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.tasks.shutdown().await;
        let _ = self.web.await;
        self.reign.end().await;
        let _ = self.members.await;
    }
}

/// The MQTT port, open, and where it is.
///
/// # Errors
///
/// [`StartError::Io`].
pub(crate) async fn mqtt_listener(
    settings: &ServiceSettings,
    tls: &ListenersTls,
) -> Result<(SocketAddr, MqttListener), StartError> {
    let (at, domain) = (settings.mqtt, settings.trust_domain.clone());
    let listener = MqttListener::bind(at, tls.mqtt.clone(), domain, settings.connections).await;
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(io_error(format!("open MQTT port {at}")))
}

pub(crate) fn io_error(what: String) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}

pub(crate) fn sealing_key(data_dir: &Path) -> Result<SealingKey, StartError> {
    let path = data_dir.join("sealing.key");
    SealingKey::load_or_create(&path).map_err(io_error(format!("sealing key {}", path.display())))
}

/// The root certificate as a file, for the clients of other makers.
pub(crate) fn write_root(data_dir: &Path, authority: &Authority) -> Result<(), StartError> {
    let pem = ca::certificate_pem(&authority.ca().root_der()?)?;
    let path = data_dir.join("root.pem");
    std::fs::write(&path, pem).map_err(io_error(format!("write {}", path.display())))
}

/// The ports of HTTP, open.
///
/// # Errors
///
/// [`StartError::Io`].
pub(crate) async fn web_listeners(settings: &ServiceSettings) -> Result<http::Listeners, StartError> {
    let bound = http::Listeners::bind(settings).await;
    bound.map_err(io_error(format!("open HTTPS port {}", settings.https)))
}

/// TLS of the listeners.
#[derive(Clone)]
pub(crate) struct ListenersTls {
    pub(crate) mqtt: SharedTls,
    pub(crate) https: SharedTls,
}

/// The listeners' TLS with a fresh certificate, the current CRL, and the makers that tenants trust.
///
/// # Errors
///
/// [`StartError`].
pub(crate) async fn tls(
    settings: &ServiceSettings,
    authority: &Authority,
    registry: &Registry,
    time: Timestamp,
) -> Result<ListenersTls, StartError> {
    let (mqtt, https) = configs(settings, authority, registry, time).await?;
    Ok(ListenersTls { mqtt: SharedTls::new(mqtt), https: SharedTls::new(https) })
}

impl ListenersTls {
    /// As those are, from the next handshake on.
    pub(crate) fn take(&self, fresh: &Self) {
        self.mqtt.replace(fresh.mqtt.current());
        self.https.replace(fresh.https.current());
    }

    /// Fresh ones from the next handshake on.
    ///
    /// # Errors
    ///
    /// [`StartError`]; the former ones stay.
    pub(crate) async fn renew(
        &self,
        settings: &ServiceSettings,
        authority: &Authority,
        registry: &Registry,
    ) -> Result<(), StartError> {
        let (mqtt, https) = configs(settings, authority, registry, now()).await?;
        self.mqtt.replace(mqtt);
        self.https.replace(https);
        Ok(())
    }
}

type Configs = (Arc<rustls::ServerConfig>, Arc<rustls::ServerConfig>);

async fn configs(
    settings: &ServiceSettings,
    authority: &Authority,
    registry: &Registry,
    time: Timestamp,
) -> Result<Configs, StartError> {
    let root = authority.ca().root_der()?;
    let (mqtt, _) = authority.service_credentials(settings, time)?;
    let (https, _) = authority.service_credentials(settings, time)?;
    let mut anchors = vec![root.clone()];
    let mut after: Option<(TenantName, String)> = None;
    loop {
        let last = after.as_ref().map(|(tenant, name)| (tenant, name.as_str()));
        let page = registry.makers(last, LIST_MAX).await?;
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
        self.tls.renew(&self.settings, &self.authority, self.store.registry()).await?;
        self.members_changed.send_replace(());
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
