//! The service's end of a chain: what it knows of one, and what it makes of the next item.
//!
//! Nothing a peer sends can stop a chain for good: good data before and after a violation is kept, the
//! violation is named, and records that no signature will ever cover stay without one.

use thingward_crypto::{Digest, sha256};
use thingward_model::limits::{CHECKPOINT_RECORDS_MAX, RESENT_RECORDS_MAX};

use crate::ChainId;
use crate::record::Record;
use crate::statement::{GapReason, Link, SignedStatement, Statement, StatementKind};

/// What is wrong with an item, in the words that findings use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// Records are missing and no gap was declared.
    Gap,
    /// An old item came again, long after its time.
    Replay,
    /// A missing record came after later ones.
    Reordering,
    /// Two different records have the same place in one chain.
    Fork,
    /// The chain's end is missing: a signed statement knows of records that never came.
    Truncation,
    /// The statement's signature is not by a key of this device.
    WrongSigner,
    /// The statement is about another tenant, device or stream than it came from.
    WrongSubject,
    /// The signed hash is not the hash of what was received.
    CheckpointMismatch,
    /// The record does not open with the chain's key.
    Forged,
    /// No open statement was seen for the record's chain.
    UnknownChain,
    /// A stream started a new chain without saying where its old one ended.
    Restart,
    /// More records than a checkpoint may cover came without one.
    CheckpointOverdue,
    /// The bytes are no chain item.
    Malformed,
    /// The version or algorithm is not known.
    UnknownVersion,
}

impl Violation {
    /// All violations.
    pub const ALL: [Self; 14] = [
        Self::Gap,
        Self::Replay,
        Self::Reordering,
        Self::Fork,
        Self::Truncation,
        Self::WrongSigner,
        Self::WrongSubject,
        Self::CheckpointMismatch,
        Self::Forged,
        Self::UnknownChain,
        Self::Restart,
        Self::CheckpointOverdue,
        Self::Malformed,
        Self::UnknownVersion,
    ];

    /// The word that findings, metrics and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Replay => "replay",
            Self::Reordering => "reordering",
            Self::Fork => "fork",
            Self::Truncation => "truncation",
            Self::WrongSigner => "wrong-signer",
            Self::WrongSubject => "wrong-subject",
            Self::CheckpointMismatch => "checkpoint-mismatch",
            Self::Forged => "forged",
            Self::UnknownChain => "unknown-chain",
            Self::Restart => "restart",
            Self::CheckpointOverdue => "checkpoint-overdue",
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown-version",
        }
    }
}

/// What was kept under a record's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// The same readings.
    Same,
    /// Other readings.
    Other,
    /// Nothing, or nobody remembers.
    Unknown,
}

/// What was made of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordVerdict {
    /// The next record of an unbroken chain: keep it; a checkpoint will cover it.
    Linked,
    /// Keep it, but no signature will cover it; a new violation comes with it when there is one.
    Unlinked(Option<Violation>),
    /// It was kept before: change nothing.
    Duplicate,
    /// Keep nothing of it.
    Refused(Violation),
}

/// What was made of a verified checkpoint or gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementVerdict {
    /// It matches what was received: records up to its end are device-signed, save the exceptions.
    Signed,
    /// It declares a gap, and what was received in front of the gap matches.
    GapDeclared {
        /// How many records will not come.
        missing: u64,
        /// Why.
        reason: GapReason,
    },
    /// The chain goes on from it, but what came since the last match stays unsigned.
    Reanchored(Violation),
    /// It is covered already: change nothing.
    Duplicate,
    /// Change nothing.
    Refused(Violation),
}

/// Inclusive ranges of records that no signature covers although a later statement does not either; when they
/// become too many, neighbours merge, so that the answer errs towards unsigned.
pub const EXCEPTIONS_MAX: usize = 8;

/// Inclusive ranges of records that never came although later ones did; when they become too many, the newest grows, so that the
/// answer errs towards a record that is still to come.
pub const MISSING_MAX: usize = 8;

