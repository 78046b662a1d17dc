//! The journal in a JetStream stream: what the leader appends, and what everybody follows.
//!
//! Each message says which number the last one has to have, so a leader that another one has followed cannot append any
//! more, however late it notices. An entry whose acknowledgement is lost is sent again under the same id, and is there once.

mod leader;
mod reading;

use std::sync::Mutex;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use thingward_crypto::sealed::SealingKey;
use thingward_store::StoreError;
use thingward_store::hot::Position;
use tokio::runtime::Handle;

pub use self::leader::Leader;
use self::reading::Reading;
use crate::entry::{Entry, EntryError};
use crate::nats::{Nats, NatsError, patiently};

/// How long the servers remember ids, to notice what is sent again.
const IDS_REMEMBERED: Duration = Duration::from_secs(120);

/// Why the journal does not go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// NATS does not do it.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// What is there is not ours.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Another node leads.
    #[error("another node has begun to lead")]
    Deposed,
    /// What comes next was cleared away; a newer snapshot has it.
    #[error(
        "the journal begins at message {first}, and this node is at {at}: a snapshot has what is between"
    )]
    Behind {
        /// The first message that is there.
        first: u64,
        /// Where the node is.
        at: u64,
    },
    /// The servers have lost messages, or the journal is another one.
    #[error(
        "the journal ends at message {last}, and this node has all up to {at}: NATS has lost messages, or they are \
         another installation's"
    )]
    Lost {
        /// The last message that is there.
        last: u64,
        /// Where the node is.
        at: u64,
    },
    /// The servers have lost messages, and others have written in their place; or the journal is another one.
    #[error(
        "message {at} of the journal is not the one that this node has: NATS has lost messages, or they are another \
         installation's"
    )]
    Another {
        /// Where the node is.
        at: u64,
    },
    /// The copy cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The stream that everybody reads.
#[derive(Clone)]
pub struct Journal {
    nats: Nats,
    stream: Stream,
    subject: String,
    key: SealingKey,
}

impl Journal {
    /// Finds the installation's journal, or makes it.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn open(nats: &Nats, key: SealingKey) -> Result<Self, NatsError> {
        let subject = format!("{}.journal", nats.prefix);
        let config = Config {
            name: format!("{}-journal", nats.prefix),
            subjects: vec![subject.clone()],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: nats.replicas,
            duplicate_window: IDS_REMEMBERED,
            deny_delete: true,
            ..Config::default()
        };
        let stream = nats.stream("open the journal", config).await?;
        Ok(Self { nats: nats.clone(), stream, subject, key })
    }

    /// Gives each entry behind `from` to `take`, and returns when all are given that were there when it was called.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    async fn catch_up(
        &self,
        from: Position,
        mut take: impl FnMut(Entry) -> Result<(), StoreError>,
    ) -> Result<Reached, JournalError> {
        let mut reading = Reading::begin(self, from).await?;
        while reading.sequence < reading.end {
            if let Some(entry) = reading.next().await? {
                take(entry)?;
            }
        }
        Ok(Reached { entries: reading.assembly.last(), sequence: reading.sequence })
    }

    /// Gives each entry behind `from` to `take` as it comes, until something fails or the future is dropped.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn follow(
        &self,
        from: Position,
        mut take: impl FnMut(Entry) -> Result<(), StoreError>,
    ) -> Result<std::convert::Infallible, JournalError> {
        let mut reading = Reading::begin(self, from).await?;
        loop {
            if let Some(entry) = reading.next().await? {
                take(entry)?;
            }
        }
    }

    /// Begins to lead: behind the first entry of this term nobody of an earlier one can append. `take` has all entries before
    /// it.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn lead(
        self,
        term: u64,
        from: Position,
        mut take: impl FnMut(Entry) -> Result<(), StoreError>,
    ) -> Result<Leader, JournalError> {
        let mut from = from;
        loop {
            let reached = self.catch_up(from, &mut take).await?;
            from = reached.entries;
            if from.term >= term {
                return Err(JournalError::Deposed);
            }
            let mut leader = Leader {
                term,
                end: Mutex::new(Some(reached)),
                runtime: Handle::current(),
                journal: self.clone(),
            };
            // An entry that changes nothing, for everybody to see that the term has begun.
            match leader.append_at(reached, NOTHING).await {
                Ok(reached) => {
                    let plain = NOTHING.to_vec().into();
                    take(Entry { at: reached.entries, plain })?;
                    leader.end = Mutex::new(Some(reached));
                    return Ok(leader);
                }
                // Somebody wrote meanwhile.
                Err(JournalError::Deposed) => {}
                Err(other) => return Err(other),
            }
        }
    }

    /// Whether a node that is at `from` can follow.
    ///
    /// # Errors
    ///
    /// [`JournalError::Behind`], [`JournalError::Lost`] and [`JournalError::Another`] when not, [`JournalError::Nats`] when it
    /// cannot be asked.
    pub async fn reaches_back(&self, from: Position) -> Result<(), JournalError> {
        self.goes_on(from).await.map(drop)
    }

    /// How many bytes it has.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn bytes(&self) -> Result<u64, NatsError> {
        Ok(patiently("look at the journal", || self.stream.get_info()).await?.state.bytes)
    }

    /// Whether nobody has ever led.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn is_new(&self) -> Result<bool, NatsError> {
        Ok(patiently("look at the journal", || self.stream.get_info()).await?.state.last_sequence == 0)
    }

    /// Clears away what is up to a place, this included, so that who has nothing begins with the snapshot of it.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn trim(&self, to: Position) -> Result<(), NatsError> {
        self.clear(to.sequence + 1).await
    }

    /// Clears away the older half of what is up to a place that a snapshot has. Who follows, or was away for a moment, is
    /// mostly behind that.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn shorten(&self, to: Position) -> Result<(), NatsError> {
        let first = patiently("look at the journal", || self.stream.get_info()).await?.state.first_sequence;
        self.clear(first + to.sequence.saturating_sub(first).div_ceil(2)).await
    }

    /// Clears away what is before a message.
    async fn clear(&self, first: u64) -> Result<(), NatsError> {
        let purge = self.stream.purge().sequence(first).await;
        purge.map(drop).map_err(NatsError::of("trim the journal"))
    }
}

/// A batch of no changes, as [`thingward_store::hot::Batch`] has it: an empty array.
const NOTHING: &[u8] = &[0x80];

/// How far the journal was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    /// Behind the last whole entry.
    entries: Position,
    /// Behind the last message, which may be of an entry that is not whole.
    sequence: u64,
}
