//! What comes over the line: packets of a controller over H4, or a recording of such packets, which its first bytes tell.

use thingward_ble::btsnoop::{PACKET_BYTES_MAX, Recording, SnoopError};
use thingward_ble::hci::{self, Event, HciError, Packet};

/// How a recording begins.
const MAGIC: &[u8; 8] = b"btsnoop\0";
/// Its head, and that of a record.
const HEAD_BYTES: usize = 16;
const RECORD_HEAD_BYTES: usize = 24;

/// Why the place in the line is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InputError {
    #[error("no controller of Bluetooth: {0}")]
    Hci(#[from] HciError),
    #[error("no recording: {0}")]
    Snoop(#[from] SnoopError),
}

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) code: u8,
    pub(super) parameters: Vec<u8>,
}

/// Puts events together from what comes.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Too little came.
    #[default]
    Unknown,
    Controller,
    /// With its head, which stands in front of what came, known to be right.
    Recording,
}

impl Came {
    fn of(event: Event<'_>) -> Self {
        Self { code: event.code, parameters: event.parameters.to_vec() }
    }

    /// As it is read.
    pub(super) fn event(&self) -> Event<'_> {
        Event { code: self.code, parameters: &self.parameters }
    }
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let seen = self.bytes.len().min(MAGIC.len());
        if self.kind == Kind::Unknown && self.bytes.get(..seen) != MAGIC.get(..seen) {
            self.kind = Kind::Controller;
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The next event that is whole; packets that are none are passed over.
    pub(super) fn take(&mut self) -> Result<Option<Came>, InputError> {
        match self.kind {
            Kind::Unknown if self.bytes.len() >= HEAD_BYTES => {
                Recording::new(&self.bytes)?;
                self.kind = Kind::Recording;
                self.record()
            }
            Kind::Unknown => Ok(None),
            Kind::Controller => self.packet(),
            Kind::Recording => self.record(),
        }
    }

    fn packet(&mut self) -> Result<Option<Came>, InputError> {
        while let Some((packet, length)) = hci::split(&self.bytes)? {
            let came = match packet {
                Packet::Event(event) => Some(Came::of(event)),
                Packet::Other => None,
            };
            self.bytes.drain(..length);
            if came.is_some() {
                return Ok(came);
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Option<Came>, InputError> {
        while let Some(length) = self.record_length()? {
            let end = HEAD_BYTES + length;
            let Some(one) = self.bytes.get(..end) else { return Ok(None) };
            let record = Recording::new(one)?.next().transpose()?;
            // A packet that is not as it should be says nothing of the next.
            let came = record.and_then(|record| record.event.ok().flatten()).map(Came::of);
            self.bytes.drain(HEAD_BYTES..end);
            if came.is_some() {
                return Ok(came);
            }
        }
        Ok(None)
    }

    /// The length of the next record with its head.
    fn record_length(&self) -> Result<Option<usize>, InputError> {
        let place = HEAD_BYTES + 4..HEAD_BYTES + 8;
        let Some(length) = self.bytes.get(place).and_then(|bytes| bytes.first_chunk::<4>()) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if length > PACKET_BYTES_MAX {
            return Err(SnoopError::TooLong(length).into());
        }
        Ok(usize::try_from(length).ok().map(|length| RECORD_HEAD_BYTES + length))
    }
}
