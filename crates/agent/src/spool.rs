//! The device's bounded, encrypted buffer of one stream: messages that are durable and not delivered yet.
//!
//! An entry of the log holds one message of chain items and, so that nothing else must be saved, the chain's state
//! behind it and how far numbers are set aside. Nothing of what a crash cut off was ever sent.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use thingward_crypto::Digest;
use thingward_crypto::sealed::SealingKey;
use thingward_model::Timestamp;
use thingward_seal::GapReason;
use thingward_seal::writer::{Dropped, STATE_BYTES};
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::segments::{Extent, Naming, Place, SegmentError, SegmentLog};

/// Bounds of one stream's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// Longest time that a reading waits.
    pub age_max: Duration,
}

impl From<SegmentError> for SpoolError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Disk(e) => Self::Disk(e),
            SegmentError::Damaged { file, offset } => Self::Damaged { file, offset },
            SegmentError::Crypto => Self::Crypto,
        }
    }
}

impl Default for SpoolLimits {
    /// 64 MiB and 30 days.
    fn default() -> Self {
        Self { bytes_max: 64 << 20, age_max: Duration::from_secs(30 * 86_400) }
    }
}

/// What is wrong with a spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk failed; the entry was not taken.
    #[error("buffer on disk: {0}")]
    Disk(#[from] io::Error),
    /// An entry that was durable does not open: the file was changed, or the sealing key is another.
    #[error("buffer file {file} is damaged at byte {offset}; {ADVICE}")]
    Damaged {
        /// The file's name.
        file: String,
        /// Where.
        offset: u64,
    },
    /// A file that says how far the chain went is not there. To go on without it would be to use numbers, and with
    /// them nonces, a second time.
    #[error("buffer file {file} is missing; put it back, or {ADVICE}")]
    Missing {
        /// The file's name.
        file: String,
    },
    /// The sealing key does not work.
    #[error("sealing key does not work")]
    Crypto,
}

const ADVICE: &str = "move the whole folder of the stream away to start anew without what waits in it";

/// The chain's state in an entry.
pub struct Saved {
    /// [`thingward_seal::ChainWriter::save`] behind the entry.
    pub state: Zeroizing<[u8; STATE_BYTES]>,
    /// The last number set aside. Equal to the last one used after a clean stop.
    pub reserved_through: u64,
    /// What the writer of the readings wants to find again with them.
    pub note: u64,
}

/// What an entry covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covers {
    /// First record; greater than `last` when the entry has none.
    pub first: u64,
    /// Last record.
    pub last: u64,
    /// The chain's hash in front of the first record.
    pub before: Digest,
    /// The chain's hash behind the last record.
    pub head: Digest,
    /// When the reading that has waited longest came in.
    pub oldest: Timestamp,
}

/// Names an entry while the process runs; grows by one with each.
pub type EntryNumber = u64;

#[derive(Debug, Clone, Copy)]
struct Waiting {
    extent: Extent,
    covers: Covers,
    note: u64,
    has_payload: bool,
}

/// The buffer of one stream.
pub struct Spool<D> {
    log: SegmentLog<D>,
    limits: SpoolLimits,
    waiting: VecDeque<Waiting>,
    /// Number of the entry at the front of `waiting`.
    front: EntryNumber,
    delivered_note: Option<u64>,
    /// The segment that the newest entry is in.
    newest_segment: Option<u64>,
}

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 8 + 8 + 32 + 32 + 8 + 8 + 8 + 8 + 8 + STATE_BYTES;
/// A buffer has about this many segments, so that dropping the oldest loses little.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// A record is never smaller on disk.
const RECORD_BYTES_MIN: u64 = 32;

impl<D: Disk> Spool<D> {
    /// Opens the buffer with what waits in it; also gives the newest saved state, when there is one.
    ///
    /// # Errors
    ///
    /// [`SpoolError`].
    pub fn open(
        disk: D,
        key: SealingKey,
        label: &str,
        limits: SpoolLimits,
    ) -> Result<(Self, Option<Saved>), SpoolError> {
        let naming = Naming {
            extension: "spool",
            label: format!("spool {label}"),
            segment_bytes: (limits.bytes_max / SEGMENTS).clamp(1, SEGMENT_BYTES_MAX),
        };
        let mut waiting = VecDeque::new();
        let mut newest = None;
        let (log, cut) = SegmentLog::open(disk, key, naming, |extent, plain| {
            let Some(ReadEntry { covers, saved, waits_from, has_payload }) = read_entry(plain) else {
                return false;
            };
            waiting.push_back(Waiting { extent, covers, note: saved.note, has_payload });
            newest = Some((extent.place, waits_from, saved));
            true
        })?;
        let newest_segment = newest.as_ref().map(|(place, ..)| place.segment);
        let saved = newest.map(|(_, waits_from, mut saved)| {
            waiting.retain(|w: &Waiting| w.extent.place >= waits_from);
            // Damage can look like a torn entry; no number of what was cut off is used again.
            saved.reserved_through += cut / RECORD_BYTES_MIN;
            saved
        });
        let mut spool = Self { log, limits, waiting, front: 0, delivered_note: None, newest_segment };
        spool.remove_finished()?;
        Ok((spool, saved))
    }

