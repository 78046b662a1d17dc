//! Where the newest snapshot of the hot store is: what nodes begin with that the journal reaches back no more for.
//!
//! ```text
//! pointer = sealed(place of the newest | place of each other one that may be there …)
//! ```
//!
//! Each name is written down before there is a file of it, and until it is removed: a crash leaves nothing that nobody knows
//! of. The one before the newest stays until the next one, for who is reading it. Nothing was released with version 1, which
//! named the newest alone.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream::kv::{Operation, Store};
use thingward_crypto::sealed::SealingKey;
use thingward_store::hot::Position;
use thingward_store::{Depot, StoreError};

use crate::journal::{Journal, JournalError};
use crate::nats::{Nats, NatsError, patiently};

const KEY: &str = "latest";
const LABEL: &[u8] = b"thingward snapshot pointer 2";

/// The snapshots of an installation: the newest one counts.
#[derive(Clone)]
pub struct Snapshots {
    store: Store,
    key: SealingKey,
    depot: Arc<dyn Depot>,
}

/// What is written down.
#[derive(Default)]
struct Pointer {
    newest: Option<Position>,
    others: Vec<Position>,
}

impl Pointer {
    fn encode(&self) -> Vec<u8> {
        // There is no snapshot of the beginning.
        let newest = self.newest.unwrap_or_default();
        std::iter::once(&newest).chain(&self.others).flat_map(|at| at.encode()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let places = bytes.chunks(Position::BYTES).map(Position::decode).collect::<Option<Vec<_>>>()?;
        let (newest, others) = places.split_first()?;
        let newest = Some(*newest).filter(|at| *at != Position::default());
        Some(Self { newest, others: others.to_vec() })
    }
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
        Ok(self.pointer().await?.0.newest)
    }

    /// What is written down, and in which revision.
    async fn pointer(&self) -> Result<(Pointer, u64), NatsError> {
        let entry = patiently("find snapshots", || self.store.entry(KEY)).await?;
        let Some(entry) = entry else { return Ok((Pointer::default(), 0)) };
        let sealed = Some(entry.value).filter(|_| entry.operation == Operation::Put);
        let pointer = sealed.and_then(|sealed| Pointer::decode(&self.key.open(LABEL, &sealed).ok()?));
        Ok((pointer.unwrap_or_default(), entry.revision))
    }

    /// Writes it down when nobody else did behind this revision, and returns the new one.
    async fn write(&self, pointer: &Pointer, revision: u64) -> Result<u64, NatsError> {
        let sealed = self.key.seal(LABEL, &pointer.encode()).map_err(NatsError::of("keep a snapshot"))?;
        let written = self.store.update(KEY, sealed.into(), revision).await;
        written.map_err(NatsError::of("keep a snapshot"))
    }

    /// Keeps a snapshot of this place, and forgets all that are older than the one before.
    ///
    /// # Errors
    ///
    /// [`JournalError::Deposed`] when there is one of a later place, else [`JournalError`]; the one before counts.
    pub async fn put(&self, at: Position, file: &Path) -> Result<(), JournalError> {
        let (Pointer { newest, others }, revision) = self.pointer().await?;
        if newest == Some(at) {
            return Ok(());
        }
        if newest.is_some_and(|newest| newest.index >= at.index) {
            return Err(JournalError::Deposed);
        }
        // Written down before anything is removed: whoever is late has removed nothing.
        let begun = others.iter().copied().chain([at]).collect();
        let revision = self.write(&Pointer { newest, others: begun }, revision).await?;
        let mut others = self.remove(others).await;
        let (depot, from) = (Arc::clone(&self.depot), file.to_owned());
        blocking(move || depot.put(&name(at), &from)).await?;
        others.retain(|other| *other != at);
        others.extend(newest);
        self.write(&Pointer { newest: Some(at), others }, revision).await?;
        Ok(())
    }

    /// Removes snapshots, and returns those that are not removed.
    async fn remove(&self, places: Vec<Position>) -> Vec<Position> {
        let mut left = Vec::new();
        for at in places {
            let depot = Arc::clone(&self.depot);
            if let Err(error) = blocking(move || depot.remove(&name(at))).await {
                tracing::warn!(%error, index = at.index, "an old snapshot is not removed yet");
                left.push(at);
            }
        }
        left
    }

    /// Writes the newest snapshot that the journal goes on behind to a new file, and says of which place it is; `None` when there
    /// is none at all. Streams that are backed up one behind the other may name a snapshot that the restored journal does not
    /// reach: then it is one before.
    ///
    /// # Errors
    ///
    /// Why it is not the newest, when it is none of the others either; else [`JournalError`].
    pub async fn get_newest(&self, journal: &Journal, file: &Path) -> Result<Option<Position>, JournalError> {
        let Pointer { newest, mut others } = self.pointer().await?.0;
        others.sort_unstable_by_key(|at| Reverse(at.index));
        let mut unusable = None;
        for at in newest.into_iter().chain(others) {
            match self.get_within(journal, at, file).await {
                Ok(()) => return Ok(Some(at)),
                Err(error) if is_of_this_one(&error) => {
                    tracing::warn!(%error, index = at.index, "a snapshot is of no use");
                    unusable.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        unusable.map_or(Ok(None), Err)
    }

    async fn get_within(&self, journal: &Journal, at: Position, file: &Path) -> Result<(), JournalError> {
        journal.reaches_back(at).await?;
        self.get(at, file).await
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
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        let source = std::io::Error::other(e);
        Err(StoreError::Io { what: "keep a snapshot".to_owned(), source })
    })
}

/// Whether another snapshot may do.
const fn is_of_this_one(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::Lost { .. }
            | JournalError::Another { .. }
            | JournalError::Behind { .. }
            | JournalError::Store(StoreError::NotFound { .. })
    )
}

fn name(at: Position) -> String {
    format!("snapshots/{}-{}", at.index, at.term)
}
