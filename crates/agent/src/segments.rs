//! A log of sealed entries in files, for buffers that must survive the process.
//!
//! A segment file is a row of entries, each `length(4) | sealed` with the place where it stands as associated data, so
//! that entries cannot change places. Entries are added at the end of the newest segment only, or with a new segment; segments
//! go from the oldest on. What a crash cut off at the end was never reported as durable.

use std::collections::BTreeMap;
use std::io;

use thingward_crypto::sealed::SealingKey;
use zeroize::Zeroizing;

use crate::disk::{Disk, UNFINISHED};

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The disk failed.
    #[error("buffer on disk: {0}")]
    Disk(#[from] io::Error),
    /// An entry that was durable does not open: the file was changed, or the sealing key is another.
    #[error("buffer file {file} is damaged at byte {offset}")]
    Damaged {
        /// The file's name.
        file: String,
        /// Where.
        offset: u64,
    },
    /// The sealing key does not work.
    #[error("sealing key does not work")]
    Crypto,
}

/// Where an entry stands. Later entries have greater places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the segment.
    pub segment: u64,
    /// Bytes in front of the entry in it.
    pub offset: u64,
}

/// An entry that is there, or will be with the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where.
    pub place: Place,
    /// Its bytes on disk.
    pub len: usize,
}

/// What a log is called and when its segments are full.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Extension of the segment files.
    pub extension: &'static str,
    /// What its entries are sealed with besides their place.
    pub label: String,
    /// A segment with so many bytes takes no more entries.
    pub segment_bytes: u64,
}

impl Naming {
    /// The file name of a segment.
    #[must_use]
    pub fn file(&self, segment: u64) -> String {
        format!("{segment:016x}.{}", self.extension)
    }

    fn number(&self, file: &str) -> Option<u64> {
        u64::from_str_radix(file.strip_suffix(self.extension)?.strip_suffix('.')?, 16).ok()
    }

    fn label(&self, place: Place) -> Vec<u8> {
        format!("{} {} {}", self.label, place.segment, place.offset).into_bytes()
    }

    fn damaged(&self, place: Place) -> SegmentError {
        SegmentError::Damaged { file: self.file(place.segment), offset: place.offset }
    }
}

/// See the module.
pub struct SegmentLog<D> {
    disk: D,
    key: SealingKey,
    naming: Naming,
    /// Segments with the bytes of their entries; the last one is written to.
    segments: BTreeMap<u64, u64>,
    /// Sealed entries that the next commit writes.
    pending: Vec<u8>,
    /// A write failed and could not be taken back: the newest file may be longer than its entries.
    is_dirty: bool,
}

const LENGTH_BYTES: usize = 4;
/// A sealed entry is never larger; a greater length in a file is damage.
const ENTRY_BYTES_MAX: usize = 512 * 1024;

