//! The device's end of a chain.
//!
//! The caller makes each record durable, with the state behind it and a reservation of further numbers, before
//! it sends the record. After a power loss it resumes from the newest durable state and skips what was reserved
//! with a declared gap, so that a number, and with it a nonce, never comes twice.

#[cfg(feature = "hpke")]
mod open;

#[cfg(feature = "hpke")]
pub use open::NewChain;

use thingward_crypto::aead::{KEY_BYTES_MAX, NONCE_BYTES_MAX};
use thingward_crypto::{AeadAlgorithm, Digest, Signer, sha256};
use thingward_model::limits::CHECKPOINT_RECORDS_MAX;
use thingward_model::{Reading, Timestamp};
use zeroize::Zeroizing;

use crate::record::RecordKey;
use crate::statement::{GapReason, Link, Parts, StatementKind, Subject};
use crate::{ChainId, FormatError, SEQUENCE_MAX};

/// Version of the saved state.
const STATE_VERSION: u8 = 1;
/// Length of the saved state in bytes.
pub const STATE_BYTES: usize = 1 + 8 + 4 + KEY_BYTES_MAX + NONCE_BYTES_MAX + 8 + 8 + 32;

/// A chain that a device writes.
#[derive(Clone)]
pub struct ChainWriter {
    subject: Subject,
    chain: ChainId,
    key: RecordKey,
    next_seq: u64,
    unsigned_first: u64,
    head: Digest,
}

/// A record that [`ChainWriter::append`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence number.
    pub seq: u64,
    /// Its length in bytes.
    pub len: usize,
}

impl ChainWriter {
    /// Seals `readings` as the next record into `out`.
    ///
    /// # Errors
    ///
    /// [`FormatError::CheckpointDue`] when as many records as a checkpoint may cover have none; otherwise what
    /// [`RecordKey::seal`] says. The chain is unchanged.
    pub fn append(&mut self, readings: &[Reading<'_>], out: &mut [u8]) -> Result<Appended, FormatError> {
        if self.unsigned() >= CHECKPOINT_RECORDS_MAX {
            return Err(FormatError::CheckpointDue);
        }
        let seq = self.next_seq;
        if seq > SEQUENCE_MAX {
            return Err(FormatError::CheckpointDue);
        }
        let len = self.key.seal(&self.chain, seq, readings, out)?;
        self.head = sha256(&[&self.head, out.get(..len).unwrap_or_default()]);
        self.next_seq = seq + 1;
        Ok(Appended { seq, len })
    }

    /// Signs a checkpoint over the records that have none into `out`; `None` when there are none.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the signer fails or `out` is too small; the chain is unchanged.
    pub fn checkpoint(
        &mut self,
        now: Timestamp,
        signer: &impl Signer,
        out: &mut [u8],
    ) -> Result<Option<usize>, FormatError> {
        if self.unsigned() == 0 {
            return Ok(None);
        }
        let kind =
            StatementKind::Checkpoint { first: self.unsigned_first, last: self.last(), head: self.head };
        let len = self.sign(kind, now, signer, out)?;
        self.unsigned_first = self.next_seq;
        Ok(Some(len))
    }

    /// Declares that the numbers up to `through` were set aside and never used, and goes on behind them.
    ///
    /// # Errors
    ///
    /// As [`Self::checkpoint`]; also [`FormatError::Malformed`] when `through` was used already.
    pub fn skip_reserved(
        &mut self,
        through: u64,
        now: Timestamp,
        signer: &impl Signer,
        out: &mut [u8],
    ) -> Result<usize, FormatError> {
        if through < self.next_seq || through > SEQUENCE_MAX {
            return Err(FormatError::Malformed);
        }
        let next = through + 1;
        let (first, head) = (self.next_seq, self.head);
        let kind =
            StatementKind::Gap { first, last: through, before: head, head, reason: GapReason::PowerLoss };
        let len = self.sign(kind, now, signer, out)?;
        (self.next_seq, self.unsigned_first) = (next, next);
        Ok(len)
    }

    /// Signs that records of this chain were dropped before they were sent: `first` to `last`, with the hashes
    /// in front of and behind them.
    ///
    /// # Errors
    ///
    /// As [`Self::checkpoint`].
    pub fn declare_dropped(
        &self,
        dropped: &Dropped,
        now: Timestamp,
        signer: &impl Signer,
        out: &mut [u8],
    ) -> Result<usize, FormatError> {
        let Dropped { first, last, before, head, reason } = *dropped;
        self.sign(StatementKind::Gap { first, last, before, head, reason }, now, signer, out)
    }

    fn sign(
        &self,
        kind: StatementKind,
        time: Timestamp,
        signer: &impl Signer,
        out: &mut [u8],
    ) -> Result<usize, FormatError> {
        Parts { subject: &self.subject, chain: &self.chain, time, kind: &kind }.sign(signer, out)
    }

    /// Whose chain this is.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Where the chain stands.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { chain: self.chain, last: self.last(), head: self.head }
    }

