//! The device's bounded, encrypted buffer of one stream: messages that are durable and not delivered yet.
//!
//! Segments are files of sealed entries. An entry holds one message of chain items and, so that nothing else
//! must be saved, the chain's state behind it and how far numbers are set aside. A torn entry at the end of the
//! last segment is cut off at the next start; nothing of it was ever sent.

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

/// Bounds of one stream's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// Longest time that a reading waits.
    pub age_max: Duration,
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
    segment: u64,
    offset: u64,
    len: usize,
    covers: Covers,
    note: u64,
    has_payload: bool,
}

/// The buffer of one stream.
pub struct Spool<D> {
    disk: D,
    key: SealingKey,
    label: String,
    limits: SpoolLimits,
    waiting: VecDeque<Waiting>,
    /// Number of the entry at the front of `waiting`.
    front: EntryNumber,
    delivered_note: Option<u64>,
    /// Segment numbers and their sizes in bytes, oldest first; the last one is written to.
    segments: VecDeque<(u64, u64)>,
    /// The segment that the newest entry is in.
    newest_segment: Option<u64>,
}

const LENGTH_BYTES: usize = 4;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 8 + 8 + 32 + 32 + 8 + 8 + 8 + 8 + 8 + STATE_BYTES;
/// A buffer has about this many segments, so that dropping the oldest loses little.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// A sealed entry is never larger; a greater length in a file is damage.
const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:016x}.spool")
}

impl<D: Disk> Spool<D> {
    /// Opens the buffer with what waits in it; also gives the newest saved state, when there is one.
    ///
    /// # Errors
    ///
    /// [`SpoolError`].
    pub fn open(
        mut disk: D,
        key: SealingKey,
        label: &str,
        limits: SpoolLimits,
    ) -> Result<(Self, Option<Saved>), SpoolError> {
        let mut numbers: Vec<u64> = disk
            .list()?
            .iter()
            .filter_map(|n| u64::from_str_radix(n.strip_suffix(".spool")?, 16).ok())
            .collect();
        numbers.sort_unstable();
        let mut waiting = VecDeque::new();
        let mut segments = VecDeque::new();
        let mut newest = None;
        let mut waits_from = (0, 0);
        let last_segment = numbers.last().copied();
        let mut newest_segment = None;
        for number in numbers {
            let name = segment_name(number);
            let bytes = disk.read(&name)?.unwrap_or_default();
            let mut offset = 0;
            while offset < bytes.len() {
                let at = offset as u64;
                match read_entry(&bytes, offset, &key, &entry_label(label, number, at)) {
                    Some(entry) => {
                        let ReadEntry { end, covers, saved, has_payload, .. } = entry;
                        let (len, note) = (end - offset, saved.note);
                        waiting.push_back(Waiting {
                            segment: number,
                            offset: at,
                            len,
                            covers,
                            note,
                            has_payload,
                        });
                        waits_from = entry.waits_from;
                        newest = Some(saved);
                        newest_segment = Some(number);
                        offset = end;
                    }
                    None if Some(number) == last_segment && is_torn(&bytes, offset) => {
                        disk.truncate(&name, at)?;
                        break;
                    }
                    None => return Err(SpoolError::Damaged { file: name, offset: at }),
                }
            }
            segments.push_back((number, offset as u64));
        }
        waiting.retain(|w: &Waiting| (w.segment, w.offset) >= waits_from);
        let mut spool = Self {
            disk,
            key,
            label: label.to_owned(),
            limits,
            waiting,
            front: 0,
            delivered_note: None,
            segments,
            newest_segment,
        };
        spool.remove_finished()?;
        Ok((spool, newest))
    }

    /// Adds an entry. It is durable on return; an entry with no payload only saves the state.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; the entry is then not in the buffer.
    pub fn append(&mut self, covers: &Covers, saved: &Saved, payload: &[u8]) -> Result<(), SpoolError> {
        let (segment, offset) = self.segment_for_append();
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
        let waits_from = self.waiting.front().map_or((segment, offset), |w| (w.segment, w.offset));
        plain.extend_from_slice(&waits_from.0.to_be_bytes());
        plain.extend_from_slice(&waits_from.1.to_be_bytes());
        plain.extend_from_slice(saved.state.as_ref());
        plain.extend_from_slice(payload);
        let label = entry_label(&self.label, segment, offset);
        let sealed = self.key.seal(&label, &plain).map_err(|_| SpoolError::Crypto)?;
        let mut entry = Vec::with_capacity(LENGTH_BYTES + sealed.len());
        let length = u32::try_from(sealed.len()).map_err(|_| SpoolError::Crypto)?;
        entry.extend_from_slice(&length.to_be_bytes());
        entry.extend_from_slice(&sealed);
        let name = segment_name(segment);
        if let Err(e) = self.disk.append(&name, &entry) {
            // Whatever part of it arrived goes again, so that the next entry stands where it says it does.
            self.disk.truncate(&name, offset)?;
            return Err(e.into());
        }
        if self.segments.back().is_some_and(|(number, _)| *number == segment) {
            self.segments.pop_back();
        }
        self.segments.push_back((segment, offset + entry.len() as u64));
        self.newest_segment = Some(segment);
        let has_payload = !payload.is_empty();
        let (len, note) = (entry.len(), saved.note);
        self.waiting.push_back(Waiting { segment, offset, len, covers: *covers, note, has_payload });
        Ok(())
    }

