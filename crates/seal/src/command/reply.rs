//! What a device answers.

use core::fmt;

use thingward_crypto::{Digest, KeyId, Signer, VerifyingKey};
use thingward_model::Timestamp;
use thingward_model::cbor::{Reader, Writer};

use super::{CommandId, DATA_BYTES_MAX, Data};
use crate::FormatError;
use crate::cose::{self, Sign1};

/// What signatures over replies are bound to.
const CONTEXT: &[u8] = b"thingward reply";
const VERSION: u64 = 1;
const PAYLOAD_BYTES_MAX: usize = DATA_BYTES_MAX + 96;
/// Largest reply in bytes.
pub const REPLY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 96;
/// Longest text of a refusal or failure, in bytes.
pub const REPLY_TEXT_BYTES_MAX: usize = 256;

/// A device's word on one command. It gives one word and keeps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Which command.
    pub id: CommandId,
    /// [`super::digest`] of the command. For [`Refusal::is_of_message`] it is SHA-256 over the whole message: there
    /// is no command to speak of.
    pub command: Digest,
    /// The device's clock when it signed.
    pub time: Timestamp,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The action was done, and gave this.
    Done(Data<'a>),
    /// It was not begun, and will not be.
    Refused {
        /// Why.
        reason: Refusal,
        /// What would have been right, for people.
        text: &'a str,
    },
    /// It was begun and did not succeed.
    Failed {
        /// What the thing says.
        text: &'a str,
    },
    /// It was begun, and the device lost power or its program before the end was known. It is not done again.
    Interrupted,
}

/// Why a command was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The message is no command, or its id is not that of the topic.
    Malformed,
    /// A version or algorithm that the device does not know.
    UnknownVersion,
    /// It is not signed by the command key that the device holds.
    WrongSigner,
    /// The device holds no command key.
    NoCommandKey,
    /// It is for another device or tenant.
    WrongAudience,
    /// Its time is over.
    Expired,
    /// It was issued later than the device's clock says it is.
    NotYetValid,
    /// Its id was that of another command before.
    IdReused,
    /// The device has no such action.
    UnknownAction,
    /// The input is not what the action takes.
    BadInput,
    /// The action needs a user's approval, and there is none.
    ApprovalMissing,
    /// The approval does not hold.
    ApprovalInvalid,
}

impl Refusal {
    const ALL: [Self; 12] = [
        Self::Malformed,
        Self::UnknownVersion,
        Self::WrongSigner,
        Self::NoCommandKey,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYetValid,
        Self::IdReused,
        Self::UnknownAction,
        Self::BadInput,
        Self::ApprovalMissing,
        Self::ApprovalInvalid,
    ];

    /// Its code in replies.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Malformed => 0,
            Self::UnknownVersion => 1,
            Self::WrongSigner => 2,
            Self::NoCommandKey => 3,
            Self::WrongAudience => 4,
            Self::Expired => 5,
            Self::NotYetValid => 6,
            Self::IdReused => 7,
            Self::UnknownAction => 8,
            Self::BadInput => 9,
            Self::ApprovalMissing => 10,
            Self::ApprovalInvalid => 11,
        }
    }

    /// The one of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }

    /// Whether the device had no command that it could trust, only a message: the refusal binds it to nothing, and a
    /// true command with the id is still begun.
    #[must_use]
    pub const fn is_of_message(self) -> bool {
        matches!(self, Self::Malformed | Self::UnknownVersion | Self::WrongSigner | Self::NoCommandKey)
    }

    /// The word that the log, the API and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown-version",
            Self::WrongSigner => "wrong-signer",
            Self::NoCommandKey => "no-command-key",
            Self::WrongAudience => "wrong-audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::IdReused => "id-reused",
            Self::UnknownAction => "unknown-action",
            Self::BadInput => "bad-input",
            Self::ApprovalMissing => "approval-missing",
            Self::ApprovalInvalid => "approval-invalid",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

const DONE: u8 = 0;
const REFUSED: u8 = 1;
const FAILED: u8 = 2;
const INTERRUPTED: u8 = 3;

