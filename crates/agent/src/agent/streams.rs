//! All streams of the device.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thingward_model::clock::now;
use thingward_model::{Confidentiality, StreamName, Timestamp};
use thingward_mqtt::codec::ReasonCode;
use thingward_seal::Subject;

use super::{AgentSettings, NewRecord, RecordError, STREAMS_MAX, StreamState};
use crate::disk::Directory;
use crate::home::{Home, HomeError, Identity};
use crate::membership::Membership;
use crate::reading::check_record;
use crate::stream::{MessageId, SharedSigner, Stream, StreamError, StreamSettings};

/// What waits in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// Its name.
    pub name: StreamName,
    /// Messages that are not delivered.
    pub messages: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

/// See the module.
pub(super) struct Streams {
    home: Home,
    signer: SharedSigner,
    membership: Membership,
    settings: AgentSettings,
    open: BTreeMap<StreamName, OpenStream>,
    /// The stream whose turn it was last.
    last: Option<StreamName>,
}

struct OpenStream {
    stream: Stream<Directory>,
    /// Messages on their way, in order, and whether they have ended.
    on_the_way: VecDeque<(MessageId, bool)>,
    /// Ticket of the first of them. What has an earlier one has ended, or goes again under another.
    first_ticket: u64,
    /// Whether everything was sent again over this connection because the other end did not know the chain.
    is_reopened: bool,
}

/// Names a message on its way.
pub(super) struct Ticket {
    stream: StreamName,
    number: u64,
}

impl Streams {
    /// Opens the streams that have a buffer. One that does not open is reported and left alone; the others go on.
    pub(super) fn open(home: Home, identity: &Identity, settings: AgentSettings) -> Result<Self, HomeError> {
        let names = home.streams()?;
        let mut streams = Self {
            home,
            signer: identity.key.clone(),
            membership: identity.membership.clone(),
            settings,
            open: BTreeMap::new(),
            last: None,
        };
        for name in names {
            if let Err(error) = streams.stream(&name) {
                tracing::error!(stream = %name, %error, "stream does not open");
            }
        }
        Ok(streams)
    }

    /// What the service said at the last renewal. Bears on streams that are made from here on.
    pub(super) fn set_membership(&mut self, membership: Membership) {
        self.membership = membership;
    }

    fn stream(&mut self, name: &StreamName) -> Result<&mut OpenStream, RecordError> {
        if !self.open.contains_key(name) {
            if self.open.len() >= STREAMS_MAX {
                return Err(RecordError::TooManyStreams);
            }
            let opened = self.open_stream(name)?;
            self.open.insert(*name, opened);
        }
        self.open.get_mut(name).ok_or(RecordError::Stopping)
    }

    fn open_stream(&self, name: &StreamName) -> Result<OpenStream, RecordError> {
        let confidentiality = self.confidentiality(name);
        let recipient = self.membership.recipient(confidentiality).ok_or(RecordError::NoCustomerKey)?;
        let disk = Directory::open(&self.home.stream_dir(name)).map_err(|e| refused(&e.into()))?;
        let subject = Subject { tenant: self.membership.tenant, device: self.membership.name, stream: *name };
        let settings = StreamSettings {
            confidentiality,
            recipient,
            cipher: self.settings.cipher,
            limits: self.settings.limits,
            checkpoint_every: self.settings.checkpoint_every,
        };
        let key = self.home.sealing_key().clone();
        let stream = Stream::open(disk, subject, settings, key, self.signer.clone(), now());
        let stream = stream.map_err(|e| refused(&e))?;
        Ok(OpenStream { stream, on_the_way: VecDeque::new(), first_ticket: 0, is_reopened: false })
    }

    fn confidentiality(&self, name: &StreamName) -> Confidentiality {
        self.settings.streams.get(name).copied().unwrap_or(self.settings.confidentiality)
    }

    /// Takes records; they are durable after [`Self::commit`].
    pub(super) fn push(
        &mut self,
        name: &StreamName,
        records: &[NewRecord],
        now: Timestamp,
    ) -> Result<(), RecordError> {
        for record in records {
            check_record(&record.readings)?;
        }
        let stream = &mut self.stream(name)?.stream;
        for record in records {
            let readings: Vec<_> = record.readings.iter().map(|r| r.as_reading()).collect();
            stream.push(&readings, now).map_err(|e| refused(&e))?;
            if let Some(note) = record.note {
                stream.set_note(note);
            }
        }
        Ok(())
    }

    /// Makes what was pushed durable and gives the bytes on disk. Nothing was pushed to a stream that is not open.
    pub(super) fn commit(&mut self, name: &StreamName, now: Timestamp) -> Result<u64, RecordError> {
        let Some(OpenStream { stream, .. }) = self.open.get_mut(name) else { return Ok(0) };
        stream.commit(now).map_err(|e| refused(&e))?;
        Ok(stream.backlog().1)
    }

