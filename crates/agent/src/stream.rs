//! One stream of the device: its chain and its buffer.
//!
//! Readings gather in a message; a commit makes the message durable, and only then may it be sent. Messages
//! leave in order: the chain's open statement, a declared gap if there is one, then what the buffer holds.

pub mod outbox;

use std::time::Duration;

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{AeadAlgorithm, Digest, RecipientPublicKey, Signer, system_rng};
use thingward_model::limits::{CHECKPOINT_RECORDS_MAX, ITEMS_PER_MESSAGE_MAX, RECORD_BYTES_MAX};
use thingward_model::{Confidentiality, Reading, Timestamp};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::writer::Dropped;
use thingward_seal::{ChainWriter, FormatError, GapReason, Item, Items, NewChain, StatementKind, Subject};

use crate::disk::Disk;
use crate::spool::{Covers, EntryNumber, Saved, Spool, SpoolError, SpoolLimits};

/// A signer that threads share.
pub type SharedSigner = std::sync::Arc<dyn Signer + Send + Sync>;

/// How a stream is sealed, signed and bounded.
#[derive(Clone)]
pub struct StreamSettings {
    /// For whom.
    pub confidentiality: Confidentiality,
    /// That recipient's key.
    pub recipient: RecipientPublicKey,
    /// The cipher of the records.
    pub cipher: AeadAlgorithm,
    /// Bounds of the buffer.
    pub limits: SpoolLimits,
    /// Longest time that records wait for a checkpoint.
    pub checkpoint_every: Duration,
}

/// Why a reading was not taken, or a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The buffer failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A reading is outside the limits, or the signer failed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The settings ask for another recipient than the chain has: readings would go on being sealed for `is`.
    #[error(
        "the stream is sealed for the {is} since its start, and is now wanted for the {wanted}; use a new stream"
    )]
    Confidentiality {
        /// As the chain began.
        is: Confidentiality,
        /// As the settings have it.
        wanted: Confidentiality,
    },
}

impl From<std::io::Error> for StreamError {
    fn from(e: std::io::Error) -> Self {
        Self::Spool(SpoolError::Disk(e))
    }
}

/// Names a message of the stream until it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageId {
    /// The chain's open statement.
    Open,
    /// The declared gap, by its last record.
    Gap(u64),
    /// A message of the buffer.
    Entry(EntryNumber),
}

/// How many numbers are set aside at a time. A message holds far fewer records.
const RESERVED: u64 = 1024;
/// A message is committed before it would pass this, so that it fits a packet with room to spare.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const CHAIN_FILE: &str = "chain";

/// One stream: see the module.
pub struct Stream<D> {
    spool: Spool<D>,
    writer: ChainWriter,
    signer: SharedSigner,
    key: SealingKey,
    settings: StreamSettings,
    front: FrontMatter,
    reserved_through: u64,
    note: u64,
    message: Message,
    checkpointed_at: Timestamp,
    /// The next entry of the buffer to hand out.
    next_entry: EntryNumber,
}

/// What leaves before the buffer's messages, saved beside them.
#[derive(Default)]
struct FrontMatter {
    /// The buffer's newest segment, so that its loss is noticed; `None` before the first.
    newest_segment: Option<u64>,
    open: Vec<u8>,
    open_delivered: bool,
    open_sent: bool,
    /// The last record that was dropped. Entries up to it may still be in the newest segment.
    dropped_through: u64,
    /// Over dropped records, until it is delivered.
    gap: Option<Gap>,
}

struct Gap {
    sent: bool,
    dropped: Dropped,
    statement: Vec<u8>,
}

/// The message that gathers.
struct Message {
    bytes: Vec<u8>,
    items: usize,
    first: u64,
    before: Digest,
    oldest: Option<Timestamp>,
}

impl Message {
    fn behind(writer: &ChainWriter) -> Self {
        let link = writer.link();
        Self { bytes: Vec::new(), items: 0, first: link.last + 1, before: link.head, oldest: None }
    }
}