impl Outcome<'_> {
    /// The word that the log, the API and the CLI use.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl<'a> Reply<'a> {
    /// Signs the reply into `out` and returns its length in bytes. A text beyond [`REPLY_TEXT_BYTES_MAX`] is cut.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the signer fails, [`FormatError::BufferTooSmall`] below [`REPLY_BYTES_MAX`]
    /// bytes.
    pub fn sign(&self, signer: &impl Signer, out: &mut [u8]) -> Result<usize, FormatError> {
        cose::sign1(signer, CONTEXT, PAYLOAD_BYTES_MAX, out, |payload| self.encode(payload))
    }

    /// Writes what is signed to the front of `out`; its length in bytes.
    #[inline(never)]
    fn encode(&self, out: &mut [u8]) -> Result<usize, FormatError> {
        let mut e = Writer::new(out);
        let len = match self.outcome {
            Outcome::Interrupted => 5,
            Outcome::Done(_) | Outcome::Failed { .. } => 6,
            Outcome::Refused { .. } => 7,
        };
        e.array(len)?.u64(VERSION)?.bytes(&self.id)?.bytes(&self.command)?.int(self.time.as_micros())?;
        match self.outcome {
            Outcome::Done(_) => e.u8(DONE)?,
            Outcome::Refused { reason, text } => e.u8(REFUSED)?.u8(reason.code())?.str(cut(text))?,
            Outcome::Failed { text } => e.u8(FAILED)?.str(cut(text))?,
            Outcome::Interrupted => e.u8(INTERRUPTED)?,
        };
        let len = e.position();
        let Outcome::Done(output) = self.outcome else { return Ok(len) };
        let output = output.as_bytes();
        let slot = out.get_mut(len..len + output.len()).ok_or(FormatError::BufferTooSmall)?;
        slot.copy_from_slice(output);
        Ok(len + output.len())
    }

    fn decode(payload: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(payload);
        let len = r.array()?;
        if r.u64()? != VERSION {
            return Err(FormatError::UnknownVersion);
        }
        let (id, command) = (*r.byte_array()?, *r.byte_array()?);
        let time = Timestamp::from_micros(r.int()?);
        let outcome = match (r.u8()?, len) {
            (DONE, 6) => Outcome::Done(Data::read(&mut r)?),
            (REFUSED, 7) => {
                let reason = Refusal::from_code(r.u8()?).ok_or(FormatError::UnknownVersion)?;
                Outcome::Refused { reason, text: text(&mut r)? }
            }
            (FAILED, 6) => Outcome::Failed { text: text(&mut r)? },
            (INTERRUPTED, 5) => Outcome::Interrupted,
            (DONE..=INTERRUPTED, _) => return Err(FormatError::Malformed),
            (_, _) => return Err(FormatError::UnknownVersion),
        };
        r.end()?;
        Ok(Self { id, command, time, outcome })
    }
}

fn text<'a>(r: &mut Reader<'a>) -> Result<&'a str, FormatError> {
    let text = r.str()?;
    if text.len() > REPLY_TEXT_BYTES_MAX { Err(FormatError::TooLarge) } else { Ok(text) }
}

/// The text up to the last whole character that fits.
fn cut(text: &str) -> &str {
    let end = (0..=REPLY_TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// A well-formed reply whose signature nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedReply<'a> {
    sign1: Sign1<'a>,
    claimed: Reply<'a>,
}

impl<'a> SignedReply<'a> {
    /// Reads a message that is one reply.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the bytes are something else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let sign1 = Sign1::read(&mut r, PAYLOAD_BYTES_MAX)?;
        r.end()?;
        Ok(Self { sign1, claimed: Reply::decode(sign1.payload)? })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.sign1.key_id
    }

    /// What it says, on nobody's word: to look up the command, never to act on.
    #[must_use]
    pub const fn claimed_unverified(&self) -> &Reply<'a> {
        &self.claimed
    }

    /// What it says, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` did not sign it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Reply<'a>, FormatError> {
        self.sign1.verify(key, CONTEXT)?;
        Ok(self.claimed)
    }
}
