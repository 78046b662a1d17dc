//! Snapshots, for the journal not to grow without end, and for nodes that begin with nothing.

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thingward_cluster::journal::{Journal, JournalError};
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::SealingKey;
use thingward_store::StoreError;
use thingward_store::hot::{Position, Replica, read_snapshot, write_snapshot};

use super::base::Base;
use crate::service::StartError;

/// How often the leader looks how long the journal is.
const LOOK: Duration = Duration::from_secs(10);
/// Longest wait behind a try that failed.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// The copy of a node that starts: as it was left, or from a snapshot when the journal does not reach back to that.
pub(super) async fn replica(
    data_dir: &Path,
    key: &SealingKey,
    journal: &Journal,
    snapshots: &Snapshots,
) -> Result<Replica, StartError> {
    // Not `hot`, which is that of a service on one machine, and the way back for one that moved.
    let folder = data_dir.join("copy");
    let replica = Replica::open(&folder)?;
    let behind = match journal.reaches_back(replica.position()?).await {
        Ok(()) => return Ok(replica),
        Err(behind @ JournalError::Behind { .. }) => behind,
        Err(error) => return Err(error.into()),
    };
    let (file, key) = (data_dir.join("snapshot.tmp"), key.clone());
    let Some(at) = snapshots.get_newest(journal, &file).await? else { return Err(behind.into()) };
    tracing::info!(index = at.index, "this node takes a snapshot");
    drop(replica);
    let read = move || {
        let from = File::open(&file).map_err(io("read a snapshot"))?;
        read_snapshot(&folder, &key, at, BufReader::new(from))?;
        std::fs::remove_file(&file).map_err(io("remove a snapshot"))?;
        Replica::open(&folder)
    };
    Ok(blocking(read).await?)
}

/// Takes a snapshot whenever the journal is long, and clears the older half of it away. Does not return.
pub(super) async fn shorten(base: &Base) -> Infallible {
    let mut wait = LOOK;
    loop {
        tokio::time::sleep(wait).await;
        wait = match shorten_once(base).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::error!(%error, "the journal is not shortened");
                later(wait)
            }
        };
    }
}

/// What a try that failed has put into NATS may stay there, and that is as large as a snapshot.
fn later(wait: Duration) -> Duration {
    (2 * wait).min(LOOK_MAX)
}

async fn shorten_once(base: &Base) -> Result<(), JournalError> {
    if base.journal.bytes().await? < base.journal_bytes {
        return Ok(());
    }
    let file = base.settings.data_dir.join("snapshot.tmp");
    let at = take(base, file.clone()).await?;
    base.snapshots.put(at, &file).await?;
    base.journal.shorten(at).await?;
    tracing::info!(index = at.index, "the journal begins behind a snapshot");
    std::fs::remove_file(&file).map_err(|e| io("remove a snapshot")(e).into())
}

async fn take(base: &Base, file: std::path::PathBuf) -> Result<Position, StoreError> {
    let (replica, key) = (Arc::clone(&base.replica), base.key.clone());
    blocking(move || {
        let to = File::create(&file).map_err(io("write a snapshot"))?;
        write_snapshot(replica.hot(), &key, BufWriter::new(to))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(io("work on a snapshot")(std::io::Error::other(e))))
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> StoreError {
    move |source| StoreError::Io { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_that_fail_come_less_and_less_often_and_do_not_end() {
        let mut waits = std::iter::successors(Some(LOOK), |wait| Some(later(*wait)));
        let in_a_day = waits.by_ref().scan(0, |sum, wait| {
            *sum += wait.as_secs();
            Some(*sum)
        });
        assert!(in_a_day.take_while(|sum| *sum < 86_400).count() < 200, "it was tried 8640 times");
        assert_eq!(waits.next(), Some(LOOK_MAX));
    }
}