    /// Signs everything that was pushed, and makes it durable.
    pub(super) fn sign(&mut self, name: &StreamName, now: Timestamp) -> Result<(), RecordError> {
        self.stream(name)?.stream.commit_signed(now).map_err(|e| refused(&e))
    }

    /// Signs what has waited long enough, and drops what has waited too long.
    pub(super) fn tick(&mut self, now: Timestamp) {
        for (name, open) in &mut self.open {
            if let Err(error) = open.stream.tick(now) {
                tracing::error!(stream = %name, %error, "stream cannot be written");
            }
        }
    }

    /// Signs and writes everything.
    pub(super) fn close(&mut self, now: Timestamp) -> Result<(), RecordError> {
        let mut result = Ok(());
        for (name, open) in &mut self.open {
            if let Err(error) = open.stream.close(now) {
                tracing::error!(stream = %name, %error, "stream cannot be closed");
                result = Err(refused(&error));
            }
        }
        result
    }

    /// The next message of the streams in turn that are not held back.
    pub(super) fn next(&mut self, held: &BTreeSet<StreamName>) -> Option<(Ticket, Vec<u8>)> {
        let start = self.last;
        let free = |(name, _): &(&StreamName, &mut OpenStream)| !held.contains(*name);
        let behind = self.open.iter_mut().filter(|(name, _)| start.is_none_or(|s| **name > s));
        if let Some(found) = first_message(behind.filter(free)) {
            self.last = Some(found.0.stream);
            return Some(found);
        }
        let found = first_message(self.open.iter_mut().filter(free))?;
        self.last = Some(found.0.stream);
        Some(found)
    }

    /// A message has ended. Streams hear of it once all in front of it have ended too.
    pub(super) fn ended(&mut self, ticket: &Ticket) {
        let Some(open) = self.open.get_mut(&ticket.stream) else { return };
        let Some(at) = ticket.number.checked_sub(open.first_ticket) else { return };
        if let Some((_, ended)) = usize::try_from(at).ok().and_then(|at| open.on_the_way.get_mut(at)) {
            *ended = true;
        }
        while let Some((id, true)) = open.on_the_way.front().copied() {
            open.on_the_way.pop_front();
            open.first_ticket += 1;
            if let Err(error) = open.stream.delivered(id) {
                tracing::error!(stream = %ticket.stream, %error, "cannot note what was delivered");
            }
        }
    }

    /// A message was refused for good. Says whether it is dropped: the first time on a connection that the other end
    /// takes it for no readings, it may only not know the chain, and everything goes again behind the open statement.
    pub(super) fn refused(&mut self, ticket: &Ticket, reason: ReasonCode) -> bool {
        let Some(open) = self.open.get_mut(&ticket.stream) else { return false };
        if ticket.number < open.first_ticket {
            return false;
        }
        if reason == ReasonCode::PayloadFormatInvalid && !open.is_reopened {
            open.is_reopened = true;
            open.first_ticket += open.on_the_way.len() as u64;
            open.on_the_way.clear();
            open.stream.send_all_again();
            return false;
        }
        self.ended(ticket);
        true
    }

    /// There is a new connection, over which each chain is opened again: the other end may be as it was before.
    pub(super) fn connected(&mut self) {
        for open in self.open.values_mut() {
            open.is_reopened = false;
            open.stream.send_open_again();
        }
    }

    pub(super) fn state(&mut self, name: &StreamName) -> Result<StreamState, RecordError> {
        let stream = &self.stream(name)?.stream;
        Ok(StreamState {
            note: stream.note(),
            delivered_note: stream.delivered_note(),
            is_delivered: stream.is_delivered(),
            backlog_bytes: stream.backlog().1,
        })
    }

    pub(super) fn status(&self) -> Vec<StreamStatus> {
        let status = |(name, open): (&StreamName, &OpenStream)| {
            let (messages, bytes) = open.stream.backlog();
            StreamStatus { name: *name, messages, bytes }
        };
        self.open.iter().map(status).collect()
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.open.values().all(|o| o.stream.is_delivered())
    }
}

fn first_message<'a>(
    mut streams: impl Iterator<Item = (&'a StreamName, &'a mut OpenStream)>,
) -> Option<(Ticket, Vec<u8>)> {
    streams.find_map(|(name, open)| match open.stream.next_message() {
        Ok(message) => message.map(|(id, payload)| {
            let number = open.first_ticket + open.on_the_way.len() as u64;
            open.on_the_way.push_back((id, false));
            (Ticket { stream: *name, number }, payload)
        }),
        Err(error) => {
            tracing::error!(stream = %name, %error, "stream cannot be read");
            None
        }
    })
}

impl Ticket {
    /// Whose message it is.
    pub(super) const fn stream(&self) -> &StreamName {
        &self.stream
    }
}

fn refused(error: &StreamError) -> RecordError {
    RecordError::Stream(error.to_string())
}