impl<D: Disk> SegmentLog<D> {
    /// Opens the log and shows each entry to `visit`, which says whether it can read it. Gives the bytes that were cut
    /// off at the end.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn open(
        mut disk: D,
        key: SealingKey,
        naming: Naming,
        mut visit: impl FnMut(Extent, &[u8]) -> bool,
    ) -> Result<(Self, u64), SegmentError> {
        let files = disk.list()?;
        for file in files.iter().filter(|file| file.ends_with(UNFINISHED)) {
            disk.remove(file)?;
        }
        let segments = files.iter().filter_map(|file| Some((naming.number(file)?, 0))).collect();
        let mut log = Self { disk, key, naming, segments, pending: Vec::new(), is_dirty: false };
        let newest = log.segments.last_key_value().map(|(number, _)| *number);
        let mut cut = 0;
        for number in log.segments.keys().copied().collect::<Vec<_>>() {
            let bytes = log.disk.read(&log.naming.file(number))?.unwrap_or_default();
            let mut offset = 0;
            while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
                let place = Place { segment: number, offset: offset as u64 };
                let Some((plain, len)) = log.open_entry(place, rest) else {
                    if Some(number) != newest || !is_torn(rest) {
                        return Err(log.naming.damaged(place));
                    }
                    log.disk.truncate(&log.naming.file(number), place.offset)?;
                    cut = rest.len() as u64;
                    break;
                };
                if !visit(Extent { place, len }, &plain) {
                    return Err(log.naming.damaged(place));
                }
                offset += len;
            }
            log.segments.insert(number, offset as u64);
        }
        Ok((log, cut))
    }

    /// Plaintext and length of the entry that `bytes` start with.
    fn open_entry(&self, place: Place, bytes: &[u8]) -> Option<(Zeroizing<Vec<u8>>, usize)> {
        let end = LENGTH_BYTES.checked_add(entry_length(bytes)?)?;
        let plain = self.key.open(&self.naming.label(place), bytes.get(LENGTH_BYTES..end)?).ok()?;
        Some((plain, end))
    }

    /// Where the next entry will stand.
    #[must_use]
    pub fn next(&self) -> Place {
        let end = self.end();
        Place { offset: end.offset + self.pending.len() as u64, ..end }
    }

    /// Where the next write goes.
    fn end(&self) -> Place {
        match self.segments.last_key_value() {
            None => Place { segment: 0, offset: 0 },
            Some((number, bytes)) if *bytes >= self.naming.segment_bytes => {
                Place { segment: number + 1, offset: 0 }
            }
            Some((number, bytes)) => Place { segment: *number, offset: *bytes },
        }
    }

    /// Adds an entry to those that the next commit writes, in one segment.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Crypto`]; nothing was added.
    pub fn push(&mut self, plain: &[u8]) -> Result<Extent, SegmentError> {
        let place = self.next();
        let entry = self.seal_entry(place, plain)?;
        self.pending.extend_from_slice(&entry);
        Ok(Extent { place, len: entry.len() })
    }

    /// An entry as it stands in a file.
    fn seal_entry(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, SegmentError> {
        let sealed = self.key.seal(&self.naming.label(place), plain).map_err(|_| SegmentError::Crypto)?;
        let length = u32::try_from(sealed.len()).map_err(|_| SegmentError::Crypto)?;
        Ok([length.to_be_bytes().as_slice(), &sealed].concat())
    }

    /// Copies entries into a segment of their own, the newest from then on, with the entries `behind` at its end. After a crash
    /// all of that is there, or nothing. Gives where the copies stand. What was pushed before is committed.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; nothing was copied.
    pub fn copy(&mut self, entries: &[Extent], behind: &[Vec<u8>]) -> Result<Vec<Extent>, SegmentError> {
        self.commit()?;
        self.cut_unknown()?;
        let segment =
            self.segments.last_key_value().map_or(0, |(number, bytes)| number + u64::from(*bytes > 0));
        let mut bytes = Vec::new();
        let mut copies = Vec::new();
        for entry in entries {
            let place = Place { segment, offset: bytes.len() as u64 };
            let copy = self.seal_entry(place, &self.read(*entry)?)?;
            copies.push(Extent { place, len: copy.len() });
            bytes.extend_from_slice(&copy);
        }
        for plain in behind {
            let place = Place { segment, offset: bytes.len() as u64 };
            bytes.extend_from_slice(&self.seal_entry(place, plain)?);
        }
        let written = self.disk.replace(&self.naming.file(segment), &bytes);
        // One that failed may be there all the same. The next entries stand in it, and it is emptied before they do.
        self.segments.insert(segment, if written.is_ok() { bytes.len() as u64 } else { 0 });
        self.is_dirty = written.is_err();
        written?;
        Ok(copies)
    }

    /// Cuts off what a write left that failed.
    fn cut_unknown(&mut self) -> Result<(), SegmentError> {
        if self.is_dirty {
            let Place { segment, offset } = self.end();
            self.disk.truncate(&self.naming.file(segment), offset)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Makes everything pushed so far durable, in one write.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Disk`]; nothing that was pushed since the last commit is in the log then.
    pub fn commit(&mut self) -> Result<(), SegmentError> {
        let bytes = std::mem::take(&mut self.pending);
        if bytes.is_empty() {
            return Ok(());
        }
        let Place { segment, offset } = self.end();
        let file = self.naming.file(segment);
        self.cut_unknown()?;
        if let Err(error) = self.disk.append(&file, &bytes) {
            // Whatever part of it arrived goes again, so that the next entry stands where it says it does.
            self.is_dirty = self.disk.truncate(&file, offset).is_err();
            return Err(error.into());
        }
        self.segments.insert(segment, offset + bytes.len() as u64);
        Ok(())
    }

    /// Reads an entry back.
    ///
    /// # Errors
    ///
    /// [`SegmentError`].
    pub fn read(&self, entry: Extent) -> Result<Zeroizing<Vec<u8>>, SegmentError> {
        let Extent { place, len } = entry;
        let bytes = self.disk.read_at(&self.naming.file(place.segment), place.offset, len)?;
        let (plain, _) = self.open_entry(place, &bytes).ok_or_else(|| self.naming.damaged(place))?;
        Ok(plain)
    }

    /// Removes the segments in front of `needed`, or all when nothing is needed; but never the newest.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Disk`].
    pub fn remove_before(&mut self, needed: Option<u64>) -> Result<(), SegmentError> {
        while self.segments.len() > 1
            && let Some(oldest) = self.oldest_segment()
            && needed.is_none_or(|needed| oldest < needed)
        {
            self.disk.remove(&self.naming.file(oldest))?;
            self.segments.remove(&oldest);
        }
        Ok(())
    }

    /// The oldest segment.
    #[must_use]
    pub fn oldest_segment(&self) -> Option<u64> {
        self.segments.first_key_value().map(|(number, _)| *number)
    }

    /// Bytes of the segments in front of `needed`, or of all when nothing is needed.
    #[must_use]
    pub fn bytes_before(&self, needed: Option<u64>) -> u64 {
        let segments = self.segments.iter();
        segments
            .take_while(|(number, _)| needed.is_none_or(|needed| **number < needed))
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Bytes on disk, and those that the next commit writes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.values().sum::<u64>() + self.pending.len() as u64
    }

    /// What it is called.
    #[must_use]
    pub const fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The disk, for the files beside the segments.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }
}

fn entry_length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()
}

/// Whether `rest`, the end of the newest segment which does not open, can be an entry that a crash cut short: its
/// length is possible, and nothing is behind it.
fn is_torn(rest: &[u8]) -> bool {
    entry_length(rest).is_none_or(|length| length <= ENTRY_BYTES_MAX && rest.len() <= LENGTH_BYTES + length)
}
