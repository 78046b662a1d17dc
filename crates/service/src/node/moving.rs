//! A service on one machine that becomes several nodes: all that it has goes to where the nodes share it.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thingward_cluster::journal::{Journal, Leader};
use thingward_cluster::lease::Office;
use thingward_cluster::nats::Nats;
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::{SealingKey, read_private};
use thingward_store::hot::{HotStore, LeadingHot, Position, Replica, read_snapshot, write_snapshot};
use thingward_store::registry::{PostgresPlace, Registry};
use thingward_store::store::Problem;
use thingward_store::{Depot, Store, StoreError};
use tokio::runtime::Handle;

use super::ScaleSettings;
use crate::fsck::{self, Report};
use crate::service::{StartError, io_error};
use crate::settings::ServiceSettings;

/// What went over.
#[derive(Debug)]
pub struct Moved {
    /// Rows of the registry.
    pub rows: u64,
    /// Files of history and of logs.
    pub files: u64,
    /// What a check of all of it found, read back from where it is now.
    pub report: Report,
}

/// Why nothing, or not all, went over. What it comes from is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// It cannot be read or written.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The nodes would not open what the service has sealed.
    #[error("`{}` is not the key of this service: put `sealing.key` of its data directory there", .0.display())]
    OtherKey(PathBuf),
    /// Nodes run already.
    #[error("a node leads: stop all nodes first")]
    Led,
    /// There is something where it shall go.
    #[error("there is a service already: {0}")]
    Occupied(&'static str),
    /// Read back, it is not what was written.
    #[error("{0} is not what it was; nothing of what it comes from was changed")]
    Differs(String),
}

impl From<StoreError> for MoveError {
    fn from(error: StoreError) -> Self {
        Self::Start(error.into())
    }
}

/// Moves a service that is stopped. What it had stays where it is. `step` is told what is done.
///
/// # Errors
///
/// [`MoveError`].
pub async fn move_to_nodes(
    settings: &ServiceSettings,
    scale: &ScaleSettings,
    step: impl Fn(&'static str) + Send + 'static,
) -> Result<Moved, MoveError> {
    step("open the service");
    let source = Store::open(&settings.data_dir).await?;
    let key = same_key(&settings.data_dir, &scale.key_file)?;
    let nats = Nats::connect(&scale.nats()?).await.map_err(StartError::from)?;
    let journal = Journal::open(&nats, key.clone()).await.map_err(StartError::from)?;
    if !journal.is_new().await.map_err(StartError::from)? {
        return Err(MoveError::Occupied(
            "the journal of `scale.nats` has entries; after a move that did not end, take another `nats_prefix` and a new \
             database",
        ));
    }
    let depot = scale.depot(&nats).await?;
    let snapshots =
        Snapshots::open(&nats, key.clone(), Arc::clone(&depot)).await.map_err(StartError::from)?;
    let office = Office::open(&nats, &scale.node).await.map_err(StartError::from)?;
    let postgres = scale.postgres()?;
    // Before anything is taken: whoever takes a term ends the leader that the database has.
    if Registry::newest_term(&postgres).await? != 0 {
        return Err(MoveError::Occupied(
            "nodes have led with the database of `scale.postgres_file`, or a move to it did not end; take a new database",
        ));
    }
    let Some(lease) = office.try_lead(0).await.map_err(StartError::from)? else {
        return Err(MoveError::Led);
    };
    let mut lease = lease.hold();
    let term = lease.term();
    let folder = settings.data_dir.join("moving");
    let removal = Work { source, key, journal, depot, snapshots, term, folder };
    let runtime = Handle::current();
    // It blocks on the disk for long, and the lease goes on meanwhile.
    let work = tokio::task::spawn_blocking(move || runtime.block_on(removal.run(&postgres, step)));
    let moved = tokio::select! {
        moved = work => moved.map_err(|e| io_error("move".to_owned())(e.into()))?,
        () = lease.lost() => return Err(MoveError::Led),
    };
    lease.give_back().await;
    moved
}

struct Work {
    source: Store,
    key: SealingKey,
    journal: Journal,
    depot: Arc<dyn Depot>,
    snapshots: Snapshots,
    term: u64,
    /// For what is in between.
    folder: PathBuf,
}

impl Work {
    async fn run(self, postgres: &PostgresPlace, step: impl Fn(&'static str)) -> Result<Moved, MoveError> {
        make_anew(&self.folder)?;
        let registry = Registry::lead(postgres, self.term).await?;
        step("copy the registry");
        let rows = self.registry(&registry).await?;
        step("copy history and logs");
        let files = self.source.keep_files(&*self.depot)?;
        step("copy what is hot");
        let leader = self.journal.clone().lead(self.term, Position::default(), |_| Ok(())).await;
        let leader = leader.map_err(StartError::from)?;
        self.hot(leader.position()).await?;
        step("read all of it back");
        let report = self.check(leader, registry).await?;
        std::fs::remove_dir_all(&self.folder).map_err(io("remove what was in between"))?;
        self.source.registry().close().await;
        Ok(Moved { rows, files, report })
    }

    async fn registry(&self, to: &Registry) -> Result<u64, MoveError> {
        let from = self.source.registry();
        let rows = from.copy_to(to).await.map_err(|error| match error {
            StoreError::Conflict { .. } => {
                MoveError::Occupied("the database of `scale.postgres_file` has rows")
            }
            other => other.into(),
        })?;
        if from.digest(from).await? == to.digest(from).await? {
            Ok(rows)
        } else {
            Err(MoveError::Differs("the registry".to_owned()))
        }
    }

    /// What is hot becomes a snapshot of this place in the journal, where nodes that have nothing begin.
    async fn hot(&self, at: Position) -> Result<(), MoveError> {
        let (hot, file) = (self.folder.join("hot"), self.folder.join("snapshot"));
        let write = |store: &dyn HotStore| {
            let to = File::create(&file).map_err(io("write a snapshot"))?;
            write_snapshot(store, &self.key, BufWriter::new(to))
        };
        self.read(&file, write(self.source.hot())?, &hot)?;
        let replica = Replica::open(&hot)?;
        replica.stand_at(at)?;
        write(replica.hot())?;
        drop(replica);
        self.snapshots.put(at, &file).await.map_err(StartError::from)?;
        Ok(self.journal.trim(at).await.map_err(StartError::from)?)
    }

    fn read(&self, file: &Path, at: Position, hot: &Path) -> Result<(), StoreError> {
        let from = File::open(file).map_err(io("read a snapshot"))?;
        read_snapshot(hot, &self.key, at, BufReader::new(from))
    }

    /// Reads everything from where it is now.
    async fn check(&self, leader: Leader, registry: Registry) -> Result<Report, MoveError> {
        let (back, hot) = (self.folder.join("back"), self.folder.join("hot"));
        self.snapshots.get(leader.position(), &back).await.map_err(StartError::from)?;
        self.read(&back, leader.position(), &hot)?;
        let hot = LeadingHot::new(Arc::new(Replica::open(&hot)?), Box::new(leader));
        std::fs::create_dir_all(self.folder.join("segments")).map_err(io("make a folder"))?;
        let depot = Some(Arc::clone(&self.depot));
        let moved = Store::over(Box::new(hot), registry, &self.folder, depot).await?;
        let report = fsck::check(&moved, self.key.clone()).await?;
        let before = fsck::check(&self.source, self.key.clone()).await?;
        let compared = same(&before, &report);
        if compared.is_ok() {
            moved.registry().moved().await?;
        }
        moved.registry().close().await;
        compared.map(|()| report)
    }
}

fn make_anew(folder: &Path) -> Result<(), StoreError> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(io("remove what was in between"))?;
    }
    DirBuilder::new().mode(0o700).create(folder).map_err(io("make a folder"))
}

