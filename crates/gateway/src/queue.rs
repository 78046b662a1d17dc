//! Messages of children on their way to the service: sealed on disk, in order per child, with fair shares.
//!
//! Entries of the log are messages, or notes of messages that were delivered; a segment goes when everything in it is, and in all
//! before it. Messages that are never delivered would keep the whole log: they are carried to its end when it grows too long.
//! What a crash cut off was never acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use thingward_agent::disk::Disk;
use thingward_agent::segments::{Extent, Naming, Place, SegmentError, SegmentLog};
use thingward_crypto::sealed::SealingKey;
use thingward_model::{DeviceName, Link, Timestamp};

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
const KIND_MESSAGE: u8 = 1;
const KIND_DELIVERED: u8 = 2;
/// As a message, of a chip on a serial line.
const KIND_SERIAL: u8 = 3;
/// With the code of any other link: as a message.
const KIND_LINK: u8 = 0x80;

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
    /// A message that waits cannot be read back now. What its child said behind it waits too; others go on.
    #[error("a message of {child} at byte {offset} of queue file {file} cannot be read back: {source}")]
    Unreadable {
        /// Who sent it.
        child: DeviceName,
        /// The file's name.
        file: String,
        /// Where.
        offset: u64,
        /// Why.
        source: Box<SegmentError>,
    },
    /// The sealing key does not work.
    #[error("sealing key does not work")]
    Crypto,
}

impl From<SegmentError> for QueueError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Disk(e) => Self::Disk(e),
            SegmentError::Damaged { file, offset } => Self::Damaged { file, offset },
            SegmentError::Crypto => Self::Crypto,
        }
    }
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
    /// How it came.
    pub link: Link,
    /// Its bytes.
    pub message: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// What it is handed out as: where it stood first since the start.
    name: Place,
    /// Where it stands.
    extent: Extent,
    received: Timestamp,
}

impl Waiting {
    const fn new(extent: Extent, received: Timestamp) -> Self {
        Self { name: extent.place, extent, received }
    }
}

#[derive(Default)]
struct Child {
    waiting: VecDeque<Waiting>,
    /// Entries at the front that were handed out and are not delivered yet.
    handed: usize,
    /// Of what waits, and of what the next commit writes.
    bytes: u64,
    /// The one that could not be read back when it was next.
    unreadable: Option<Place>,
    /// That one is not tried again before [`Queue::look_again`].
    is_passed_over: bool,
}

/// The queue of a gateway.
pub struct Queue<D> {
    log: SegmentLog<D>,
    limits: QueueLimits,
    /// Children with a message that waits, or is to be written.
    children: BTreeMap<DeviceName, Child>,
    /// Messages that the next commit writes.
    pending: Vec<(DeviceName, Waiting)>,
    /// Delivered since the last note of them.
    delivered: Vec<Place>,
    /// Whose turn it is.
    turn: Option<DeviceName>,
    /// Messages that became too old, by child, since the start.
    pub expired: BTreeMap<DeviceName, u64>,
}

impl<D: Disk> Queue<D> {
    /// Opens the queue with what waits in it.
    ///
    /// # Errors
    ///
    /// [`QueueError`].
    pub fn open(disk: D, key: SealingKey, limits: QueueLimits) -> Result<Self, QueueError> {
        let segment_bytes = (limits.bytes_max / 16).clamp(1, SEGMENT_BYTES_MAX);
        let naming = Naming { extension: "queue", label: "queue".to_owned(), segment_bytes };
        let mut messages = BTreeMap::new();
        let (log, _) = SegmentLog::open(disk, key, naming, |extent, plain| {
            match parse(plain) {
                None => return false,
                Some(Entry::Message(Queued { child, received, .. })) => {
                    messages.insert(extent.place, (child, Waiting::new(extent, received)));
                }
                // It stands behind what it names.
                Some(Entry::Delivered(places)) => places.iter().for_each(|place| {
                    messages.remove(place);
                }),
            }
            true
        })?;
        let (children, expired) = Default::default();
        let (pending, delivered) = Default::default();
        let mut queue = Self { log, limits, children, pending, delivered, turn: None, expired };
        for (child, waiting) in messages.into_values() {
            let entry = queue.children.entry(child).or_default();
            entry.bytes += waiting.extent.len as u64;
            entry.waiting.push_back(waiting);
        }
        queue.remove_finished()?;
        Ok(queue)
    }

