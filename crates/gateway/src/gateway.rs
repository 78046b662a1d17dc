//! A running gateway.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use thingward_agent::backoff::Backoff;
use thingward_agent::disk::{Directory, Disk};
use thingward_agent::enrol::{self, EnrolError};
use thingward_agent::home::{Home, HomeError, Identity};
use thingward_agent::http::Endpoint;
use thingward_agent::uplink::{Uplink, UplinkSettings, UplinkStatus};
use thingward_ingress::coap::Presence;
use thingward_ingress::{ConnectionLimits, MqttListener, SharedTls};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Role};
use thingward_mqtt::codec::Text;
use thingward_mqtt::topic::TopicName;
use thingward_pki::PkiError;
use thingward_pki::tls::{ALPN_MQTT, Credentials, member_server_config};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::accounts::{AccountError, Accounts};
use crate::coap::{self, CoapError, Revoked};
use crate::core::{self, CoreHandle, SharedQueue};
use crate::crl::{self, Crl};
use crate::forward::{Forwarder, Told};
use crate::home_assistant::{self, HomeAssistantSettings};
use crate::local::Local;
use crate::queue::{Queue, QueueError, QueueLimits};
use crate::radio::{RadioSettings, Radios, RadiosStatus};
use crate::relay;
use crate::serial::{self, SerialError, SerialSettings, Surroundings};
use crate::standing::Rules;
use crate::switchboard::Switchboard;
use crate::time::Questions;

/// How often the CRL is fetched.
const CRL_EVERY: Duration = Duration::from_secs(600);
/// How often it is tried while there is none.
const CRL_RETRY: Duration = Duration::from_secs(2);
/// Longest wait between looks at the certificate's end.
const RENEWAL_WAIT_MAX: Duration = Duration::from_secs(600);

