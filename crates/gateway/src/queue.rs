//! Messages of children on their way to the service: sealed on disk, in order per child, with fair shares.
//!
//! A segment file is a row of entries, each sealed with the place where it stands. Entries are messages, or
//! notes of messages that were delivered; a segment goes when everything in it is. What a crash cut off at the
//! end of the last segment was never acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use thingward_agent::disk::Disk;
use thingward_crypto::sealed::SealingKey;
use thingward_model::{DeviceName, Timestamp};

/// Bounds of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// Longest time that a message waits.
    pub age_max: Duration,
}

impl Default for QueueLimits {
    /// 256 MiB and 30 days.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, age_max: Duration::from_secs(30 * 86_400) }
    }
}

/// A child has at least this part of the room, and at most, however few others there are.
const SHARES_MIN: u64 = 4;
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
const LENGTH_BYTES: usize = 4;
const ENTRY_BYTES_MAX: usize = 512 * 1024;
const KIND_MESSAGE: u8 = 1;
const KIND_DELIVERED: u8 = 2;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The child has used its share, or the queue is full. Nothing of others is touched.
    #[error("no room for more messages of this thing")]
    Full,
    /// The disk failed.
    #[error("queue on disk: {0}")]
    Disk(#[from] io::Error),
    /// A durable entry does not open.
    #[error("queue file {file} is damaged at byte {offset}; move it away to go on without its messages")]
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

/// A message of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Who sent it.
    pub child: DeviceName,
    /// Where to, as the child wrote it.
    pub topic: String,
    /// When it was taken.
    pub received: Timestamp,
    /// Its bytes.
    pub message: Vec<u8>,
}

/// Names an entry: segment and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    segment: u64,
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: EntryId,
    len: usize,
    received: Timestamp,
}

#[derive(Default)]
struct Child {
    waiting: VecDeque<Waiting>,
    /// Entries at the front that were handed out and are not delivered yet.
    handed: usize,
    bytes: u64,
}

/// The queue of a gateway.
pub struct Queue<D> {
    disk: D,
    key: SealingKey,
    limits: QueueLimits,
    children: BTreeMap<DeviceName, Child>,
    /// Segment numbers with their sizes and how many messages in them wait.
    segments: BTreeMap<u64, Segment>,
    /// Sealed entries that the next commit writes.
    pending: Vec<u8>,
    pending_messages: Vec<(DeviceName, Waiting)>,
    /// Delivered since the last note of them.
    delivered: Vec<EntryId>,
    /// Whose turn it is.
    turn: Option<DeviceName>,
    /// Messages that became too old, by child, since the start.
    pub expired: BTreeMap<DeviceName, u64>,
}

#[derive(Default, Clone, Copy)]
struct Segment {
    bytes: u64,
    waiting: u64,
}

fn name(segment: u64) -> String {
    format!("{segment:016x}.queue")
}

fn label(id: EntryId) -> Vec<u8> {
    format!("queue {} {}", id.segment, id.offset).into_bytes()
}

impl<D: Disk> Queue<D> {
    /// Opens the queue with what waits in it.
    ///
    /// # Errors
    ///
    /// [`QueueError`].
    pub fn open(disk: D, key: SealingKey, limits: QueueLimits) -> Result<Self, QueueError> {
        let mut queue = Self {
            disk,
            key,
            limits,
            children: BTreeMap::new(),
            segments: BTreeMap::new(),
            pending: Vec::new(),
            pending_messages: Vec::new(),
            delivered: Vec::new(),
            turn: None,
            expired: BTreeMap::new(),
        };
        let files = queue.disk.list()?;
        let numbers: BTreeSet<u64> =
            files.iter().filter_map(|n| u64::from_str_radix(n.strip_suffix(".queue")?, 16).ok()).collect();
        let mut messages = BTreeMap::new();
        let mut gone = BTreeSet::new();
        for segment in &numbers {
            let is_newest = numbers.last() == Some(segment);
            queue.read_segment(*segment, is_newest, &mut messages, &mut gone)?;
        }
        for (id, (child, waiting)) in messages {
            if !gone.contains(&id) {
                queue.add(child, waiting);
            }
        }
        queue.remove_finished()?;
        Ok(queue)
    }