impl<D: Disk> Stream<D> {
    /// Opens the stream with what waits in its buffer, or starts its first chain.
    ///
    /// # Errors
    ///
    /// [`StreamError`].
    pub fn open(
        disk: D,
        subject: Subject,
        settings: StreamSettings,
        key: SealingKey,
        signer: SharedSigner,
        now: Timestamp,
    ) -> Result<Self, StreamError> {
        let (mut spool, saved) = Spool::open(disk, key.clone(), subject.stream.as_str(), settings.limits)?;
        let front = read_front(spool.disk_mut(), &key)?;
        if let Some(number) = front.as_ref().and_then(|f| f.newest_segment)
            && spool.newest_segment() < Some(number)
        {
            return Err(SpoolError::Missing { file: spool.segment_file(number) }.into());
        }
        let mut stream = match (saved, front) {
            (Some(saved), Some(front)) => {
                check_confidentiality(&front.open, settings.confidentiality)?;
                let writer = ChainWriter::resume(subject, &saved.state)?;
                let reserved_through = saved.reserved_through;
                let message = Message::behind(&writer);
                Self {
                    spool,
                    writer,
                    signer,
                    key,
                    settings,
                    front,
                    reserved_through,
                    note: saved.note,
                    message,
                    checkpointed_at: now,
                    next_entry: 0,
                }
            }
            (Some(_), None) => return Err(SpoolError::Missing { file: CHAIN_FILE.to_owned() }.into()),
            // With no entry the chain never got further than its open statement, which nobody has seen.
            (None, _) => Self::start(spool, subject, settings, key, signer, now)?,
        };
        stream.spool.drop_oldest(stream.front.dropped_through)?;
        stream.recover(now)?;
        Ok(stream)
    }

    fn start(
        mut spool: Spool<D>,
        subject: Subject,
        settings: StreamSettings,
        key: SealingKey,
        signer: SharedSigner,
        now: Timestamp,
    ) -> Result<Self, StreamError> {
        let new = NewChain {
            subject,
            confidentiality: settings.confidentiality,
            recipient: &settings.recipient,
            cipher: settings.cipher,
            previous: None,
        };
        let mut out = [0; STATEMENT_BYTES_MAX];
        let (writer, len) = ChainWriter::open(&new, now, &signer.as_ref(), &mut system_rng(), &mut out)?;
        let open = out.get(..len).unwrap_or_default().to_vec();
        let front = FrontMatter { open, ..FrontMatter::default() };
        write_front(spool.disk_mut(), &key, &front, None)?;
        let message = Message::behind(&writer);
        let reserved_through = 0;
        Ok(Self {
            spool,
            writer,
            signer,
            key,
            settings,
            front,
            reserved_through,
            note: 0,
            message,
            checkpointed_at: now,
            next_entry: 0,
        })
    }

    /// Skips numbers that were set aside before an unclean stop, and sets new ones aside.
    fn recover(&mut self, now: Timestamp) -> Result<(), StreamError> {
        if self.reserved_through > self.writer.link().last {
            let mut out = [0; STATEMENT_BYTES_MAX];
            let through = self.reserved_through;
            let len = self.writer.skip_reserved(through, now, &self.signer.as_ref(), &mut out)?;
            self.message.bytes.extend_from_slice(out.get(..len).unwrap_or_default());
            self.message.items += 1;
        }
        self.write_message(now, RESERVED)
    }

    /// Adds a record with these readings to the gathering message, which is committed first when it is full.
    /// Nothing is durable before [`Self::commit`].
    ///
    /// # Errors
    ///
    /// [`StreamError`]; the readings were not taken.
    pub fn push(&mut self, readings: &[Reading<'_>], now: Timestamp) -> Result<(), StreamError> {
        // One place in the message stays free for a checkpoint.
        let is_full = self.message.items + 1 >= ITEMS_PER_MESSAGE_MAX
            || self.message.bytes.len() + RECORD_BYTES_MAX + STATEMENT_BYTES_MAX > MESSAGE_BYTES_MAX;
        if is_full {
            self.commit_signed(now)?;
        }
        let mut out = [0; RECORD_BYTES_MAX + 32];
        let made = self.writer.append(readings, &mut out)?;
        self.message.bytes.extend_from_slice(out.get(..made.len).unwrap_or_default());
        self.message.items += 1;
        // When it came, not when it was measured: what is replayed from an archive has not waited yet.
        self.message.oldest = Some(self.message.oldest.map_or(now, |oldest| oldest.min(now)));
        Ok(())
    }

    /// Leaves a note that becomes durable with everything pushed so far, neither earlier nor later. Whoever reads
    /// readings from somewhere keeps its place there in it.
    pub const fn set_note(&mut self, note: u64) {
        self.note = note;
    }

    /// The note that was left last; after a start, the one that is durable. 0 when there never was one.
    #[must_use]
    pub const fn note(&self) -> u64 {
        self.note
    }

    /// The note of the newest message that has arrived; `None` when none has since the stream was opened.
    #[must_use]
    pub const fn delivered_note(&self) -> Option<u64> {
        self.spool.delivered_note()
    }

    /// Makes everything pushed so far durable; signs a checkpoint when one is due.
    ///
    /// # Errors
    ///
    /// [`StreamError`]; what was pushed is kept and the next commit tries again.
    pub fn commit(&mut self, now: Timestamp) -> Result<(), StreamError> {
        // A clock that was set back must not put off the next checkpoint, by more than one interval.
        let since = Duration::from_micros(now.micros_since(self.checkpointed_at).unsigned_abs());
        let is_due = since >= self.settings.checkpoint_every
            || self.writer.unsigned() + ITEMS_PER_MESSAGE_MAX as u64 > CHECKPOINT_RECORDS_MAX;
        if is_due {
            return self.commit_signed(now);
        }
        if self.message.items == 0 { Ok(()) } else { self.write_message(now, RESERVED) }
    }

    /// What has to happen also when no readings come: a checkpoint that is due, and dropping what is too old.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn tick(&mut self, now: Timestamp) -> Result<(), StreamError> {
        self.commit(now)?;
        self.enforce_limits(now)
    }