    fn segment_for_append(&self) -> (u64, u64) {
        let segment_bytes = (self.limits.bytes_max / SEGMENTS).clamp(1, SEGMENT_BYTES_MAX);
        match self.segments.back() {
            None => (0, 0),
            Some((number, bytes)) if *bytes >= segment_bytes => (number + 1, 0),
            Some((number, bytes)) => (*number, *bytes),
        }
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
                return Ok(Some((self.front + at as u64, self.read_payload(entry)?)));
            }
        }
        Ok(None)
    }

    fn read_payload(&self, entry: &Waiting) -> Result<Vec<u8>, SpoolError> {
        let name = segment_name(entry.segment);
        let bytes = self.disk.read_at(&name, entry.offset, entry.len)?;
        let label = entry_label(&self.label, entry.segment, entry.offset);
        let sealed = bytes.get(LENGTH_BYTES..).unwrap_or_default();
        let plain = self.key.open(&label, sealed);
        let plain = plain.map_err(|_| SpoolError::Damaged { file: name, offset: entry.offset })?;
        Ok(plain.get(HEADER_BYTES..).unwrap_or_default().to_vec())
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
    fn remove_finished(&mut self) -> Result<(), SpoolError> {
        let needed = self.waiting.front().map(|w| w.segment);
        while let Some((number, _)) = self.segments.front().copied() {
            if self.segments.len() == 1 || needed.is_some_and(|n| number >= n) {
                break;
            }
            self.disk.remove(&segment_name(number))?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// What has to go for the bounds to hold: the records of the oldest segment when the buffer is too large, else
    /// those that are too old. Nothing goes before [`Self::drop_oldest`].
    #[must_use]
    pub fn excess(&self, now: Timestamp) -> Option<Dropped> {
        let (oldest, _) = *self.segments.front()?;
        let age_max = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let is_full = self.segments.len() > 1 && self.bytes() > self.limits.bytes_max;
        let has_to_go = |w: &&Waiting| match is_full {
            true => w.segment == oldest,
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

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
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
        &mut self.disk
    }
}

/// What an entry is sealed with besides the key: where it stands, so that entries cannot change places.
fn entry_label(stream: &str, segment: u64, offset: u64) -> Vec<u8> {
    format!("spool {stream} {segment} {offset}").into_bytes()
}

/// Whether the bytes from `offset` on can be an entry that a crash cut short: its length reaches past the end.
fn is_torn(bytes: &[u8], offset: usize) -> bool {
    let rest = bytes.get(offset..).unwrap_or_default();
    match rest.first_chunk::<LENGTH_BYTES>() {
        None => true,
        Some(length) => {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            length > ENTRY_BYTES_MAX || rest.len() <= LENGTH_BYTES + length
        }
    }
}

struct ReadEntry {
    end: usize,
    covers: Covers,
    saved: Saved,
    /// Segment and offset of the first entry that waited when this one was written.
    waits_from: (u64, u64),
    has_payload: bool,
}

fn read_entry(bytes: &[u8], offset: usize, key: &SealingKey, label: &[u8]) -> Option<ReadEntry> {
    let rest = bytes.get(offset..)?;
    let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk::<LENGTH_BYTES>()?)).ok()?;
    let sealed = rest.get(LENGTH_BYTES..LENGTH_BYTES.checked_add(length)?)?;
    let plain = key.open(label, sealed).ok()?;
    let mut at = plain.as_slice();
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
    let waits_from = (segment, u64::from_be_bytes(take(8)?.try_into().ok()?));
    let mut state = Zeroizing::new([0; STATE_BYTES]);
    state.copy_from_slice(take(STATE_BYTES)?);
    let covers = Covers { first, last, before, head, oldest };
    let saved = Saved { state, reserved_through, note };
    let end = offset + LENGTH_BYTES + length;
    Some(ReadEntry { end, covers, saved, waits_from, has_payload: !at.is_empty() })
}
