//! Reading the journal in its order, and noticing when it does not go on from where a node is.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures_util::StreamExt;
use thingward_store::hot::Position;
use tokio::time::timeout;

use super::{Journal, JournalError};
use crate::entry::{Assembly, Entry};
use crate::nats::{AGAIN, NatsError, PATIENCE, patiently};

/// A journal without news for so long is looked at.
const QUIET: Duration = Duration::from_secs(2);

impl Journal {
    /// The number of the last message, when all are there that come behind message `at`. Servers that have just agreed may
    /// not know the last ones yet.
    async fn reach(&self, at: u64) -> Result<u64, JournalError> {
        let start = Instant::now();
        loop {
            let state = patiently("look at the journal", || self.stream.get_info()).await?.state;
            let (first, last) = (state.first_sequence, state.last_sequence);
            if first > at + 1 {
                return Err(JournalError::Behind { first, at });
            }
            if last >= at {
                return Ok(last);
            }
            if start.elapsed() > PATIENCE {
                return Err(JournalError::Lost { last, at });
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Like [`Self::reach`], when the journal has the very entry that `from` is behind, or has cleared it away.
    pub(super) async fn goes_on(&self, from: Position) -> Result<u64, JournalError> {
        let end = self.reach(from.sequence).await?;
        if from == Position::default() {
            return Ok(end);
        }
        let there = async || match self.stream.get_raw_message(from.sequence).await {
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            there => there.map(Some),
        };
        match patiently("look at the journal", there).await? {
            Some(message) if !message.payload.ends_with(&from.seal) => {
                Err(JournalError::Another { at: from.sequence })
            }
            _ => Ok(end),
        }
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
}

/// What is read of the journal, in its order and without a gap.
pub(super) struct Reading<'a> {
    journal: &'a Journal,
    pub(super) assembly: Assembly,
    /// Of the last message that was read.
    pub(super) sequence: u64,
    /// Of the last message that was there when it was looked last.
    pub(super) end: u64,
    messages: Option<pull::Ordered>,
}

impl<'a> Reading<'a> {
    pub(super) async fn begin(journal: &'a Journal, from: Position) -> Result<Self, JournalError> {
        let end = journal.goes_on(from).await?;
        let assembly = Assembly::new(journal.key.clone(), from);
        Ok(Self { journal, assembly, sequence: from.sequence, end, messages: None })
    }

    /// Waits for the next message, and gives an entry when it is the last of one. When none comes, or another one, it looks
    /// whether what follows is there at all.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, JournalError> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            none => none.insert(self.journal.messages(self.sequence).await?),
        };
        let next = timeout(QUIET, messages.next()).await;
        let is_quiet = next.is_err();
        if let Ok(Some(Ok(message))) = next
            && let Ok(info) = message.info()
            && info.stream_sequence == self.sequence + 1
        {
            self.sequence += 1;
            return Ok(self.assembly.message(self.sequence, &message.payload)?);
        }
        if !is_quiet {
            // A server that is gone ends it, and another one goes on.
            self.messages = None;
            tokio::time::sleep(AGAIN).await;
        }
        self.end = self.journal.reach(self.sequence).await?;
        Ok(None)
    }
}