/// What was read back is what was there.
fn same(before: &Report, back: &Report) -> Result<(), MoveError> {
    let (was, is) = (wrong(before), wrong(back));
    if counts(before) == counts(back) && was.len() == is.len() {
        return Ok(());
    }
    let said = |counts, problems: &[&str]| {
        format!("{counts:?}, {} problems: {}", problems.len(), problems.join("; "))
    };
    let (was, is) = (said(counts(before), &was), said(counts(back), &is));
    Err(MoveError::Differs(format!("what was read back ({is}; before: {was})")))
}

/// What is wrong with what goes over. A file that belongs to nothing stays.
fn wrong(report: &Report) -> Vec<&str> {
    let orphans = report.store.problems.iter().filter(|problem| matches!(problem, Problem::Orphan(_)));
    let orphans: HashSet<String> = orphans.map(ToString::to_string).collect();
    report.problems.iter().map(String::as_str).filter(|problem| !orphans.contains(*problem)).collect()
}

/// All that a check counts.
fn counts(report: &Report) -> [u64; 9] {
    let Report { store, policies, commands, descriptions, grants, .. } = report;
    let thingward_store::store::Report { blocks, segments, rows, log_entries, locked, .. } = store;
    [*blocks, *segments, *rows, *log_entries, *locked, *policies, *commands, *descriptions, *grants]
}

fn same_key(data_dir: &Path, file: &Path) -> Result<SealingKey, MoveError> {
    let read = |file: &Path| read_private(file).map_err(io_error(format!("key {}", file.display())));
    if *read(&data_dir.join("sealing.key"))? != *read(file)? {
        return Err(MoveError::OtherKey(file.to_owned()));
    }
    Ok(SealingKey::load(file).map_err(io_error(format!("key {}", file.display())))?)
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> StoreError {
    move |source| StoreError::Io { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a service with so many segments.
    fn report(segments: u64, problems: Vec<Problem>) -> Report {
        let words = problems.iter().map(ToString::to_string).collect();
        let store = thingward_store::store::Report { segments, problems, ..Default::default() };
        Report { store, policies: 0, commands: 0, descriptions: 0, grants: 0, problems: words }
    }

    #[test]
    fn a_file_that_belongs_to_nothing_keeps_nobody_from_moving() {
        let orphan = || vec![Problem::Orphan("segments/acme/left".into())];
        assert!(same(&report(3, orphan()), &report(3, Vec::new())).is_ok());
        assert!(same(&report(3, Vec::new()), &report(3, Vec::new())).is_ok());
        assert!(same(&report(3, orphan()), &report(2, Vec::new())).is_err());
    }

    #[test]
    fn a_move_that_differs_says_what_was_wrong_before_and_is_now() {
        let block = || Problem::Block { tenant: None, error: StoreError::NotFound { what: "a block" } };
        let same = |was, is| same(&report(3, was), &report(3, is)).map_err(|error| error.to_string());
        assert!(same(vec![block()], vec![block()]).is_ok(), "it goes over as it is");
        for error in [same(vec![block()], Vec::new()), same(Vec::new(), vec![block()])] {
            let error = error.unwrap_err();
            assert!(error.contains("a block") && error.contains("0 problems"), "{error}");
        }
    }
}