    /// As [`Self::commit`], with a checkpoint over all that has none.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn commit_signed(&mut self, now: Timestamp) -> Result<(), StreamError> {
        let mut out = [0; STATEMENT_BYTES_MAX];
        if let Some(len) = self.writer.checkpoint(now, &self.signer.as_ref(), &mut out)? {
            self.message.bytes.extend_from_slice(out.get(..len).unwrap_or_default());
            self.message.items += 1;
        }
        self.checkpointed_at = now;
        if self.message.items == 0 { Ok(()) } else { self.write_message(now, RESERVED) }
    }

    /// Stops cleanly: everything is signed and durable, and no number stays set aside.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn close(&mut self, now: Timestamp) -> Result<(), StreamError> {
        self.commit_signed(now)?;
        self.write_message(now, 0)
    }

    fn write_message(&mut self, now: Timestamp, reserve: u64) -> Result<(), StreamError> {
        let link = self.writer.link();
        let covers = Covers {
            first: self.message.first,
            last: link.last,
            before: self.message.before,
            head: link.head,
            oldest: self.message.oldest.unwrap_or(now),
        };
        let reserved_through = link.last + reserve;
        let saved = Saved { state: self.writer.save(), reserved_through, note: self.note };
        self.spool.append(&covers, &saved, &self.message.bytes)?;
        self.reserved_through = reserved_through;
        self.message = Message::behind(&self.writer);
        if self.front.newest_segment != self.spool.newest_segment() {
            self.write_front()?;
        }
        self.enforce_limits(now)
    }

    /// Saves what leaves before the buffer's messages, and which segment must not be missing.
    fn write_front(&mut self) -> Result<(), SpoolError> {
        let newest_segment = self.spool.newest_segment();
        write_front(self.spool.disk_mut(), &self.key, &self.front, newest_segment)?;
        self.front.newest_segment = newest_segment;
        Ok(())
    }

    /// Drops what is over the bounds: declares the gap durably first.
    fn enforce_limits(&mut self, now: Timestamp) -> Result<(), StreamError> {
        // What a failed write left takes no room of others.
        self.spool.remove_finished()?;
        while let Some(excess) = self.spool.excess(now) {
            let dropped = match &self.front.gap {
                // The gap grows until it is delivered.
                Some(gap) => Dropped { first: gap.dropped.first, before: gap.dropped.before, ..excess },
                None => excess,
            };
            let mut out = [0; STATEMENT_BYTES_MAX];
            let len = self.writer.declare_dropped(&dropped, now, &self.signer.as_ref(), &mut out)?;
            let statement = out.get(..len).unwrap_or_default().to_vec();
            self.front.dropped_through = dropped.last;
            self.front.gap = Some(Gap { sent: false, dropped, statement });
            self.write_front()?;
            self.spool.drop_oldest(dropped.last)?;
            tracing::warn!(stream = %self.writer.subject().stream, first = dropped.first, last = dropped.last,
                reason = dropped.reason.as_str(), "readings dropped from the buffer");
        }
        Ok(())
    }

    /// Hands the open statement out again. A service that knows it takes no notice; for one that was restored from
    /// before it, or behind a gateway that lost it, nothing of the chain is worth anything without it.
    pub const fn send_open_again(&mut self) {
        self.front.open_sent = false;
    }

    /// Hands out again everything that was not delivered, and the open statement in front of it.
    pub fn send_all_again(&mut self) {
        self.send_open_again();
        if let Some(gap) = &mut self.front.gap {
            gap.sent = false;
        }
        self.next_entry = 0;
    }

    /// The next durable message that was not handed out yet, starting with the open statement; `None` when there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when it cannot be read back.
    pub fn next_message(&mut self) -> Result<Option<(MessageId, Vec<u8>)>, StreamError> {
        if !self.front.open_sent {
            self.front.open_sent = true;
            return Ok(Some((MessageId::Open, self.front.open.clone())));
        }
        if let Some(gap) = self.front.gap.as_mut().filter(|g| !g.sent) {
            gap.sent = true;
            return Ok(Some((MessageId::Gap(gap.dropped.last), gap.statement.clone())));
        }
        let message = self.spool.message(self.next_entry)?;
        Ok(message.map(|(number, payload)| {
            self.next_entry = number + 1;
            (MessageId::Entry(number), payload)
        }))
    }

    /// A message has arrived, and with it all before it.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when that cannot be saved; the message will then be sent again after a restart, which
    /// does no harm.
    pub fn delivered(&mut self, id: MessageId) -> Result<(), StreamError> {
        match id {
            MessageId::Open if self.front.open_delivered => return Ok(()),
            MessageId::Open => self.front.open_delivered = true,
            MessageId::Gap(last) => {
                if self.front.gap.as_ref().is_none_or(|g| g.dropped.last != last) {
                    return Ok(());
                }
                self.front.gap = None;
            }
            MessageId::Entry(number) => return Ok(self.spool.delivered(number)?),
        }
        Ok(self.write_front()?)
    }

    /// Messages that wait, and the bytes they take on disk.
    #[must_use]
    pub fn backlog(&self) -> (usize, u64) {
        (self.spool.len() + usize::from(!self.front.open_delivered), self.spool.bytes())
    }

    /// Whether everything durable has been delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.front.open_delivered && self.front.gap.is_none() && self.spool.is_empty()
    }
}