    fn read_segment(
        &mut self,
        segment: u64,
        is_newest: bool,
        messages: &mut BTreeMap<EntryId, (DeviceName, Waiting)>,
        gone: &mut BTreeSet<EntryId>,
    ) -> Result<(), QueueError> {
        let bytes = self.disk.read(&name(segment))?.unwrap_or_default();
        let mut offset = 0;
        while offset < bytes.len() {
            let id = EntryId { segment, offset: offset as u64 };
            let damaged = || QueueError::Damaged { file: name(segment), offset: id.offset };
            let rest = bytes.get(offset..).unwrap_or_default();
            let Some((plain, len)) = self.open_entry(rest, id) else {
                if is_newest && is_torn(rest) {
                    self.disk.truncate(&name(segment), id.offset)?;
                    break;
                }
                return Err(damaged());
            };
            match parse(&plain).ok_or_else(damaged)? {
                Entry::Message(queued) => {
                    messages.insert(id, (queued.child, Waiting { id, len, received: queued.received }));
                }
                Entry::Delivered(ids) => gone.extend(ids),
            }
            offset += len;
        }
        self.segments.insert(segment, Segment { bytes: offset as u64, waiting: 0 });
        Ok(())
    }

    /// Plaintext and length of the entry that `bytes` start with.
    fn open_entry(&self, bytes: &[u8], id: EntryId) -> Option<(Vec<u8>, usize)> {
        let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk::<LENGTH_BYTES>()?)).ok()?;
        let end = LENGTH_BYTES.checked_add(length)?;
        let plain = self.key.open(&label(id), bytes.get(LENGTH_BYTES..end)?).ok()?;
        Some((plain.to_vec(), end))
    }

    fn add(&mut self, child: DeviceName, waiting: Waiting) {
        let entry = self.children.entry(child).or_default();
        entry.bytes += waiting.len as u64;
        entry.waiting.push_back(waiting);
        self.segments.entry(waiting.id.segment).or_default().waiting += 1;
    }

    /// Takes a message. It is durable only behind the next [`Self::commit`].
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] when the child's share or the queue is used up.
    pub fn push(&mut self, queued: &Queued) -> Result<(), QueueError> {
        let size = (queued.message.len() + queued.topic.len() + 256) as u64;
        let used: u64 = self.segments.values().map(|s| s.bytes).sum::<u64>() + self.pending.len() as u64;
        let pending: u64 = self
            .pending_messages
            .iter()
            .filter(|(child, _)| *child == queued.child)
            .map(|(_, w)| w.len as u64)
            .sum();
        let own = self.children.get(&queued.child).map_or(0, |c| c.bytes) + pending;
        let active = self.children.values().filter(|c| !c.waiting.is_empty()).count() as u64;
        let share = self.limits.bytes_max / SHARES_MIN.max(active + 1);
        if own + size > share || used + size > self.limits.bytes_max {
            return Err(QueueError::Full);
        }
        let id = self.next_id();
        let len = self.seal(id, &encode_message(queued))?;
        self.pending_messages.push((queued.child, Waiting { id, len, received: queued.received }));
        Ok(())
    }

    fn next_id(&self) -> EntryId {
        let segment_bytes = (self.limits.bytes_max / 16).clamp(1, SEGMENT_BYTES_MAX);
        let (segment, bytes) = match self.segments.last_key_value() {
            None => (0, 0),
            Some((number, s)) if s.bytes >= segment_bytes => (number + 1, 0),
            Some((number, s)) => (*number, s.bytes),
        };
        EntryId { segment, offset: bytes + self.pending.len() as u64 }
    }

    fn seal(&mut self, id: EntryId, plain: &[u8]) -> Result<usize, QueueError> {
        let sealed = self.key.seal(&label(id), plain).map_err(|_| QueueError::Crypto)?;
        let length = u32::try_from(sealed.len()).map_err(|_| QueueError::Crypto)?;
        self.pending.extend_from_slice(&length.to_be_bytes());
        self.pending.extend_from_slice(&sealed);
        Ok(LENGTH_BYTES + sealed.len())
    }

    /// Makes everything pushed so far durable, in one write.
    ///
    /// # Errors
    ///
    /// [`QueueError::Disk`]; nothing that was pushed since the last commit is in the queue then.
    pub fn commit(&mut self) -> Result<(), QueueError> {
        if self.pending.is_empty() && self.delivered.len() < DELIVERED_NOTE_MIN {
            return Ok(());
        }
        let id = self.next_id();
        if !self.delivered.is_empty() {
            let note = encode_delivered(&self.delivered);
            self.seal(id, &note)?;
        }
        let first = EntryId { offset: self.segments.get(&id.segment).map_or(0, |s| s.bytes), ..id };
        let bytes = std::mem::take(&mut self.pending);
        let messages = std::mem::take(&mut self.pending_messages);
        if let Err(e) = self.disk.append(&name(first.segment), &bytes) {
            self.disk.truncate(&name(first.segment), first.offset)?;
            return Err(e.into());
        }
        self.delivered.clear();
        self.segments.entry(first.segment).or_default().bytes = first.offset + bytes.len() as u64;
        for (child, waiting) in messages {
            self.add(child, waiting);
        }
        self.remove_finished()
    }

    /// The next message that was not handed out, of a child that is not held back: one of each child in turn, in
    /// order within a child.
    ///
    /// # Errors
    ///
    /// [`QueueError`] when it cannot be read back.
    pub fn next_message(
        &mut self,
        held: &BTreeSet<DeviceName>,
    ) -> Result<Option<(EntryId, Queued)>, QueueError> {
        let after = self.turn;
        let ready = |(name, child): &(&DeviceName, &Child)| {
            child.handed < child.waiting.len() && !held.contains(*name)
        };
        let found = self
            .children
            .iter()
            .filter(|(name, _)| after.is_none_or(|a| **name > a))
            .find(ready)
            .or_else(|| self.children.iter().find(ready));
        let Some((name_of_child, child)) = found else { return Ok(None) };
        let (who, Some(waiting)) = (*name_of_child, child.waiting.get(child.handed).copied()) else {
            return Ok(None);
        };
        let bytes = self.disk.read_at(&name(waiting.id.segment), waiting.id.offset, waiting.len)?;
        let damaged = || QueueError::Damaged { file: name(waiting.id.segment), offset: waiting.id.offset };
        let (plain, _) = self.open_entry(&bytes, waiting.id).ok_or_else(damaged)?;
        let Some(Entry::Message(queued)) = parse(&plain) else { return Err(damaged()) };
        self.turn = Some(who);
        if let Some(child) = self.children.get_mut(&who) {
            child.handed += 1;
        }
        Ok(Some((waiting.id, queued)))
    }

    /// A message has arrived at the service, or was refused there for good.
    pub fn done(&mut self, child: &DeviceName, id: EntryId) {
        let Some(entry) = self.children.get_mut(child) else { return };
        let Some(at) = entry.waiting.iter().position(|w| w.id == id) else { return };
        if let Some(waiting) = entry.waiting.remove(at) {
            entry.bytes -= waiting.len as u64;
            if at < entry.handed {
                entry.handed -= 1;
            }
        }
        if entry.waiting.is_empty() {
            self.children.remove(child);
        }
        if let Some(segment) = self.segments.get_mut(&id.segment) {
            segment.waiting -= 1;
        }
        self.delivered.push(id);
    }

    /// Lets go of messages that waited longer than they may, and counts them by child.
    pub fn expire(&mut self, now: Timestamp) {
        let age = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let mut old = Vec::new();
        for (child, entry) in &self.children {
            let waiting = entry.waiting.iter().skip(entry.handed);
            let expired = waiting.take_while(|w| w.received.plus_micros(age) < now);
            old.extend(expired.map(|w| (*child, w.id)));
        }
        for (child, id) in old {
            self.done(&child, id);
            let count = self.expired.entry(child).or_default();
            *count += 1;
            tracing::warn!(%child, count, "a message waited longer than it may and was dropped");
        }
    }

    fn remove_finished(&mut self) -> Result<(), QueueError> {
        while self.segments.len() > 1 {
            let Some((number, segment)) = self.segments.first_key_value() else { break };
            if segment.waiting > 0 {
                break;
            }
            let number = *number;
            self.disk.remove(&name(number))?;
            self.segments.remove(&number);
        }
        Ok(())
    }

    /// Messages that wait and their bytes, by child.
    #[must_use]
    pub fn backlog(&self) -> BTreeMap<DeviceName, (usize, u64)> {
        self.children.iter().map(|(name, child)| (*name, (child.waiting.len(), child.bytes))).collect()
    }

    /// Writes down what was delivered, so that the next start does not send it again.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn close(&mut self) -> Result<(), QueueError> {
        if !self.delivered.is_empty() {
            let id = self.next_id();
            let note = encode_delivered(&std::mem::take(&mut self.delivered));
            self.seal(id, &note)?;
        }
        self.commit()
    }
}

