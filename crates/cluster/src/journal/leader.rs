//! The end of the journal that one node at a time appends to.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use thingward_store::StoreError;
use thingward_store::hot::Position;
use tokio::runtime::Handle;

use super::{Journal, JournalError, Reached};
use crate::entry::{Messages, messages};
use crate::nats::{AGAIN, NatsError, PATIENCE, patiently};

/// The journal of the node that leads.
pub struct Leader {
    pub(super) journal: Journal,
    pub(super) term: u64,
    /// Nothing when it is not known, or somebody else's.
    pub(super) end: Mutex<Option<Reached>>,
    pub(super) runtime: Handle,
}

impl Leader {
    /// Behind its last entry.
    #[must_use]
    pub fn position(&self) -> Position {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.map(|end| end.entries).unwrap_or_default()
    }

    pub(super) async fn append_at(&self, end: Reached, entry: &[u8]) -> Result<Reached, JournalError> {
        let (term, index) = (self.term, end.entries.index + 1);
        let Messages { messages, seal } = messages(&self.journal.key, term, end.entries, entry)?;
        let mut sequence = end.sequence;
        for (part, message) in messages.into_iter().enumerate() {
            let id = format!("{term}-{index}-{part}");
            sequence = self.publish(sequence, &id, message).await?;
        }
        Ok(Reached { entries: Position { sequence, index, term, seal }, sequence })
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
