//! What a node stands on, whoever leads, and what it becomes.

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use thingward_cluster::journal::{Journal, JournalError};
use thingward_cluster::lease::{Held, Office};
use thingward_cluster::link;
use thingward_cluster::nats::Nats;
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::SealingKey;
use thingward_model::clock::now;
use thingward_store::hot::{LeadingHot, Replica};
use thingward_store::registry::{PostgresPlace, Registry};
use thingward_store::{Depot, Store};
use tokio::task::JoinHandle;

use super::{ScaleSettings, history};
use crate::authority::Authority;
use crate::directory::Directory;
use crate::reign::Ground;
use crate::service::{ListenersTls, StartError, io_error, tls, write_root};
use crate::settings::ServiceSettings;

/// How often a node looks who leads while nobody does.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries of what failed.
pub(super) const AGAIN: Duration = Duration::from_secs(2);

/// What a node stands on, whoever leads.
pub(super) struct Base {
    pub(super) settings: ServiceSettings,
    mqtt_port: u16,
    pub(super) journal_bytes: u64,
    postgres: PostgresPlace,
    pub(super) key: SealingKey,
    pub(super) nats: Nats,
    pub(super) journal: Journal,
    pub(super) office: Office,
    pub(super) replica: Arc<Replica>,
    depot: Arc<dyn Depot>,
    pub(super) snapshots: Snapshots,
    /// Has the replica follow the journal.
    copying: std::sync::Mutex<JoinHandle<()>>,
}

/// What a node is at a moment.
pub(super) enum Role {
    Leads(Held, Box<Ground>),
    Follows(link::Sender, link::Receiver),
}

