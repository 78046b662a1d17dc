//! The reading chain, and the last thing that a device says.

use core::mem::swap;

use thingward_crypto::AeadAlgorithm;
use thingward_model::{Confidentiality, Reading, Timestamp, Value};
use thingward_seal::writer::NewChain;
use thingward_seal::{ChainWriter, FormatError};

use super::{Device, recipient, state_of, subject};
use crate::keys::KeyStore;
use crate::link::{FRAME_OVERHEAD_BYTES, OUTGOING_HEAD_BYTES};
use crate::spool::{EntryKind, PREFIX_BYTES, PushError};
use crate::store::{Flash, OVERHEAD_BYTES};
use crate::thing::Thing;

/// Longest time that a reading waits for a checkpoint, in microseconds: ten seconds.
const UNSIGNED_MICROS_MAX: u32 = 10_000_000;
/// Room for one record or statement, in bytes: what a chip writes is small, but names may be long.
const ITEM_BYTES: usize = 640;
/// Bytes of a frame that are not a reading's when it is given out.
const ENTRY_OVERHEAD_BYTES: usize =
    FRAME_OVERHEAD_BYTES + OUTGOING_HEAD_BYTES + PREFIX_BYTES + OVERHEAD_BYTES;

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// The device is no member yet.
    NotJoined,
    /// It does not know what time it is.
    NoTime,
    /// What waits for the gateway leaves no room.
    Full,
    /// Its memory fails.
    Memory,
    /// Its keys are destroyed.
    Destroyed,
    /// The reading is outside the limits.
    Reading(FormatError),
}

impl From<PushError> for RecordError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => Self::Full,
            PushError::Memory => Self::Memory,
        }
    }
}

impl From<FormatError> for RecordError {
    fn from(error: FormatError) -> Self {
        Self::Reading(error)
    }
}

impl<K: KeyStore, F: Flash, T: Thing> Device<K, F, T> {
    /// The time, when it is known.
    pub const fn now(&self) -> Option<Timestamp> {
        self.clock.now()
    }

    /// Adds readings to the chain. When this returns they are durable, and sent until the gateway has them.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; nothing was taken then.
    #[inline(never)]
    pub fn record(&mut self, readings: &[Reading<'_>]) -> Result<(), RecordError> {
        if self.is_destroyed {
            return Err(RecordError::Destroyed);
        }
        self.clock.now().ok_or(RecordError::NoTime)?;
        if self.chain.is_none() {
            self.open_chain()?;
        }
        self.append(readings)
    }

    #[inline(never)]
    fn append(&mut self, readings: &[Reading<'_>]) -> Result<(), RecordError> {
        let (mut after, mut out) = (self.chain.clone(), [0; ITEM_BYTES]);
        let chain = after.as_mut().ok_or(RecordError::NotJoined)?;
        let is_first = chain.unsigned() == 0;
        let room = out.get_mut(..self.item_bytes_max()).unwrap_or_default();
        let len = chain.append(readings, room)?.len;
        self.push_item(out.get(..len).unwrap_or_default(), &mut after)?;
        if is_first {
            self.unsigned_micros = 0;
        }
        Ok(())
    }

    /// Bytes of an item that a poll can give out: it is read, with what its entry has besides, where it is given out.
    fn item_bytes_max(&self) -> usize {
        usize::from(self.frame_bytes_max).saturating_sub(ENTRY_OVERHEAD_BYTES).min(ITEM_BYTES)
    }

    /// Somebody opened the casing, or attached a debugger. The device says so, signed, and destroys its keys; what it said
    /// is kept in the clear, and sent as long as there is power.
    #[inline(never)]
    pub fn tamper(&mut self) {
        let mut words = [0; crate::store::LAST_WORDS_BYTES];
        let said = self.last_words(&mut words);
        self.keys.destroy();
        self.random.destroy();
        self.store.destroy();
        self.chain = None;
        self.is_destroyed = true;
        if let Some(said) = said {
            // Nothing else is left to be done when the memory fails now.
            let _ = self.store.keep_last_words(words.get(..said).unwrap_or_default());
        }
    }

    /// A reading of the alarm and a checkpoint behind it, as one message.
    #[inline(never)]
    fn last_words(&mut self, out: &mut [u8]) -> Option<usize> {
        let now = self.time();
        let chain = self.chain.as_mut()?;
        let reading = Reading { field: "tamper".parse().ok(), unit: "", time: now, value: Value::Bool(true) };
        let record = chain.append(&[reading], out).ok()?.len;
        let statement = chain.checkpoint(now, &self.keys, out.get_mut(record..)?).ok()??;
        Some(record + statement)
    }

    /// Signs what no checkpoint covers, when it has waited long enough.
    pub(super) fn sign_when_due(&mut self, micros: u32) {
        self.unsigned_micros = self.unsigned_micros.saturating_add(micros);
        let is_due = self.unsigned_micros >= UNSIGNED_MICROS_MAX;
        if is_due && self.chain.as_ref().is_some_and(|chain| chain.unsigned() > 0) {
            // Without room it is tried again when it is due again.
            let _ = self.checkpoint();
            self.unsigned_micros = 0;
        }
    }

    #[inline(never)]
    fn checkpoint(&mut self) -> Result<(), RecordError> {
        let now = self.time();
        let (mut after, mut out) = (self.chain.clone(), [0; ITEM_BYTES]);
        let chain = after.as_mut().ok_or(RecordError::NotJoined)?;
        let Some(len) = chain.checkpoint(now, &self.keys, &mut out)? else { return Ok(()) };
        self.push_item(out.get(..len).unwrap_or_default(), &mut after)
    }

    /// Starts the chain of this device, once.
    #[inline(never)]
    fn open_chain(&mut self) -> Result<(), RecordError> {
        let (mut after, mut out) = (None, [0; ITEM_BYTES]);
        let len = self.start_chain(&mut after, &mut out)?;
        self.push_item(out.get(..len).unwrap_or_default(), &mut after)
    }

    /// Writes the statement that opens it.
    #[inline(never)]
    fn start_chain(&mut self, after: &mut Option<ChainWriter>, out: &mut [u8]) -> Result<usize, RecordError> {
        let now = self.time();
        let join = self.member.as_ref().ok_or(RecordError::NotJoined)?;
        let new = NewChain {
            subject: subject::<T>(join).ok_or(RecordError::Reading(FormatError::Malformed))?,
            confidentiality: Confidentiality::Service,
            recipient: &recipient(join),
            cipher: AeadAlgorithm::AsconAead128,
            previous: None,
        };
        let (chain, len) = ChainWriter::open(&new, now, &self.keys, &mut self.random, out)?;
        *after = Some(chain);
        Ok(len)
    }

    /// Makes an item durable together with the chain behind it, which is this device's from then on: when that fails nobody has
    /// seen the item.
    #[inline(never)]
    fn push_item(&mut self, item: &[u8], after: &mut Option<ChainWriter>) -> Result<(), RecordError> {
        // What was begun has its answer first: a use and its answer stand side by side.
        self.make_ready_for(EntryKind::Telemetry, item.len())?;
        let state = state_of(after);
        self.spool.push(&mut self.store, EntryKind::Telemetry, &[0; 16], &state, &[item])?;
        // What was before is wiped where it falls.
        swap(&mut self.chain, after);
        Ok(())
    }
}
