//! One node of several that are one service: it copies what the leader decides, carries its connections to the leader, and
//! leads when nobody does (ADR 22).
//!
//! ```text
//! front     what this node's listeners are in front of      back     what the leader does for connections of other nodes
//! carried   what both say about a connection                places   what the nodes share, and where it is
//! history   snapshots, for the journal not to grow without end    moving   from one machine to several nodes
//! ```
//!
//! A node that led and leads no more has decided more than it may know: it ends, and its process begins anew.

mod back;
mod carried;
mod front;
mod history;
mod moving;
mod places;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use thingward_cluster::journal::{Journal, JournalError};
use thingward_cluster::lease::{Lease, Office};
use thingward_cluster::link::{self, Host};
use thingward_cluster::nats::Nats;
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::SealingKey;
use thingward_model::clock::now;
use thingward_store::hot::{LeadingHot, Replica};
use thingward_store::registry::{PostgresPlace, Registry};
use thingward_store::{Depot, Store};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::back::Back;
use self::front::{Front, Line, Place};
pub use self::moving::{MoveError, Moved, move_to_nodes};
pub use self::places::{BucketUrl, Objects, ScaleSettings};
use crate::authority::Authority;
use crate::http;
use crate::reign::{Ground, Reign};
use crate::service::{ListenersTls, StartError, io_error, mqtt_listener, tls, web_listeners, write_root};
use crate::settings::ServiceSettings;

/// How often a node looks who leads while nobody does.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries of what failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Why a node has ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// It led, and another one leads now, or it cannot be known.
    #[error("this node leads no more")]
    Deposed,
    /// Something that it needs is not as it has to be.
    #[error(transparent)]
    Failed(#[from] StartError),
}

/// A running node.
pub struct Node {
    base: Arc<Base>,
    governing: JoinHandle<Result<(), Ended>>,
    tasks: JoinSet<()>,
    web: JoinHandle<()>,
    stop: watch::Sender<bool>,
    mqtt: SocketAddr,
    https: SocketAddr,
}

impl Node {
    /// Starts a node: ports are open when somebody leads.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(settings: ServiceSettings, scale: ScaleSettings) -> Result<Self, StartError> {
        let base = Arc::new(Base::open(settings, scale).await?);
        let role = base.find_role().await?;
        let tls = match &role {
            Role::Leads(_, ground) => ground.tls.clone(),
            Role::Follows(..) => base.following_tls().await?,
        };
        let (mqtt, listener) = mqtt_listener(&base.settings, &tls).await?;
        let web = web_listeners(&base.settings).await?;
        let https = web.local_addr();
        let front = Front::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run(front.clone()));
        let (stop, stopped) = watch::channel(false);
        let web = tokio::spawn(web.run(front.clone(), tls.https.clone(), stopped.clone()));
        let governing = tokio::spawn(govern(Arc::clone(&base), role, front, tls, stopped));
        Ok(Self { base, governing, tasks, web, stop, mqtt, https })
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

    /// Returns when the node has ended by itself.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.governing).await {
            Ok(Err(ended)) => ended,
            Ok(Ok(())) | Err(_) => Ended::Deposed,
        }
    }

    /// Stops taking connections, makes everything durable that was taken, and lets another node lead at once.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.stop.send_replace(true);
        let _ = self.web.await;
        let _ = self.governing.await;
        self.base.copying.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }
}

/// What a node stands on, whoever leads.
struct Base {
    settings: ServiceSettings,
    mqtt_port: u16,
    journal_bytes: u64,
    postgres: PostgresPlace,
    key: SealingKey,
    nats: Nats,
    journal: Journal,
    office: Office,
    replica: Arc<Replica>,
    depot: Arc<dyn Depot>,
    snapshots: Snapshots,
    /// Has the replica follow the journal.
    copying: std::sync::Mutex<JoinHandle<()>>,
}

/// What a node is at a moment.
enum Role {
    Leads(Box<Lease>, Box<Ground>),
    Follows(link::Sender, link::Receiver),
}