impl Base {
    pub(super) async fn open(settings: &ServiceSettings, scale: &ScaleSettings) -> Result<Self, StartError> {
        let key = SealingKey::load(&scale.key_file).map_err(io_error(format!(
            "key {}, which `thingward service key` makes for all nodes",
            scale.key_file.display()
        )))?;
        let (nats, postgres) = (Nats::connect(&scale.nats()?).await?, scale.postgres()?);
        let journal = Journal::open(&nats, key.clone()).await?;
        let office = Office::open(&nats, &scale.node).await?;
        let depot = scale.depot(&nats).await?;
        let snapshots = Snapshots::open(&nats, key.clone(), Arc::clone(&depot)).await?;
        refuse_unmoved(&settings.data_dir, &journal).await?;
        refuse_other_journal(&postgres, &journal).await?;
        let replica = Arc::new(history::replica(&settings.data_dir, &key, &journal, &snapshots).await?);
        let copying = std::sync::Mutex::new(tokio::spawn(copy(journal.clone(), Arc::clone(&replica))));
        Ok(Self {
            settings: settings.clone(),
            mqtt_port: scale.mqtt_port,
            journal_bytes: scale.journal_bytes,
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
    pub(super) async fn find_role(&self) -> Result<Role, StartError> {
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
                Ok(None) => match self.try_to_lead().await {
                    Ok(Some(role)) => return Ok(role),
                    Ok(None) => {}
                    Err(error) if error.will_pass() => {
                        tracing::warn!(%error, "this node cannot lead yet");
                        self.copy_on().await;
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => tracing::warn!(%error, "it is not known who leads"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Leads when nobody was faster.
    async fn try_to_lead(&self) -> Result<Option<Role>, StartError> {
        let newest = Registry::newest_term(&self.postgres).await?.max(self.replica.position()?.term);
        match self.office.try_lead(newest).await? {
            Some(lease) => self.begin_to_lead(lease.hold()).await.map(Some),
            None => Ok(None),
        }
    }

    /// What this node has is all that there is, and nobody else can add to it.
    async fn begin_to_lead(&self, mut lease: Held) -> Result<Role, StartError> {
        tracing::info!(term = lease.term(), "this node leads");
        let ground = tokio::select! {
            ground = self.ground(lease.term()) => ground?,
            () = lease.lost() => return Err(JournalError::Deposed.into()),
        };
        Ok(Role::Leads(lease, Box::new(ground)))
    }

    async fn ground(&self, term: u64) -> Result<Ground, StartError> {
        let registry = Registry::lead(&self.postgres, term).await?;
        self.copy_no_more().await;
        let take = |entry: thingward_cluster::entry::Entry| self.replica.apply(entry.at, &entry.plain);
        let leader = self.journal.clone().lead(term, self.replica.position()?, take).await?;
        let hot = LeadingHot::new(Arc::clone(&self.replica), Box::new(leader));
        let depot = Some(Arc::clone(&self.depot));
        let store = Arc::new(Store::over(Box::new(hot), registry, &self.settings.data_dir, depot).await?);
        let time = now();
        let directory = Directory::load(store.registry(), time).await?;
        let authority = Authority::open(&self.settings, store.registry(), &self.key, time).await?;
        write_root(&self.settings.data_dir, &authority)?;
        let tls = tls(&self.settings, &authority, store.registry(), time).await?;
        let (settings, sealing_key) = (self.settings.clone(), self.key.clone());
        let mut mqtt = settings.mqtt;
        mqtt.set_port(self.mqtt_port);
        Ok(Ground { settings, store, directory, sealing_key, authority, tls, mqtt })
    }

    fn copying(&self) -> MutexGuard<'_, JoinHandle<()>> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the replica follow the journal again.
    async fn copy_on(&self) {
        self.copy_no_more().await;
        *self.copying() = tokio::spawn(copy(self.journal.clone(), Arc::clone(&self.replica)));
    }

    /// Nobody else touches the replica when this returns.
    pub(super) async fn copy_no_more(&self) {
        let copying = std::mem::replace(&mut *self.copying(), tokio::spawn(async {}));
        copying.abort();
        let _ = copying.await;
    }

    /// TLS of a node that follows: whom it lets in is what the leader has written down.
    pub(super) async fn following_tls(&self) -> Result<ListenersTls, StartError> {
        let registry = Registry::follow(&self.postgres).await?;
        let authority = Authority::follow(&self.settings, &registry, &self.key, now()).await?;
        write_root(&self.settings.data_dir, &authority)?;
        let tls = tls(&self.settings, &authority, &registry, now()).await;
        registry.close().await;
        tls
    }
}

/// Asks again as long as something that nodes stand on is away.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, StartError>
where
    F: Future<Output = Result<T, StartError>>,
{
    loop {
        match ask().await {
            Err(error) if error.will_pass() => {
                tracing::warn!(%error, "this node waits");
                tokio::time::sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

/// Nodes that begin with nothing beside a service on one machine would be another one.
async fn refuse_unmoved(data_dir: &Path, journal: &Journal) -> Result<(), StartError> {
    if data_dir.join("hot").exists() && journal.is_new().await? {
        return Err(StartError::NotMoved { data_dir: data_dir.to_owned() });
    }
    Ok(())
}

/// A registry with tenants belongs to a journal that has their logs. Beside an empty one, each log would begin a second time.
async fn refuse_other_journal(postgres: &PostgresPlace, journal: &Journal) -> Result<(), StartError> {
    if !journal.is_new().await? || Registry::newest_term(postgres).await? == 0 {
        return Ok(());
    }
    let registry = Registry::follow(postgres).await?;
    let tenants = registry.all_tenants().await;
    registry.close().await;
    // Asked once more: a leader that was first, and made the first tenant, has written by then.
    if !tenants?.is_empty() && journal.is_new().await? {
        return Err(StartError::OtherJournal);
    }
    Ok(())
}

/// Has the replica follow the journal, whatever happens to the servers.
async fn copy(journal: Journal, replica: Arc<Replica>) {
    loop {
        let followed = match replica.position() {
            Ok(from) => journal.follow(from, |entry| replica.apply(entry.at, &entry.plain)).await,
            Err(error) => Err(error.into()),
        };
        let Err(error) = followed;
        match error {
            JournalError::Behind { .. } => {
                tracing::error!(%error, "this node does not follow the journal; started again, it takes a snapshot");
                return;
            }
            JournalError::Lost { .. } | JournalError::Another { .. } => {
                tracing::error!(%error, "this node has what the journal has not, and will not start again with its folder `copy`");
                return;
            }
            error => tracing::error!(%error, "this node does not follow the journal"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