    /// Takes a message. It is durable only behind the next [`Self::commit`].
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] when the child's share or the queue is used up.
    pub fn push(&mut self, queued: &Queued) -> Result<(), QueueError> {
        let size = (queued.message.len() + queued.topic.len() + 256) as u64;
        let own = self.children.get(&queued.child).map_or(0, |c| c.bytes);
        let share = self.limits.bytes_max / SHARES_MIN.max(self.children.len() as u64 + 1);
        if own + size > share || self.log.bytes() + size > self.limits.bytes_max {
            return Err(QueueError::Full);
        }
        let extent = self.log.push(&encode_message(queued))?;
        self.children.entry(queued.child).or_default().bytes += extent.len as u64;
        self.pending.push((queued.child, Waiting::new(extent, queued.received)));
        Ok(())
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
        self.commit_all()
    }

    /// As [`Self::commit`], and writes down what was delivered, so that the next start does not send it again.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn commit_all(&mut self) -> Result<(), QueueError> {
        if !self.delivered.is_empty() {
            self.log.push(&encode_delivered(&self.delivered))?;
        }
        let written = self.log.commit();
        for (name, waiting) in std::mem::take(&mut self.pending) {
            let Some(child) = self.children.get_mut(&name) else { continue };
            if written.is_ok() {
                child.waiting.push_back(waiting);
            } else {
                child.bytes -= waiting.extent.len as u64;
            }
        }
        self.children.retain(|_, child| child.bytes > 0);
        written?;
        self.delivered.clear();
        self.remove_finished()
    }

    /// The next message that was not handed out, of a child that is not held back: one of each child in turn, in
    /// order within a child.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unreadable`], once for each message that cannot be read back. Its child is passed over until
    /// [`Self::look_again`]; the next call goes on with others.
    pub fn next_message(
        &mut self,
        held: &BTreeSet<DeviceName>,
    ) -> Result<Option<(Place, Queued)>, QueueError> {
        while let Some((who, Waiting { name, extent, .. })) = self.whose_turn(held) {
            self.turn = Some(who);
            let read = self.read(who, extent);
            let Some(child) = self.children.get_mut(&who) else { continue };
            match read {
                Ok(queued) => {
                    child.handed += 1;
                    child.unreadable = None;
                    return Ok(Some((name, queued)));
                }
                Err(error) => {
                    child.is_passed_over = true;
                    if child.unreadable.replace(name) != Some(name) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next child with a message to hand out.
    fn whose_turn(&self, held: &BTreeSet<DeviceName>) -> Option<(DeviceName, Waiting)> {
        let ready = |(name, child): (&DeviceName, &Child)| {
            let next =
                child.waiting.get(child.handed).filter(|_| !child.is_passed_over && !held.contains(name));
            next.map(|waiting| (*name, *waiting))
        };
        let after = self.turn;
        let mut behind = self.children.iter().filter(|(name, _)| after.is_none_or(|a| **name > a));
        behind.find_map(ready).or_else(|| self.children.iter().find_map(ready))
    }

    fn read(&self, child: DeviceName, extent: Extent) -> Result<Queued, QueueError> {
        let Place { segment, offset } = extent.place;
        let file = self.log.naming().file(segment);
        let source = match self.log.read(extent) {
            Ok(plain) => match parse(&plain) {
                Some(Entry::Message(queued)) => return Ok(queued),
                _ => SegmentError::Damaged { file: file.clone(), offset },
            },
            Err(error) => error,
        };
        Err(QueueError::Unreadable { child, file, offset, source: Box::new(source) })
    }

    /// What could not be read back is tried again.
    pub fn look_again(&mut self) {
        self.children.values_mut().for_each(|child| child.is_passed_over = false);
    }

    /// A message has arrived at the service, or was refused there for good. It may have become too old meanwhile.
    pub fn done(&mut self, child: &DeviceName, name: Place) {
        let Some(entry) = self.children.get_mut(child) else { return };
        let Some(at) = entry.waiting.iter().position(|w| w.name == name) else { return };
        let Some(waiting) = entry.waiting.remove(at) else { return };
        entry.bytes -= waiting.extent.len as u64;
        if at < entry.handed {
            entry.handed -= 1;
        }
        if entry.bytes == 0 {
            self.children.remove(child);
        }
        self.delivered.push(waiting.extent.place);
    }

    /// Lets go of messages that waited longer than they may, and counts them by child. That includes those that were handed out,
    /// and are refused for the time being again and again.
    pub fn expire(&mut self, now: Timestamp) {
        let age = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let mut old = Vec::new();
        for (child, entry) in &self.children {
            let expired = entry.waiting.iter().take_while(|w| w.received.plus_micros(age) < now);
            old.extend(expired.map(|w| (*child, w.name)));
        }
        for (child, name) in old {
            self.done(&child, name);
            let count = self.expired.entry(child).or_default();
            *count += 1;
            tracing::warn!(%child, count, "a message waited longer than it may and was dropped");
        }
    }

    /// When the log is over half of its bound, and a few messages keep much of it that was delivered: carries all that waits of
    /// their children to its end, and removes what is free then.
    ///
    /// # Errors
    ///
    /// [`QueueError`]. Everything that waited waits; there is just no more room than before.
    pub fn make_room(&mut self) -> Result<(), QueueError> {
        if self.log.bytes() <= self.limits.bytes_max / 2 || !self.pending.is_empty() {
            return Ok(());
        }
        let children = self.who_holds_up();
        if !children.is_empty() {
            self.carry(&children)?;
        }
        self.remove_finished()
    }

    /// The children with the oldest messages, as many as it takes until carrying them frees twice what it writes, and no more than
    /// one child's share; nobody when that is not to be had.
    fn who_holds_up(&self) -> Vec<DeviceName> {
        let oldest = |(name, child): (&DeviceName, &Child)| {
            child.waiting.front().map(|waiting| (waiting.extent.place.segment, *name, child.bytes))
        };
        let mut by_age: Vec<_> = self.children.iter().filter_map(oldest).collect();
        by_age.sort_unstable();
        let needed_then = by_age.iter().skip(1).map(|(segment, ..)| Some(*segment)).chain([None]);
        let mut carried = 0;
        let last = by_age.iter().zip(needed_then).position(|((_, _, bytes), needed)| {
            carried += bytes;
            carried <= self.limits.bytes_max / SHARES_MIN && carried * 2 <= self.log.bytes_before(needed)
        });
        by_age.into_iter().take(last.map_or(0, |last| last + 1)).map(|(_, name, _)| name).collect()
    }

    /// Writes what waits of these children once more, in its order, and that it has arrived where it stood: after a crash all of
    /// that is there, or nothing.
    fn carry(&mut self, children: &[DeviceName]) -> Result<(), QueueError> {
        let of_children = children.iter().filter_map(|name| self.children.get(name));
        let old: Vec<_> =
            of_children.flat_map(|child| &child.waiting).map(|waiting| waiting.extent).collect();
        let places: Vec<_> =
            old.iter().map(|extent| extent.place).chain(self.delivered.iter().copied()).collect();
        let notes: Vec<_> = places.chunks(NOTE_PLACES_MAX).map(encode_delivered).collect();
        let mut new = self.log.copy(&old, &notes)?.into_iter();
        self.delivered.clear();
        for name in children {
            let Some(child) = self.children.get_mut(name) else { continue };
            for (waiting, copy) in child.waiting.iter_mut().zip(new.by_ref()) {
                child.bytes = child.bytes - waiting.extent.len as u64 + copy.len as u64;
                waiting.extent = copy;
            }
        }
        tracing::info!(messages = old.len(), children = children.len(), "messages that wait were carried on");
        Ok(())
    }

    fn remove_finished(&mut self) -> Result<(), QueueError> {
        let oldest = self.children.values().filter_map(|child| child.waiting.front());
        let needed = oldest.map(|waiting| waiting.extent.place.segment).min();
        Ok(self.log.remove_before(needed)?)
    }

    /// Messages that wait and their bytes, by child.
    #[must_use]
    pub fn backlog(&self) -> BTreeMap<DeviceName, (usize, u64)> {
        self.children.iter().map(|(name, child)| (*name, (child.waiting.len(), child.bytes))).collect()
    }
}

/// With nothing else to write, so many deliveries are worth a write of their own.
const DELIVERED_NOTE_MIN: usize = 256;
/// Most of them in one note.
const NOTE_PLACES_MAX: usize = 4096;

enum Entry {
    Message(Queued),
    Delivered(Vec<Place>),
}

const fn kind_of(link: Link) -> u8 {
    match link {
        Link::MutualTls => KIND_MESSAGE,
        Link::Serial => KIND_SERIAL,
        link => KIND_LINK | link.code(),
    }
}

fn link_of(kind: u8) -> Option<Link> {
    match kind {
        KIND_MESSAGE => Some(Link::MutualTls),
        KIND_SERIAL => Some(Link::Serial),
        kind if kind & KIND_LINK != 0 => Link::from_code(kind & !KIND_LINK),
        _ => None,
    }
}

/// `kind | received(8) | child length(1) | child | topic length(2) | topic | message`
fn encode_message(queued: &Queued) -> Vec<u8> {
    let (child, topic) = (queued.child.as_str().as_bytes(), queued.topic.as_bytes());
    let mut plain = vec![kind_of(queued.link)];
    plain.extend_from_slice(&queued.received.as_micros().to_be_bytes());
    plain.push(u8::try_from(child.len()).unwrap_or(u8::MAX));
    plain.extend_from_slice(child);
    plain.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
    plain.extend_from_slice(topic);
    plain.extend_from_slice(&queued.message);
    plain
}

/// `kind | segment(8) | offset(8) | …`
fn encode_delivered(places: &[Place]) -> Vec<u8> {
    let numbers = places.iter().flat_map(|place| [place.segment, place.offset]);
    std::iter::once(KIND_DELIVERED).chain(numbers.flat_map(u64::to_be_bytes)).collect()
}

fn parse(plain: &[u8]) -> Option<Entry> {
    match plain.split_first()? {
        (kind, rest) if *kind != KIND_DELIVERED => {
            let link = link_of(*kind)?;
            let (received, rest) = rest.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first()?;
            let (child, rest) = rest.split_at_checked(usize::from(*length))?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (topic, message) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Some(Entry::Message(Queued {
                child: std::str::from_utf8(child).ok()?.parse().ok()?,
                topic: std::str::from_utf8(topic).ok()?.to_owned(),
                received: Timestamp::from_micros(i64::from_be_bytes(*received)),
                link,
                message: message.to_vec(),
            }))
        }
        (&KIND_DELIVERED, rest) => {
            let (words, []) = rest.as_chunks::<8>() else { return None };
            let mut numbers = words.iter().map(|w| u64::from_be_bytes(*w));
            let mut places = Vec::new();
            while let Some(segment) = numbers.next() {
                places.push(Place { segment, offset: numbers.next()? });
            }
            Some(Entry::Delivered(places))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