/// With nothing else to write, so many deliveries are worth a write of their own.
const DELIVERED_NOTE_MIN: usize = 256;

fn is_torn(rest: &[u8]) -> bool {
    match rest.first_chunk::<LENGTH_BYTES>() {
        None => true,
        Some(length) => {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            length > ENTRY_BYTES_MAX || rest.len() <= LENGTH_BYTES + length
        }
    }
}

enum Entry {
    Message(Queued),
    Delivered(Vec<EntryId>),
}

/// `kind | received(8) | child length(1) | child | topic length(2) | topic | message`
fn encode_message(queued: &Queued) -> Vec<u8> {
    let (child, topic) = (queued.child.as_str().as_bytes(), queued.topic.as_bytes());
    let mut plain = vec![KIND_MESSAGE];
    plain.extend_from_slice(&queued.received.as_micros().to_be_bytes());
    plain.push(u8::try_from(child.len()).unwrap_or(u8::MAX));
    plain.extend_from_slice(child);
    plain.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
    plain.extend_from_slice(topic);
    plain.extend_from_slice(&queued.message);
    plain
}

/// `kind | segment(8) | offset(8) | …`
fn encode_delivered(ids: &[EntryId]) -> Vec<u8> {
    let numbers = ids.iter().flat_map(|id| [id.segment, id.offset]);
    std::iter::once(KIND_DELIVERED).chain(numbers.flat_map(u64::to_be_bytes)).collect()
}

fn parse(plain: &[u8]) -> Option<Entry> {
    match plain.split_first()? {
        (&KIND_MESSAGE, rest) => {
            let (received, rest) = rest.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first()?;
            let (child, rest) = rest.split_at_checked(usize::from(*length))?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (topic, message) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Some(Entry::Message(Queued {
                child: std::str::from_utf8(child).ok()?.parse().ok()?,
                topic: std::str::from_utf8(topic).ok()?.to_owned(),
                received: Timestamp::from_micros(i64::from_be_bytes(*received)),
                message: message.to_vec(),
            }))
        }
        (&KIND_DELIVERED, rest) => {
            let (words, []) = rest.as_chunks::<8>() else { return None };
            let mut numbers = words.iter().map(|w| u64::from_be_bytes(*w));
            let mut ids = Vec::new();
            while let Some(segment) = numbers.next() {
                ids.push(EntryId { segment, offset: numbers.next()? });
            }
            Some(Entry::Delivered(ids))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