    /// How many records have no checkpoint.
    #[must_use]
    pub const fn unsigned(&self) -> u64 {
        self.next_seq - self.unsigned_first
    }

    const fn last(&self) -> u64 {
        self.next_seq - 1
    }

    /// The state to save, sealed: it holds the chain's key.
    #[must_use]
    pub fn save(&self) -> Zeroizing<[u8; STATE_BYTES]> {
        let mut state = Zeroizing::new([0; STATE_BYTES]);
        let secret = self.key.expose();
        let cipher = i32::try_from(self.key.algorithm().cose_id()).unwrap_or_default().to_be_bytes();
        let parts: [&[u8]; 7] = [
            &[STATE_VERSION],
            &self.chain,
            &cipher,
            secret.as_ref(),
            &self.next_seq.to_be_bytes(),
            &self.unsigned_first.to_be_bytes(),
            &self.head,
        ];
        let mut rest = state.as_mut_slice();
        for part in parts {
            // All of them are as long as the state.
            let Some((slot, behind)) = rest.split_at_mut_checked(part.len()) else { break };
            slot.copy_from_slice(part);
            rest = behind;
        }
        state
    }

    /// Goes on with a saved chain.
    ///
    /// # Errors
    ///
    /// [`FormatError::UnknownVersion`] or [`FormatError::Malformed`] when the bytes are no saved state.
    pub fn resume(subject: Subject, state: &[u8; STATE_BYTES]) -> Result<Self, FormatError> {
        let mut rest = state.as_slice();
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at_checked(n).ok_or(FormatError::Malformed)?;
            rest = tail;
            Ok::<_, FormatError>(head)
        };
        if take(1)? != [STATE_VERSION] {
            return Err(FormatError::UnknownVersion);
        }
        let malformed = |_| FormatError::Malformed;
        let chain = take(8)?.try_into().map_err(malformed)?;
        let cipher = i32::from_be_bytes(take(4)?.try_into().map_err(malformed)?);
        let cipher = AeadAlgorithm::from_cose_id(i64::from(cipher)).ok_or(FormatError::UnknownVersion)?;
        let secret = take(KEY_BYTES_MAX + NONCE_BYTES_MAX)?.try_into().map_err(malformed)?;
        let next_seq = u64::from_be_bytes(take(8)?.try_into().map_err(malformed)?);
        let unsigned_first = u64::from_be_bytes(take(8)?.try_into().map_err(malformed)?);
        let head = take(32)?.try_into().map_err(malformed)?;
        if unsigned_first == 0 || next_seq < unsigned_first {
            return Err(FormatError::Malformed);
        }
        Ok(Self {
            subject,
            chain,
            key: RecordKey::from_secret(cipher, secret)?,
            next_seq,
            unsigned_first,
            head,
        })
    }
}

/// Records that a device dropped before it sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// First dropped record.
    pub first: u64,
    /// Last dropped record.
    pub last: u64,
    /// The hash in front of the first.
    pub before: Digest,
    /// The hash behind the last.
    pub head: Digest,
    /// Why they were dropped.
    pub reason: GapReason,
}