/// What a service knows of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainState {
    /// Which chain.
    pub chain: ChainId,
    /// The highest record seen or declared missing.
    pub last: u64,
    /// The hash behind it; `None` while the chain is broken.
    pub head: Option<Digest>,
    /// Every record up to this one is signed, save the exceptions.
    pub signed_through: u64,
    /// Ranges of records that stay unsigned; unused entries are `(0, 0)` and come last.
    pub exceptions: [(u64, u64); EXCEPTIONS_MAX],
    /// Ranges of records that may still come: somebody on the way may have them, who said that they arrived. Unused entries are
    /// `(0, 0)`. What the device declared missing is in none.
    pub missing: [(u64, u64); MISSING_MAX],
}

impl ChainState {
    /// The state behind a verified open statement with these exact bytes.
    #[must_use]
    pub fn opened(chain: ChainId, open_bytes: &[u8]) -> Self {
        Self {
            chain,
            last: 0,
            head: Some(sha256(&[open_bytes])),
            signed_through: 0,
            exceptions: [(0, 0); EXCEPTIONS_MAX],
            missing: [(0, 0); MISSING_MAX],
        }
    }

    /// What to think of an open statement that follows this chain: `None` when it fits.
    #[must_use]
    pub fn succession(&self, previous: Option<&Link>) -> Option<Violation> {
        match previous {
            None => Some(Violation::Restart),
            Some(link) if link.chain != self.chain => Some(Violation::Restart),
            Some(link) if link.last > self.last => Some(Violation::Truncation),
            Some(link) if link.last < self.last => Some(Violation::Fork),
            Some(link) if self.head.is_some_and(|h| h != link.head) => Some(Violation::Fork),
            Some(_) => None,
        }
    }