/// How a gateway runs.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Where children connect with MQTT.
    pub listen: SocketAddr,
    /// Where children reach the service's HTTPS through the gateway, where it passes that on.
    pub relay: Option<SocketAddr>,
    /// Where things speak CoAP under OSCORE, where the gateway speaks it.
    pub coap: Option<SocketAddr>,
    /// Where the service takes MQTT, when not where the membership says.
    pub uplink: Option<Endpoint>,
    /// Bounds of the queue.
    pub queue: QueueLimits,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
    /// Chips on serial lines.
    pub serial: Vec<SerialSettings>,
    /// Radios.
    pub radios: Vec<RadioSettings>,
    /// Home Assistant, where it is to see the things of radios.
    pub home_assistant: Option<HomeAssistantSettings>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The home is not to be had, or nobody enrolled it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// It is enrolled as something else.
    #[error("enrolled as a {0}, not as a gateway; enrol it with a claim made for a gateway")]
    NotAGateway(Role),
    /// A port or file is not to be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The queue does not open.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What the gateway did by itself cannot be read or written.
    #[error(transparent)]
    Accounts(#[from] AccountError),
    /// TLS does not take its configuration.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The line of a chip.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// Things that speak CoAP.
    #[error(transparent)]
    Coap(#[from] CoapError),
}

/// How a gateway is.
#[derive(Debug, Clone)]
pub struct GatewayStatus {
    /// Children that are connected.
    pub children: Vec<DeviceName>,
    /// Messages that wait and their bytes, by child.
    pub backlog: BTreeMap<DeviceName, (usize, u64)>,
    /// Messages that became too old, by child, since the start.
    pub expired: BTreeMap<DeviceName, u64>,
    /// The radios and their things.
    pub radios: RadiosStatus,
    /// The connection to the service.
    pub uplink: UplinkStatus,
}

/// A running gateway.
pub struct Gateway {
    core: CoreHandle,
    thread: thread::JoinHandle<()>,
    queue: SharedQueue,
    accounts: Accounts,
    radios: Radios,
    uplink: Uplink,
    tasks: JoinSet<()>,
    /// Those who are connected with MQTT.
    children: JoinHandle<()>,
    stop: watch::Sender<bool>,
    mqtt: SocketAddr,
    relay: Option<SocketAddr>,
    coap: Option<SocketAddr>,
}

impl Gateway {
    /// Starts with an enrolled home. Waits for a first CRL: without one nobody is let in.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(home: Home, settings: GatewaySettings) -> Result<Self, StartError> {
        let identity = home.identity()?;
        let membership = identity.membership.clone();
        if membership.role != Role::Gateway {
            return Err(StartError::NotAGateway(membership.role));
        }
        let disk: Box<dyn Disk + Send> =
            Box::new(Directory::open(&home.queue_dir()).map_err(io_error("queue directory"))?);
        let queue = Queue::open(disk, home.sealing_key().clone(), settings.queue)?;
        let queue = Arc::new(Mutex::new(queue));
        let arrived = Arc::new(Notify::new());
        let switchboard = Switchboard::default();
        let started =
            core::start(membership.tenant, Arc::clone(&queue), Arc::clone(&arrived), switchboard.clone());
        let (core, thread) = started.map_err(io_error("start a thread"))?;

        let (uplink_tls, uplink_tls_rx) = watch::channel(identity.uplink_tls()?);
        let host = membership.service.host.clone();
        let to = settings.uplink.unwrap_or(Endpoint { host, port: membership.mqtt_port });
        let client_id = Text::try_from(membership.name.as_str()).unwrap_or_default();
        let questions = Questions::new(Arc::clone(&arrived));
        let mut tasks = JoinSet::new();
        let accounts = Accounts::open(&home, &membership, Arc::clone(&identity.key), Arc::clone(&arrived))?;
        let rules = Rules::open(&home, &membership, accounts.clone());
        let has_applications = settings.home_assistant.is_some();
        let local = Local::new(&membership.principal(), rules.clone(), accounts.clone(), has_applications);
        tasks.spawn(rules.clone().keep_up(home.clone()));
        tasks.spawn(local.clone().tell_refusals());
        let around = Surroundings {
            home: home.clone(),
            trust_domain: membership.trust_domain.as_str().to_owned(),
            core: core.clone(),
            questions: questions.clone(),
            switchboard: switchboard.clone(),
            local: local.clone(),
        };
        let radios = Radios::start(settings.radios, &mut tasks, &around);
        if let Some(settings) = settings.home_assistant {
            let gateway = (membership.tenant, membership.name);
            home_assistant::start(settings, gateway, local, &mut tasks);
        }
        serial::start(settings.serial, &mut tasks, &around).await?;
        let presence = Presence::default();
        let source = Forwarder {
            queue: Arc::clone(&queue),
            key: Arc::clone(&identity.key),
            topic: forward_topic()?,
            core: core.clone(),
            questions: questions.clone(),
            switchboard,
            radios: radios.clone(),
            coap: settings.coap.map(|_| presence.clone()),
            told: Told::default(),
            accounts: accounts.clone(),
            rules,
        };
        let uplink = Uplink::start(UplinkSettings::new(to, uplink_tls_rx, client_id), source, arrived);

        let crl = first_crl(&identity, &home).await;
        let tls = SharedTls::new(server_tls(&identity, &crl)?);
        let listener = MqttListener::bind(
            settings.listen,
            tls.clone(),
            membership.trust_domain.clone(),
            settings.connections,
        );
        let what = format!("open MQTT port {}", settings.listen);
        let listener = listener.await.map_err(io_error(what.as_str()))?;
        let mqtt = listener.local_addr().map_err(io_error(what.as_str()))?;
        let (stop, stopping) = watch::channel(false);
        let children = tokio::spawn(listener.run(core.clone(), stopping));
        let mut relay_address = None;
        if let Some(address) = settings.relay {
            let what = format!("open relay port {address}");
            let socket = TcpListener::bind(address).await.map_err(io_error(what.as_str()))?;
            relay_address = socket.local_addr().ok();
            tasks.spawn(relay::run(socket, membership.service.clone()));
        }
        core.revoked(crl.serials.clone()).await;
        let revoked = Revoked::default();
        revoked.replace(crl.serials);
        let coap = match settings.coap {
            None => None,
            Some(address) => {
                Some(coap::start(address, &mut tasks, &identity, around, revoked.clone(), presence).await?)
            }
        };
        let told = Published { tls, uplink_tls, revoked };
        tasks.spawn(look_after(home, identity, told, core.clone()));
        let relay = relay_address;
        Ok(Self { core, thread, queue, accounts, radios, uplink, tasks, children, stop, mqtt, relay, coap })
    }

    /// Where children connect with MQTT.
    #[must_use]
    pub const fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where children reach the service's HTTPS.
    #[must_use]
    pub const fn relay(&self) -> Option<SocketAddr> {
        self.relay
    }

    /// Where things speak CoAP.
    #[must_use]
    pub const fn coap(&self) -> Option<SocketAddr> {
        self.coap
    }

    /// How it is.
    pub async fn status(&self) -> GatewayStatus {
        let children = self.core.children().await;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (backlog, expired) = (queue.backlog(), queue.expired.clone());
        let radios = self.radios.board.all(&backlog);
        GatewayStatus { children, backlog, expired, radios, uplink: self.uplink.status() }
    }

    /// Returns when the core has ended by itself: the disk took no more messages.
    pub async fn failed(&self) {
        while !self.thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops taking messages, tells children so, keeps what waits, and writes down what was delivered.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.tasks.shutdown().await;
        self.core.stop().await;
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        let _ = self.children.await;
        self.uplink.stop().await;
        let closed = self.queue.lock().unwrap_or_else(PoisonError::into_inner).commit_all();
        if let Err(error) = closed.and_then(|()| self.accounts.commit()) {
            tracing::warn!(%error, "delivered messages will be sent again");
        }
    }
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what: what.to_owned(), source }
}

