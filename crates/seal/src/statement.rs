//! Signed statements: a chain opens, a checkpoint over records, a declared gap. COSE_Sign1, RFC 9052 §4.2.
//!
//! The payload is a CBOR array; `docs/wire/chain.cddl` is its description.
//!
//! Evolution: append kinds and trailing elements only, with a new version; a changed meaning is a new kind.
//! Readers refuse versions they do not know, and devices live for ten years.

use thingward_crypto::recipient::RECIPIENT_KEY_BYTES;
use thingward_crypto::{AeadAlgorithm, Digest, KeyId, Signer, VerifyingKey};
use thingward_model::cbor::{Reader, Writer};
use thingward_model::{Confidentiality, DeviceName, StreamName, TenantName, Timestamp};

use crate::cose::{self, PAYLOAD_BYTES_MAX, Sign1};
use crate::{ChainId, FormatError, SEQUENCE_MAX};

/// The version that this code writes, and the only one so far.
pub const VERSION: u64 = 1;
/// Largest statement in bytes.
pub const STATEMENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 96;
/// What signatures over statements are bound to.
pub(crate) const CONTEXT: &[u8] = b"thingward chain";

/// Whose readings a chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The tenant.
    pub tenant: TenantName,
    /// The device.
    pub device: DeviceName,
    /// The stream.
    pub stream: StreamName,
}

/// Something a device says about one chain, under its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Whose chain.
    pub subject: Subject,
    /// Which chain.
    pub chain: ChainId,
    /// The device's clock when it signed.
    pub time: Timestamp,
    /// What it says.
    pub kind: StatementKind,
}

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// The chain starts; its hash starts with this statement's exact bytes.
    Open {
        /// For whom the records are sealed.
        confidentiality: Confidentiality,
        /// The cipher of the records.
        cipher: AeadAlgorithm,
        /// Which key of the recipient.
        recipient: KeyId,
        /// The records' key, encapsulated for the recipient.
        encapsulated: [u8; RECIPIENT_KEY_BYTES],
        /// Where the device's former chain of this stream ended; `None` on the first.
        previous: Option<Link>,
    },
    /// The device made exactly these records.
    Checkpoint {
        /// First record that no earlier statement covers.
        first: u64,
        /// Last record covered.
        last: u64,
        /// The hash behind the last record.
        head: Digest,
    },
    /// The device dropped records, or never finished them, and they will not come.
    Gap {
        /// First missing record.
        first: u64,
        /// Last missing record.
        last: u64,
        /// The hash behind the record in front of the gap.
        before: Digest,
        /// The hash behind the gap, from which the chain goes on.
        head: Digest,
        /// Why.
        reason: GapReason,
    },
}

/// A place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The chain.
    pub chain: ChainId,
    /// The last record.
    pub last: u64,
    /// The hash behind it.
    pub head: Digest,
}

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Power was lost; these numbers were set aside and never used.
    PowerLoss,
    /// The buffer was full and the oldest made room.
    BufferFull,
    /// They were older than the device may keep them.
    TooOld,
}

impl GapReason {
    const fn code(self) -> u8 {
        match self {
            Self::PowerLoss => 0,
            Self::BufferFull => 1,
            Self::TooOld => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::PowerLoss),
            1 => Some(Self::BufferFull),
            2 => Some(Self::TooOld),
            _ => None,
        }
    }

    /// The word that findings and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PowerLoss => "power-loss",
            Self::BufferFull => "buffer-full",
            Self::TooOld => "too-old",
        }
    }
}

const KIND_OPEN: u8 = 0;
const KIND_CHECKPOINT: u8 = 1;
const KIND_GAP: u8 = 2;

impl Statement {
    /// Signs the statement into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the signer fails, [`FormatError::BufferTooSmall`] below
    /// [`STATEMENT_BYTES_MAX`] bytes.
    pub fn sign(&self, signer: &impl Signer, out: &mut [u8]) -> Result<usize, FormatError> {
        let Self { subject, chain, time, kind } = self;
        Parts { subject, chain, time: *time, kind }.sign(signer, out)
    }

    fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(payload);
        let len = r.array()?;
        if r.u64()? != VERSION {
            return Err(FormatError::UnknownVersion);
        }
        let kind = r.u8()?;
        let subject = Subject { tenant: name(&mut r)?, device: name(&mut r)?, stream: name(&mut r)? };
        let chain = *r.byte_array()?;
        let time = Timestamp::from_micros(r.int()?);
        let kind = match (kind, len) {
            (KIND_OPEN, 12) => read_open(&mut r)?,
            (KIND_CHECKPOINT, 10) => {
                let (first, last) = range(&mut r)?;
                StatementKind::Checkpoint { first, last, head: *r.byte_array()? }
            }
            (KIND_GAP, 12) => {
                let (first, last) = range(&mut r)?;
                let (before, head) = (*r.byte_array()?, *r.byte_array()?);
                let reason = GapReason::from_code(r.u8()?).ok_or(FormatError::UnknownVersion)?;
                StatementKind::Gap { first, last, before, head, reason }
            }
            (KIND_OPEN | KIND_CHECKPOINT | KIND_GAP, _) => return Err(FormatError::Malformed),
            (_, _) => return Err(FormatError::UnknownVersion),
        };
        r.end()?;
        Ok(Self { subject, chain, time, kind })
    }
}