    /// Adds an entry. It is durable on return; an entry with no payload only saves the state.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; the entry is then not in the buffer.
    pub fn append(&mut self, covers: &Covers, saved: &Saved, payload: &[u8]) -> Result<(), SpoolError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + payload.len()));
        plain.push(VERSION);
        plain.extend_from_slice(&covers.first.to_be_bytes());
        plain.extend_from_slice(&covers.last.to_be_bytes());
        plain.extend_from_slice(&covers.before);
        plain.extend_from_slice(&covers.head);
        plain.extend_from_slice(&covers.oldest.as_micros().to_be_bytes());
        plain.extend_from_slice(&saved.reserved_through.to_be_bytes());
        plain.extend_from_slice(&saved.note.to_be_bytes());
        // What is delivered is remembered with the next entry, at no cost of its own.
        let waits_from = self.waiting.front().map_or_else(|| self.log.next(), |w| w.extent.place);
        plain.extend_from_slice(&waits_from.segment.to_be_bytes());
        plain.extend_from_slice(&waits_from.offset.to_be_bytes());
        plain.extend_from_slice(saved.state.as_ref());
        plain.extend_from_slice(payload);
        let extent = self.log.push(&plain)?;
        self.log.commit()?;
        self.newest_segment = Some(extent.place.segment);
        let has_payload = !payload.is_empty();
        self.waiting.push_back(Waiting { extent, covers: *covers, note: saved.note, has_payload });
        Ok(())
    }

    /// The first waiting message with at least this number, and its number.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] when it cannot be read back.
    pub fn message(&self, from: EntryNumber) -> Result<Option<(EntryNumber, Vec<u8>)>, SpoolError> {
        let skip = usize::try_from(from.saturating_sub(self.front)).unwrap_or(usize::MAX);
        for (at, entry) in self.waiting.iter().enumerate().skip(skip) {
            if entry.has_payload {
                let plain = self.log.read(entry.extent)?;
                let payload = plain.get(HEADER_BYTES..).unwrap_or_default().to_vec();
                return Ok(Some((self.front + at as u64, payload)));
            }
        }
        Ok(None)
    }

    /// The message with this number, and all before it, have arrived.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Disk`] when a file that is not needed any more cannot be removed.
    pub fn delivered(&mut self, through: EntryNumber) -> Result<(), SpoolError> {
        while self.front <= through
            && let Some(entry) = self.waiting.pop_front()
        {
            self.delivered_note = Some(entry.note);
            self.front += 1;
        }
        self.remove_finished()
    }

    /// The note of the newest message that has arrived; `None` when none has since the buffer was opened.
    #[must_use]
    pub const fn delivered_note(&self) -> Option<u64> {
        self.delivered_note
    }

    /// Removes segments without waiting entries, but never the last: it has the newest state.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Disk`]; those that are left are removed the next time.
    pub fn remove_finished(&mut self) -> Result<(), SpoolError> {
        let needed = self.waiting.front().map(|w| w.extent.place.segment);
        Ok(self.log.remove_before(needed)?)
    }

    /// What has to go for the bounds to hold: the records of the oldest segment that has some when the buffer is too large, with
    /// all in front of them, else those that are too old. Nothing goes before [`Self::drop_oldest`].
    #[must_use]
    pub fn excess(&self, now: Timestamp) -> Option<Dropped> {
        let with_records = self.waiting.iter().find(|w| w.covers.first <= w.covers.last);
        let oldest = with_records?.extent.place.segment;
        let age_max = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let is_full = self.log.segments() > 1 && self.bytes() > self.limits.bytes_max;
        let has_to_go = |w: &&Waiting| match is_full {
            true => w.extent.place.segment <= oldest,
            false => w.covers.oldest.plus_micros(age_max) < now,
        };
        let covers = self.waiting.iter().take_while(has_to_go).map(|w| w.covers);
        let mut records = covers.filter(|c| c.first <= c.last);
        let first = records.next()?;
        let last = records.last().unwrap_or(first);
        let reason = if is_full { GapReason::BufferFull } else { GapReason::TooOld };
        Some(Dropped { first: first.first, last: last.last, before: first.before, head: last.head, reason })
    }

    /// Drops waiting entries up to record `last`; the declared gap that replaces them is durable by then.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Disk`].
    pub fn drop_oldest(&mut self, last: u64) -> Result<(), SpoolError> {
        while self.waiting.front().is_some_and(|w| w.covers.last <= last) {
            self.waiting.pop_front();
            self.front += 1;
        }
        self.remove_finished()
    }

    /// The segment with the newest entry; `None` when there never was an entry.
    #[must_use]
    pub const fn newest_segment(&self) -> Option<u64> {
        self.newest_segment
    }

    /// The file name of a segment.
    #[must_use]
    pub fn segment_file(&self, number: u64) -> String {
        self.log.naming().file(number)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.iter().filter(|w| w.has_payload).count()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.waiting.iter().any(|w| w.has_payload)
    }

    /// The disk, for the files beside the segments.
    pub fn disk_mut(&mut self) -> &mut D {
        self.log.disk_mut()
    }
}

struct ReadEntry {
    covers: Covers,
    saved: Saved,
    /// The first entry that waited when this one was written.
    waits_from: Place,
    has_payload: bool,
}

fn read_entry(plain: &[u8]) -> Option<ReadEntry> {
    let mut at = plain;
    let mut take = |n: usize| {
        let (head, tail) = at.split_at_checked(n)?;
        at = tail;
        Some(head)
    };
    if take(1)? != [VERSION] {
        return None;
    }
    let first = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let last = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let before = take(32)?.try_into().ok()?;
    let head = take(32)?.try_into().ok()?;
    let oldest = Timestamp::from_micros(i64::from_be_bytes(take(8)?.try_into().ok()?));
    let reserved_through = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let note = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let segment = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let waits_from = Place { segment, offset: u64::from_be_bytes(take(8)?.try_into().ok()?) };
    let mut state = Zeroizing::new([0; STATE_BYTES]);
    state.copy_from_slice(take(STATE_BYTES)?);
    let covers = Covers { first, last, before, head, oldest };
    let saved = Saved { state, reserved_through, note };
    Some(ReadEntry { covers, saved, waits_from, has_payload: !at.is_empty() })
}
