//! All streams of the device.

use std::collections::{BTreeMap, BTreeSet};

use thingward_model::clock::now;
use thingward_model::{Confidentiality, StreamName, Timestamp};
use thingward_mqtt::codec::ReasonCode;
use thingward_seal::Subject;

use super::{AgentSettings, NewRecord, RecordError, STREAMS_MAX, StreamState};
use crate::disk::Directory;
use crate::home::{Home, HomeError, Identity};
use crate::membership::Membership;
use crate::reading::check_record;
use crate::stream::outbox::Outbox;
use crate::stream::{SharedSigner, Stream, StreamError, StreamSettings};

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
    open: BTreeMap<StreamName, Outbox<Directory>>,
    /// The stream whose turn it was last.
    last: Option<StreamName>,
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

    fn stream(&mut self, name: &StreamName) -> Result<&mut Outbox<Directory>, RecordError> {
        if !self.open.contains_key(name) {
            if self.open.len() >= STREAMS_MAX {
                return Err(RecordError::TooManyStreams);
            }
            let opened = self.open_stream(name)?;
            self.open.insert(*name, opened);
        }
        self.open.get_mut(name).ok_or(RecordError::Stopping)
    }

    fn open_stream(&self, name: &StreamName) -> Result<Outbox<Directory>, RecordError> {
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
        stream.map(Outbox::new).map_err(|e| refused(&e))
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
        let stream = self.stream(name)?.stream_mut();
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
        let Some(open) = self.open.get_mut(name) else { return Ok(0) };
        let stream = open.stream_mut();
        stream.commit(now).map_err(|e| refused(&e))?;
        Ok(stream.backlog().1)
    }

    /// Signs everything that was pushed, and makes it durable.
    pub(super) fn sign(&mut self, name: &StreamName, now: Timestamp) -> Result<(), RecordError> {
        self.stream(name)?.stream_mut().commit_signed(now).map_err(|e| refused(&e))
    }

    /// Signs what has waited long enough, and drops what has waited too long.
    pub(super) fn tick(&mut self, now: Timestamp) {
        for (name, open) in &mut self.open {
            if let Err(error) = open.stream_mut().tick(now) {
                tracing::error!(stream = %name, %error, "stream cannot be written");
            }
        }
    }

    /// Signs and writes everything.
    pub(super) fn close(&mut self, now: Timestamp) -> Result<(), RecordError> {
        let mut result = Ok(());
        for (name, open) in &mut self.open {
            if let Err(error) = open.stream_mut().close(now) {
                tracing::error!(stream = %name, %error, "stream cannot be closed");
                result = Err(refused(&error));
            }
        }
        result
    }

    /// The next message of the streams in turn that are not held back.
    pub(super) fn next(&mut self, held: &BTreeSet<StreamName>) -> Option<(Ticket, Vec<u8>)> {
        let start = self.last;
        let free = |(name, _): &(&StreamName, &mut Outbox<Directory>)| !held.contains(*name);
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
        if let Err(error) = open.ended(ticket.number) {
            tracing::error!(stream = %ticket.stream, %error, "cannot note what was delivered");
        }
    }

    /// A message was refused for good. Says whether it is dropped; else it goes again.
    pub(super) fn refused(&mut self, ticket: &Ticket, reason: ReasonCode) -> bool {
        let open = self.open.get_mut(&ticket.stream);
        let is_dropped = open.is_some_and(|open| open.is_dropped(ticket.number, reason));
        if is_dropped {
            self.ended(ticket);
        }
        is_dropped
    }

    /// There is a new connection.
    pub(super) fn connected(&mut self) {
        self.open.values_mut().for_each(Outbox::connected);
    }

    pub(super) fn state(&mut self, name: &StreamName) -> Result<StreamState, RecordError> {
        let stream = self.stream(name)?.stream();
        Ok(StreamState {
            note: stream.note(),
            delivered_note: stream.delivered_note(),
            is_delivered: stream.is_delivered(),
            backlog_bytes: stream.backlog().1,
        })
    }

    pub(super) fn status(&self) -> Vec<StreamStatus> {
        let status = |(name, open): (&StreamName, &Outbox<Directory>)| {
            let (messages, bytes) = open.stream().backlog();
            StreamStatus { name: *name, messages, bytes }
        };
        self.open.iter().map(status).collect()
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.open.values().all(|o| o.stream().is_delivered())
    }
}

fn first_message<'a>(
    mut streams: impl Iterator<Item = (&'a StreamName, &'a mut Outbox<Directory>)>,
) -> Option<(Ticket, Vec<u8>)> {
    streams.find_map(|(name, open)| match open.next_message() {
        Ok(message) => message.map(|(number, payload)| (Ticket { stream: *name, number }, payload)),
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