impl Base {
    async fn open(settings: ServiceSettings, scale: ScaleSettings) -> Result<Self, StartError> {
        let key = SealingKey::load(&scale.key_file).map_err(io_error(format!(
            "key {}, which `thingward service key` makes for all nodes",
            scale.key_file.display()
        )))?;
        let (nats, postgres) = (Nats::connect(&scale.nats()?).await?, scale.postgres()?);
        let journal = Journal::open(&nats, key.clone()).await?;
        let office = Office::open(&nats, &scale.node).await?;
        let depot = scale.depot(&nats).await?;
        let snapshots = Snapshots::open(&nats, key.clone(), Arc::clone(&depot)).await?;
        let replica = Arc::new(history::replica(&settings.data_dir, &key, &journal, &snapshots).await?);
        let copying = std::sync::Mutex::new(tokio::spawn(copy(journal.clone(), Arc::clone(&replica))));
        let ScaleSettings { mqtt_port, journal_bytes, .. } = scale;
        Ok(Self {
            settings,
            mqtt_port,
            journal_bytes,
            postgres,
            key,
            nats,
            journal,
            office,
            replica,
            depot,
            snapshots,
            copying,
        })
    }

    /// Waits until this node leads or is linked to the one that does.
    async fn find_role(&self) -> Result<Role, StartError> {
        loop {
            match self.office.leading().await {
                Ok(Some(leading)) => match link::connect(&self.nats, &self.key, leading.term).await {
                    Ok((sender, receiver)) => {
                        tracing::info!(node = leading.node, term = leading.term, "another node leads");
                        return Ok(Role::Follows(sender, receiver));
                    }
                    // It begins to lead, or it is gone and its lease is not over.
                    Err(error) => {
                        tracing::debug!(%error, node = leading.node, "the leader does not answer yet")
                    }
                },
                Ok(None) => {
                    let registered = Registry::newest_term(&self.postgres).await?;
                    let newest = registered.max(self.replica.position()?.term);
                    if let Ok(Some(lease)) = self.office.try_lead(newest).await {
                        return self.begin_to_lead(lease).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "it is not known who leads"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What this node has is all that there is, and nobody else can add to it.
    async fn begin_to_lead(&self, mut lease: Lease) -> Result<Role, StartError> {
        let term = lease.term();
        tracing::info!(term, "this node leads");
        let work = async {
            let copying = std::mem::replace(
                &mut *self.copying.lock().unwrap_or_else(PoisonError::into_inner),
                tokio::spawn(async {}),
            );
            copying.abort();
            let _ = copying.await;
            let take = |entry: thingward_cluster::entry::Entry| self.replica.apply(entry.at, &entry.plain);
            let leader = self.journal.clone().lead(term, self.replica.position()?, take).await?;
            let registry = Registry::lead(&self.postgres, term).await?;
            let hot = LeadingHot::new(Arc::clone(&self.replica), Box::new(leader));
            let depot = Some(Arc::clone(&self.depot));
            let store = Store::over(Box::new(hot), registry, &self.settings.data_dir, depot).await?;
            let store = Arc::new(store);
            let time = now();
            let authority = Authority::open(&self.settings, store.registry(), &self.key, time).await?;
            write_root(&self.settings.data_dir, &authority)?;
            let tls = tls(&self.settings, &authority, store.registry(), time).await?;
            let (settings, sealing_key) = (self.settings.clone(), self.key.clone());
            let mut mqtt = settings.mqtt;
            mqtt.set_port(self.mqtt_port);
            Ok::<_, StartError>(Box::new(Ground { settings, store, sealing_key, authority, tls, mqtt }))
        };
        let ground = tokio::select! {
            ground = work => ground?,
            () = lease.hold() => return Err(JournalError::Deposed.into()),
        };
        Ok(Role::Leads(Box::new(lease), ground))
    }

    /// Carries this node's connections to the leader, until the link ends.
    async fn follow(
        &self,
        (sender, receiver): (link::Sender, link::Receiver),
        front: &Front,
        tls: &ListenersTls,
    ) {
        let (line, changed) = (Line::new(sender), Notify::new());
        front.set(Place::There(Arc::clone(&line)));
        // What changed before the link was there, and what this node's own certificate needs.
        changed.notify_one();
        let renewing = async {
            loop {
                let renewal = self.settings.lifetimes.service.min(self.settings.lifetimes.crl) / 3;
                let _ = tokio::time::timeout(renewal, changed.notified()).await;
                match self.following_tls().await {
                    Ok(fresh) => tls.take(&fresh),
                    Err(error) => {
                        tracing::error!(%error, "who may connect is not renewed");
                        tokio::time::sleep(AGAIN).await;
                        changed.notify_one();
                    }
                }
            }
        };
        tokio::select! {
            () = line.run(receiver, || changed.notify_one()) => {}
            () = renewing => {}
        }
        front.set(Place::Nobody);
    }

    /// Decides, until somebody else may or this node shall stop.
    async fn lead(
        &self,
        mut lease: Box<Lease>,
        mut ground: Box<Ground>,
        front: &Front,
        tls: &ListenersTls,
        mut stop: http::Stop,
    ) -> Result<(), Ended> {
        tls.take(&ground.tls);
        ground.tls = tls.clone();
        let term = lease.term();
        let beginning = async {
            let reign = Reign::begin(*ground, now()).await?;
            let host = Host::listen(&self.nats, self.key.clone(), term).await.map_err(StartError::from)?;
            Ok::<_, StartError>((reign, host))
        };
        let (reign, host) = tokio::select! {
            begun = beginning => begun?,
            () = lease.hold() => return Err(Ended::Deposed),
        };
        let (core, site) = (reign.shared.core.clone(), reign.site.clone());
        let changed = reign.shared.members_changed.subscribe();
        let back = Back { core: core.clone(), site: site.clone(), stop: stop.clone(), changed };
        let serving = tokio::spawn(back::serve(host, back));
        front.set(Place::Here(core, site));
        let shortening = history::shorten(self);
        let is_deposed = tokio::select! {
            () = lease.hold() => true,
            () = reign.failed() => true,
            () = shortening => true,
            () = http::stopped(&mut stop) => false,
        };
        front.set(Place::Nobody);
        serving.abort();
        if is_deposed {
            return Err(Ended::Deposed);
        }
        reign.end().await;
        lease.give_back().await;
        Ok(())
    }

    /// TLS of a node that follows: whom it lets in is what the leader has written down.
    async fn following_tls(&self) -> Result<ListenersTls, StartError> {
        let registry = Registry::follow(&self.postgres).await?;
        let authority = Authority::follow(&self.settings, &registry, &self.key, now()).await?;
        write_root(&self.settings.data_dir, &authority)?;
        let tls = tls(&self.settings, &authority, &registry, now()).await;
        registry.close().await;
        tls
    }
}

/// Leads or follows, whatever is to be done, until it leads no more or shall stop.
async fn govern(
    base: Arc<Base>,
    mut role: Role,
    front: Front,
    tls: ListenersTls,
    mut stop: http::Stop,
) -> Result<(), Ended> {
    loop {
        role = match role {
            Role::Leads(lease, ground) => return base.lead(lease, ground, &front, &tls, stop).await,
            Role::Follows(sender, receiver) => {
                let next = async {
                    base.follow((sender, receiver), &front, &tls).await;
                    base.find_role().await
                };
                tokio::select! {
                    next = next => next?,
                    () = http::stopped(&mut stop) => return Ok(()),
                }
            }
        };
    }
}

/// Has the replica follow the journal, whatever happens to the servers.
async fn copy(journal: Journal, replica: Arc<Replica>) {
    loop {
        let followed = match replica.position() {
            Ok(from) => journal.follow(from, |entry| replica.apply(entry.at, &entry.plain)).await,
            Err(error) => Err(error.into()),
        };
        let Err(error) = followed;
        if matches!(error, JournalError::Behind { .. } | JournalError::Lost { .. }) {
            tracing::error!(%error, "this node does not follow the journal; started again, it takes a snapshot");
            return;
        }
        tracing::error!(%error, "this node does not follow the journal");
        tokio::time::sleep(AGAIN).await;
    }
}