fn forward_topic() -> Result<TopicName, StartError> {
    let text = Text::try_from("devices/me/forward").ok();
    let name = text.and_then(|text| TopicName::try_from(text).ok());
    name.ok_or(StartError::Pki(PkiError::Signer))
}

fn server_tls(identity: &Identity, crl: &Crl) -> Result<Arc<rustls::ServerConfig>, PkiError> {
    let credentials = Credentials::with_signer(&identity.chain, identity.key.clone())?;
    member_server_config(&identity.root, &crl.der, credentials, ALPN_MQTT)
}

async fn first_crl(identity: &Identity, home: &Home) -> Crl {
    loop {
        if let Some(crl) = crl::latest(identity, home).await {
            return crl;
        }
        tokio::time::sleep(CRL_RETRY).await;
    }
}

/// What others here are told when certificate or CRL are other ones.
struct Published {
    tls: SharedTls,
    uplink_tls: watch::Sender<Arc<rustls::ClientConfig>>,
    revoked: Revoked,
}

/// Renews the certificate at two thirds of its life and puts each new CRL into effect.
async fn look_after(home: Home, mut identity: Identity, told: Published, core: CoreHandle) {
    let mut crl_at = Instant::now() + CRL_EVERY;
    let (mut renewal_at, mut backoff) = (Instant::now(), Backoff::default());
    loop {
        let due = enrol::renewal_at(&identity.leaf).micros_since(now());
        let due = Duration::from_micros(u64::try_from(due).unwrap_or_default()).min(RENEWAL_WAIT_MAX);
        tokio::time::sleep_until(crl_at.min(renewal_at.max(Instant::now() + due))).await;
        if !enrol::renewal_due(&identity.leaf, now()) {
            backoff = Backoff::default();
        } else if Instant::now() >= renewal_at {
            renewal_at = Instant::now() + backoff.next();
            match renewed(&home, &told.uplink_tls).await {
                Ok(renewed) => {
                    identity = renewed;
                    // Children are shown the new certificate together with a CRL.
                    crl_at = Instant::now();
                }
                Err(error) => tracing::warn!(%error, "the certificate was not renewed"),
            }
        }
        if Instant::now() < crl_at {
            continue;
        }
        let Some(crl) = crl::latest(&identity, &home).await else {
            crl_at = Instant::now() + CRL_RETRY;
            continue;
        };
        crl_at = Instant::now() + CRL_EVERY;
        match server_tls(&identity, &crl) {
            Ok(server) => told.tls.replace(server),
            Err(error) => tracing::error!(%error, "TLS was not renewed"),
        }
        core.revoked(crl.serials.clone()).await;
        told.revoked.replace(crl.serials);
    }
}

/// Gets a new certificate and connects to the service with it.
async fn renewed(
    home: &Home,
    uplink_tls: &watch::Sender<Arc<rustls::ClientConfig>>,
) -> Result<Identity, EnrolError> {
    let identity = enrol::renew(home).await?;
    uplink_tls.send_replace(identity.uplink_tls()?);
    Ok(identity)
}
