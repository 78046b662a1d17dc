//! The journal in a JetStream stream: what the leader appends, and what everybody follows.
//!
//! Each message says which number the last one has to have, so a leader that another one has followed cannot append any
//! more, however late it notices. An entry whose acknowledgement is lost is sent again under the same id, and is there once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use bytes::Bytes;
use futures_util::StreamExt;
use thingward_crypto::sealed::SealingKey;
use thingward_store::StoreError;
use thingward_store::hot::Position;
use tokio::runtime::Handle;

use crate::entry::{Assembly, Entry, EntryError, messages};
use crate::nats::{AGAIN, Nats, NatsError, PATIENCE, patiently};

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
        let stream =
            patiently("open the journal", || nats.jetstream.get_or_create_stream(config.clone())).await?;
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
        let end = self.reach(from).await?;
        let mut reading = Reading::new(self, from);
        while reading.sequence < end {
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
        self.reach(from).await?;
        let mut reading = Reading::new(self, from);
        loop {
            if let Some(entry) = reading.next().await? {
                take(entry)?;
            }
        }
    }

    /// The number of the last message, when all are there that come behind `from`.
    async fn reach(&self, from: Position) -> Result<u64, JournalError> {
        let state = patiently("look at the journal", || self.stream.get_info()).await?.state;
        if state.first_sequence > from.sequence + 1 {
            return Err(JournalError::Behind { first: state.first_sequence, at: from.sequence });
        }
        if state.last_sequence < from.sequence {
            return Err(JournalError::Lost { last: state.last_sequence, at: from.sequence });
        }
        Ok(state.last_sequence)
    }

    async fn messages(&self, after: u64) -> Result<pull::Ordered, NatsError> {
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ..pull::OrderedConfig::default()
        };
        let consumer =
            patiently("follow the journal", || self.stream.create_consumer(config.clone())).await?;
        patiently("follow the journal", || consumer.clone().messages()).await
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
    /// [`JournalError::Behind`] and [`JournalError::Lost`] when not, [`JournalError::Nats`] when it cannot be asked.
    pub async fn reaches_back(&self, from: Position) -> Result<(), JournalError> {
        self.reach(from).await.map(drop)
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
        let purge = self.stream.purge().sequence(to.sequence + 1).await;
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

/// What is read of the journal, in its order and without a gap.
struct Reading<'a> {
    journal: &'a Journal,
    assembly: Assembly,
    /// Of the last message that was read.
    sequence: u64,
    messages: Option<pull::Ordered>,
}

impl<'a> Reading<'a> {
    fn new(journal: &'a Journal, from: Position) -> Self {
        let assembly = Assembly::new(journal.key.clone(), from);
        Self { journal, assembly, sequence: from.sequence, messages: None }
    }

    /// Waits for the next message, and gives an entry when it is the last of one.
    async fn next(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                none => none.insert(self.journal.messages(self.sequence).await?),
            };
            // A server that is gone ends it, and another one goes on.
            if let Some(Ok(message)) = messages.next().await
                && let Ok(info) = message.info()
                && info.stream_sequence == self.sequence + 1
            {
                self.sequence += 1;
                return Ok(self.assembly.message(self.sequence, &message.payload)?);
            }
            self.messages = None;
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The journal of the node that leads.
pub struct Leader {
    journal: Journal,
    term: u64,
    /// Nothing when it is not known, or somebody else's.
    end: Mutex<Option<Reached>>,
    runtime: Handle,
}

impl Leader {
    /// Behind its last entry.
    #[must_use]
    pub fn position(&self) -> Position {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.map(|end| end.entries).unwrap_or_default()
    }

    async fn append_at(&self, end: Reached, entry: &[u8]) -> Result<Reached, JournalError> {
        let index = end.entries.index + 1;
        let mut sequence = end.sequence;
        for (part, message) in messages(&self.journal.key, self.term, index, entry)?.into_iter().enumerate() {
            let id = format!("{}-{index}-{part}", self.term);
            sequence = self.publish(sequence, &id, message).await?;
        }
        Ok(Reached { entries: Position { sequence, index, term: self.term }, sequence })
    }

    /// Behind the message with the number `last`, and only there.
    async fn publish(&self, last: u64, id: &str, message: Bytes) -> Result<u64, JournalError> {
        let start = Instant::now();
        loop {
            let publish = PublishMessage::build()
                .payload(message.clone())
                .message_id(id)
                .expected_last_sequence(last)
                .outbound_message(self.journal.subject.clone());
            let outcome = match self.journal.nats.jetstream.publish_message(publish).await {
                Ok(acknowledged) => acknowledged.await,
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(acknowledged) if acknowledged.sequence == last + 1 => return Ok(acknowledged.sequence),
                Ok(_) => return Err(JournalError::Deposed),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    return self.is_ours(last + 1, id).await.map(|()| last + 1);
                }
                Err(error) => error,
            };
            if start.elapsed() > PATIENCE {
                return Err(NatsError::of("append to the journal")(error).into());
            }
            tracing::warn!(%error, "the journal did not take an entry; it is tried again");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether the message of this number is the one that was sent, when only its acknowledgement was lost.
    async fn is_ours(&self, sequence: u64, id: &str) -> Result<(), JournalError> {
        let there =
            patiently("look at the journal", || self.journal.stream.get_raw_message(sequence)).await?;
        if message_id(&there.headers) == Some(id) { Ok(()) } else { Err(JournalError::Deposed) }
    }
}

fn message_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(NATS_MESSAGE_ID).map(async_nats::HeaderValue::as_str)
}

impl thingward_store::hot::Journal for Leader {
    fn append(&self, entry: &[u8]) -> Result<Position, StoreError> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind a failure it is not known where the end is, and this node leads no more.
        let deposed = StoreError::Conflict { what: "another node has begun to lead" };
        let Some(before) = end.take() else { return Err(deposed) };
        match self.runtime.block_on(self.append_at(before, entry)) {
            Ok(reached) => {
                *end = Some(reached);
                Ok(reached.entries)
            }
            Err(JournalError::Deposed) => Err(deposed),
            Err(error) => Err(StoreError::Io {
                what: "append to the journal".to_owned(),
                source: std::io::Error::other(error),
            }),
        }
    }
}