/// A [`Statement`] whose parts lie elsewhere.
pub(crate) struct Parts<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) chain: &'a ChainId,
    pub(crate) time: Timestamp,
    pub(crate) kind: &'a StatementKind,
}

impl Parts<'_> {
    /// As [`Statement::sign`].
    pub(crate) fn sign(&self, signer: &impl Signer, out: &mut [u8]) -> Result<usize, FormatError> {
        cose::sign1(signer, CONTEXT, PAYLOAD_BYTES_MAX, out, |payload| self.encode(payload))
    }

    /// Writes what is signed to the front of `out`; its length in bytes.
    #[inline(never)]
    fn encode(&self, out: &mut [u8]) -> Result<usize, FormatError> {
        let Self { subject, chain, time, kind } = self;
        let mut e = Writer::new(out);
        let (code, extra) = match kind {
            StatementKind::Open { .. } => (KIND_OPEN, 5),
            StatementKind::Checkpoint { .. } => (KIND_CHECKPOINT, 3),
            StatementKind::Gap { .. } => (KIND_GAP, 5),
        };
        e.array(7 + extra)?.u64(VERSION)?.u8(code)?;
        e.str(subject.tenant.as_str())?.str(subject.device.as_str())?;
        e.str(subject.stream.as_str())?.bytes(chain.as_slice())?.int(time.as_micros())?;
        match kind {
            StatementKind::Open { confidentiality, cipher, recipient, encapsulated, previous } => {
                e.u8(*confidentiality as u8)?.int(cipher.cose_id())?.bytes(recipient)?.bytes(encapsulated)?;
                match previous {
                    None => e.null()?,
                    Some(link) => e.array(3)?.bytes(&link.chain)?.u64(link.last)?.bytes(&link.head)?,
                };
            }
            StatementKind::Checkpoint { first, last, head } => {
                e.u64(*first)?.u64(*last)?.bytes(head)?;
            }
            StatementKind::Gap { first, last, before, head, reason } => {
                e.u64(*first)?.u64(*last)?.bytes(before)?.bytes(head)?.u8(reason.code())?;
            }
        }
        Ok(e.position())
    }
}

fn read_open(r: &mut Reader<'_>) -> Result<StatementKind, FormatError> {
    let confidentiality = match r.u8()? {
        0 => Confidentiality::Service,
        1 => Confidentiality::Customer,
        _ => return Err(FormatError::UnknownVersion),
    };
    let cipher = AeadAlgorithm::from_cose_id(r.int()?).ok_or(FormatError::UnknownVersion)?;
    let (recipient, encapsulated) = (*r.byte_array()?, *r.byte_array()?);
    let previous = r.nullable(|r| {
        if r.array()? != 3 {
            return Err(FormatError::Malformed);
        }
        Ok(Link { chain: *r.byte_array()?, last: r.u64()?, head: *r.byte_array()? })
    })?;
    Ok(StatementKind::Open { confidentiality, cipher, recipient, encapsulated, previous })
}

fn name<T: core::str::FromStr>(r: &mut Reader<'_>) -> Result<T, FormatError> {
    r.str()?.parse().map_err(|_| FormatError::Malformed)
}

/// First and last of a range that is not empty and starts at 1 or later.
fn range(r: &mut Reader<'_>) -> Result<(u64, u64), FormatError> {
    let (first, last) = (r.u64()?, r.u64()?);
    if first == 0 || last < first || last > SEQUENCE_MAX {
        Err(FormatError::Malformed)
    } else {
        Ok((first, last))
    }
}

/// A well-formed statement whose signature nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedStatement<'a> {
    /// The exact bytes.
    pub bytes: &'a [u8],
    sign1: Sign1<'a>,
    claimed: Statement,
}

impl<'a> SignedStatement<'a> {
    /// Reads one statement, leaving `r` behind it.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        let sign1 = Sign1::read(r, PAYLOAD_BYTES_MAX)?;
        let bytes = r.since(start)?;
        let claimed = Statement::decode(sign1.payload)?;
        Ok(Self { bytes, sign1, claimed })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.sign1.key_id
    }

    /// What it says, on nobody's word: to look up the key and to report, never to act on.
    #[must_use]
    pub const fn claimed_unverified(&self) -> &Statement {
        &self.claimed
    }

    /// What it says, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` did not sign it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Statement, FormatError> {
        self.sign1.verify(key, CONTEXT)?;
        Ok(self.claimed)
    }
}
