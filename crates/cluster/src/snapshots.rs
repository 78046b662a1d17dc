//! Where the newest snapshot of the hot store is: what nodes begin with that the journal reaches back no more for.

use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream::kv::Store;
use thingward_crypto::sealed::SealingKey;
use thingward_store::Depot;
use thingward_store::hot::Position;

use crate::journal::JournalError;
use crate::nats::{Nats, NatsError, patiently};

const KEY: &str = "latest";
const LABEL: &[u8] = b"thingward snapshot pointer 1";

/// The snapshots of an installation: the newest one counts.
#[derive(Clone)]
pub struct Snapshots {
    store: Store,
    key: SealingKey,
    depot: Arc<dyn Depot>,
}

impl Snapshots {
    /// Finds where it is written down, or makes it.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn open(nats: &Nats, key: SealingKey, depot: Arc<dyn Depot>) -> Result<Self, NatsError> {
        let bucket = format!("{}-snapshot", nats.prefix);
        let store = nats.bucket(&bucket, None).await?;
        Ok(Self { store, key, depot })
    }

    /// The place in the journal of the newest; `None` when there is none that this installation made.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn latest(&self) -> Result<Option<Position>, NatsError> {
        let sealed = patiently("find snapshots", || self.store.get(KEY)).await?;
        Ok(sealed.and_then(|sealed| parse(&self.key.open(LABEL, &sealed).ok()?)))
    }

    /// Keeps a snapshot of this place, and forgets the one before.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the one before counts.
    pub async fn put(&self, at: Position, file: &Path) -> Result<(), JournalError> {
        let before = self.latest().await?;
        let (depot, from) = (Arc::clone(&self.depot), file.to_owned());
        blocking(move || depot.put(&name(at), &from)).await?;
        let text = format!("{} {} {}", at.sequence, at.index, at.term);
        let sealed = self.key.seal(LABEL, text.as_bytes()).map_err(NatsError::of("keep a snapshot"))?;
        let put = patiently("keep a snapshot", || self.store.put(KEY, sealed.clone().into()));
        put.await?;
        if let Some(before) = before.filter(|before| *before != at) {
            let depot = Arc::clone(&self.depot);
            blocking(move || depot.remove(&name(before))).await?;
        }
        Ok(())
    }

    /// Writes the snapshot of this place to a new file.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn get(&self, at: Position, file: &Path) -> Result<(), JournalError> {
        let (depot, to) = (Arc::clone(&self.depot), file.to_owned());
        Ok(blocking(move || depot.get(&name(at), &to)).await?)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, thingward_store::StoreError> + Send + 'static,
) -> Result<T, thingward_store::StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        let source = std::io::Error::other(e);
        Err(thingward_store::StoreError::Io { what: "keep a snapshot".to_owned(), source })
    })
}

fn name(at: Position) -> String {
    format!("snapshots/{}-{}", at.index, at.term)
}

fn parse(text: &[u8]) -> Option<Position> {
    let mut numbers = std::str::from_utf8(text).ok()?.split(' ').map(|n| n.parse().ok());
    let mut next = || numbers.next()?;
    Some(Position { sequence: next()?, index: next()?, term: next()? })
}