    /// Takes the next record. `opens` says whether it opened with the chain's key (`true` where the service
    /// has none); `earlier` compares it with what was kept under its number, and is asked for old numbers only.
    pub fn record(
        &mut self,
        record: &Record<'_>,
        opens: bool,
        earlier: impl FnOnce(&Record<'_>) -> Earlier,
    ) -> RecordVerdict {
        if record.chain != self.chain {
            return RecordVerdict::Refused(Violation::UnknownChain);
        }
        if !opens {
            return RecordVerdict::Refused(Violation::Forged);
        }
        if record.seq <= self.last {
            return self.earlier_record(record, earlier(record));
        }
        let expected = self.last + 1;
        self.last = record.seq;
        if record.seq != expected {
            self.misses(expected, record.seq - 1);
            self.head = None;
            return RecordVerdict::Unlinked(Some(Violation::Gap));
        }
        match self.head {
            None => RecordVerdict::Unlinked(None),
            Some(_) if record.seq - self.signed_through > CHECKPOINT_RECORDS_MAX => {
                self.head = None;
                RecordVerdict::Unlinked(Some(Violation::CheckpointOverdue))
            }
            Some(head) => {
                self.head = Some(sha256(&[&head, record.bytes]));
                RecordVerdict::Linked
            }
        }
    }

    fn earlier_record(&mut self, record: &Record<'_>, earlier: Earlier) -> RecordVerdict {
        match earlier {
            Earlier::Same => RecordVerdict::Duplicate,
            Earlier::Other => RecordVerdict::Refused(Violation::Fork),
            Earlier::Unknown if self.arrives(record.seq) => {
                RecordVerdict::Unlinked(Some(Violation::Reordering))
            }
            // It was kept, and has moved where nobody looks: its sender missed the answer.
            Earlier::Unknown if self.last - record.seq < RESENT_RECORDS_MAX => RecordVerdict::Duplicate,
            Earlier::Unknown => RecordVerdict::Refused(Violation::Replay),
        }
    }

    /// Takes a checkpoint or gap whose signature was verified and whose subject fits.
    pub fn statement(&mut self, statement: &Statement) -> StatementVerdict {
        if statement.chain != self.chain {
            return StatementVerdict::Refused(Violation::UnknownChain);
        }
        match statement.kind {
            StatementKind::Open { .. } => StatementVerdict::Duplicate,
            StatementKind::Checkpoint { last, head, .. } => self.checkpoint(last, head),
            StatementKind::Gap { first, last, before, head, reason } => {
                self.declared_gap(first, last, before, head, reason)
            }
        }
    }

    fn checkpoint(&mut self, last: u64, head: Digest) -> StatementVerdict {
        if last <= self.signed_through {
            return StatementVerdict::Duplicate;
        }
        if last < self.last {
            // Its own continuation came first, so it is old, or the device forked; it covers nothing known.
            return StatementVerdict::Refused(Violation::Replay);
        }
        let violation = match self.head {
            Some(known) if last == self.last && known == head => None,
            _ if last > self.last => Some(Violation::Truncation),
            _ => Some(Violation::CheckpointMismatch),
        };
        self.misses(self.last + 1, last);
        self.anchor(last, head, violation.is_some());
        violation.map_or(StatementVerdict::Signed, StatementVerdict::Reanchored)
    }

    fn declared_gap(
        &mut self,
        first: u64,
        last: u64,
        before: Digest,
        head: Digest,
        reason: GapReason,
    ) -> StatementVerdict {
        if last <= self.signed_through {
            return StatementVerdict::Duplicate;
        }
        if last < self.last {
            return StatementVerdict::Refused(Violation::Replay);
        }
        let violation = match self.head {
            Some(known) if self.last + 1 == first && known == before => None,
            _ if first > self.last + 1 => Some(Violation::Truncation),
            // Some of what the device thought unsent came through; it is kept, unsigned.
            _ if first <= self.last => Some(Violation::Gap),
            _ => Some(Violation::CheckpointMismatch),
        };
        self.misses(self.last + 1, first - 1);
        self.anchor(last, head, violation.is_some());
        match violation {
            None => StatementVerdict::GapDeclared { missing: last - first + 1, reason },
            Some(violation) => StatementVerdict::Reanchored(violation),
        }
    }

    fn anchor(&mut self, last: u64, head: Digest, except: bool) {
        if except {
            self.except(self.signed_through + 1, last);
        }
        (self.last, self.head, self.signed_through) = (last, Some(head), last);
    }

    fn except(&mut self, first: u64, last: u64) {
        if let Some(slot) = self.exceptions.iter_mut().find(|e| **e == (0, 0)) {
            *slot = (first, last);
        } else if let Some(newest) = self.exceptions.last_mut() {
            newest.1 = last;
        }
    }

    /// These have not come, if `first` is not behind `last`.
    fn misses(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        if let Some(slot) = self.missing.iter_mut().find(|range| **range == (0, 0)) {
            *slot = (first, last);
        } else if let Some(newest) = self.missing.iter_mut().max_by_key(|range| range.1) {
            newest.1 = last;
        }
    }

    /// Whether this one had not come; it has from here on.
    fn arrives(&mut self, seq: u64) -> bool {
        let Some(at) = self.missing.iter().position(|(first, last)| (*first..=*last).contains(&seq)) else {
            return false;
        };
        let free = self.missing.iter().position(|range| *range == (0, 0));
        let (first, last) = self.missing.get(at).copied().unwrap_or_default();
        let left = match (seq == first, seq == last, free) {
            (true, true, _) => (0, 0),
            (true, false, _) => (seq + 1, last),
            (false, true, _) => (first, seq - 1),
            (false, false, Some(free)) => {
                if let Some(slot) = self.missing.get_mut(free) {
                    *slot = (seq + 1, last);
                }
                (first, seq - 1)
            }
            // What was kept says the rest.
            (false, false, None) => (first, last),
        };
        if let Some(slot) = self.missing.get_mut(at) {
            *slot = left;
        }
        true
    }

    /// Whether a device's signature stands behind record `seq`.
    #[must_use]
    pub fn is_signed(&self, seq: u64) -> bool {
        seq <= self.signed_through && !self.exceptions.iter().any(|(a, b)| (*a..=*b).contains(&seq))
    }
}

/// Checks that a statement is by a key of the device it came from and about that device.
///
/// # Errors
///
/// [`Violation::WrongSubject`] or [`Violation::WrongSigner`].
pub fn verify_statement(
    signed: &SignedStatement<'_>,
    subject: &crate::Subject,
    key: Option<&thingward_crypto::VerifyingKey>,
) -> Result<Statement, Violation> {
    if signed.claimed_unverified().subject != *subject {
        return Err(Violation::WrongSubject);
    }
    signed.verify(key.ok_or(Violation::WrongSigner)?).map_err(|_| Violation::WrongSigner)
}