/// Whether the chain that starts with this statement is sealed for whom it should be.
fn check_confidentiality(open: &[u8], wanted: Confidentiality) -> Result<(), StreamError> {
    let Some(Item::Statement(signed)) = Items::new(open).next().transpose()? else {
        return Err(FormatError::Malformed.into());
    };
    match signed.claimed_unverified().kind {
        StatementKind::Open { confidentiality: is, .. } if is != wanted => {
            Err(StreamError::Confidentiality { is, wanted })
        }
        StatementKind::Open { .. } => Ok(()),
        _ => Err(FormatError::Malformed.into()),
    }
}

const FRONT_VERSION: u8 = 2;

/// `version | open delivered | segments that must be there, or have been (8) | dropped through (8) | open | gap, if
/// there is one`
fn write_front(
    disk: &mut impl Disk,
    key: &SealingKey,
    front: &FrontMatter,
    newest_segment: Option<u64>,
) -> Result<(), SpoolError> {
    let mut plain = vec![FRONT_VERSION, u8::from(front.open_delivered)];
    plain.extend_from_slice(&newest_segment.map_or(0, |number| number + 1).to_be_bytes());
    plain.extend_from_slice(&front.dropped_through.to_be_bytes());
    let mut put = |bytes: &[u8]| {
        plain.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        plain.extend_from_slice(bytes);
    };
    put(&front.open);
    if let Some(Gap { dropped, statement, .. }) = &front.gap {
        put(&dropped.first.to_be_bytes());
        put(&dropped.last.to_be_bytes());
        put(&dropped.before);
        put(&dropped.head);
        put(&[u8::from(dropped.reason == GapReason::TooOld)]);
        put(statement);
    }
    let sealed = key.seal(CHAIN_FILE.as_bytes(), &plain).map_err(|_| SpoolError::Crypto)?;
    Ok(disk.replace(CHAIN_FILE, &sealed)?)
}

fn read_front(disk: &mut impl Disk, key: &SealingKey) -> Result<Option<FrontMatter>, SpoolError> {
    let Some(sealed) = disk.read(CHAIN_FILE)? else { return Ok(None) };
    let damaged = || SpoolError::Damaged { file: CHAIN_FILE.to_owned(), offset: 0 };
    let plain = key.open(CHAIN_FILE.as_bytes(), &sealed).map_err(|_| damaged())?;
    parse_front(&plain).map(Some).ok_or_else(damaged)
}

fn parse_front(plain: &[u8]) -> Option<FrontMatter> {
    let [FRONT_VERSION, delivered, rest @ ..] = plain else { return None };
    let (segments, rest) = rest.split_first_chunk::<8>()?;
    let newest_segment = u64::from_be_bytes(*segments).checked_sub(1);
    let (dropped_through, mut rest) = rest.split_first_chunk::<8>()?;
    let dropped_through = u64::from_be_bytes(*dropped_through);
    let mut take = || {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (bytes, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = tail;
        Some(bytes)
    };
    let open = take()?.to_vec();
    let gap = match take() {
        None => None,
        Some(first) => {
            let first = u64::from_be_bytes(first.try_into().ok()?);
            let last = u64::from_be_bytes(take()?.try_into().ok()?);
            let (before, head) = (take()?.try_into().ok()?, take()?.try_into().ok()?);
            let reason = if take()? == [1] { GapReason::TooOld } else { GapReason::BufferFull };
            let statement = take()?.to_vec();
            let dropped = Dropped { first, last, before, head, reason };
            Some(Gap { sent: false, dropped, statement })
        }
    };
    let open_delivered = *delivered == 1;
    Some(FrontMatter { newest_segment, open, open_delivered, open_sent: false, dropped_through, gap })
}

#[cfg(test)]
mod tests;
