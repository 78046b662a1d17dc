//! The command itself.

use thingward_crypto::{Digest, KeyId, Signer, VerifyingKey, sha256};
use thingward_model::cbor::{Reader, Writer};
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};

use super::{Data, Refusal};
use crate::FormatError;
use crate::cose::{self, Sign1};

/// What signatures over commands are bound to.
const CONTEXT: &[u8] = b"thingward command";
const VERSION: u64 = 1;

/// Longest word for who sends a command, in bytes.
pub const ACTOR_BYTES_MAX: usize = 128;
/// Largest canonical command in bytes: three names, an actor and an input of greatest length fit.
pub const CANONICAL_BYTES_MAX: usize = 1024;
/// Largest approval in bytes, altogether.
pub const APPROVAL_BYTES_MAX: usize = 2048;
const PAYLOAD_BYTES_MAX: usize = CANONICAL_BYTES_MAX + APPROVAL_BYTES_MAX + 32;
/// Largest signed command in bytes.
pub const COMMAND_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 96;
/// Longest time from issue to expiry, in microseconds: a week. Bounds what a device has to remember.
pub const LIFETIME_MAX_MICROS: i64 = 7 * 86_400 * 1_000_000;
/// How far the clock of the service may be ahead of the device's, in microseconds: five minutes.
pub const CLOCK_SKEW_MAX_MICROS: i64 = 300 * 1_000_000;

/// A command's name: random, never used twice.
pub type CommandId = [u8; 16];

/// What a device is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// The tenant that the device belongs to.
    pub tenant: TenantName,
    /// The device that shall do it, and nobody else.
    pub device: DeviceName,
    /// Names the command.
    pub id: CommandId,
    /// What shall be done, from the device's description.
    pub action: ActionName,
    /// With what.
    pub input: Data<'a>,
    /// When it was made, by the service's clock.
    pub issued: Timestamp,
    /// The first moment at which it counts no more.
    pub expires: Timestamp,
    /// Who wants it, in a word that means nothing to outsiders.
    pub actor: &'a str,
}

/// Whom commands have to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience<'a> {
    /// The tenant.
    pub tenant: &'a TenantName,
    /// The device.
    pub device: &'a DeviceName,
}

/// A user's passkey over exactly one command: a WebAuthn assertion with [`digest`] as its challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval<'a> {
    /// Names the passkey.
    pub credential_id: &'a [u8],
    /// As the authenticator made it: WebAuthn Level 3 §6.1.
    pub authenticator_data: &'a [u8],
    /// As the browser made it: §5.8.1.
    pub client_data_json: &'a [u8],
    /// Over both.
    pub signature: &'a [u8],
}

impl Approval<'_> {
    fn bytes(&self) -> usize {
        let parts = [self.credential_id, self.authenticator_data, self.client_data_json, self.signature];
        parts.iter().map(|part| part.len() + 3).sum()
    }
}

/// What names a command: SHA-256 over its canonical bytes.
#[must_use]
pub fn digest(canonical: &[u8]) -> Digest {
    sha256(&[canonical])
}

impl<'a> Command<'a> {
    /// Writes the canonical command and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] when the actor is too long, [`FormatError::Malformed`] when the command does not
    /// expire after it was issued and within [`LIFETIME_MAX_MICROS`]; [`FormatError::BufferTooSmall`] below
    /// [`CANONICAL_BYTES_MAX`] bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, FormatError> {
        self.check_limits()?;
        let mut e = Writer::new(out);
        e.array(9)?.u64(VERSION)?.str(self.tenant.as_str())?.str(self.device.as_str())?.bytes(&self.id)?;
        e.str(self.action.as_str())?;
        let at = e.position();
        let input = self.input.as_bytes();
        let slot = out.get_mut(at..at + input.len()).ok_or(FormatError::BufferTooSmall)?;
        slot.copy_from_slice(input);
        let at = at + input.len();
        let mut e = Writer::new(out.get_mut(at..).unwrap_or_default());
        e.int(self.issued.as_micros())?.int(self.expires.as_micros())?.str(self.actor)?;
        Ok(at + e.position())
    }

    /// Reads a canonical command.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, or not in its one encoding.
    #[inline(never)]
    pub fn decode(canonical: &'a [u8]) -> Result<Self, FormatError> {
        let mut r = Reader::new(canonical);
        let len = r.array()?;
        if r.u64()? != VERSION {
            return Err(FormatError::UnknownVersion);
        }
        if len != 9 {
            return Err(FormatError::Malformed);
        }
        let command = Self {
            tenant: name(&mut r)?,
            device: name(&mut r)?,
            id: *r.byte_array()?,
            action: name(&mut r)?,
            input: Data::read(&mut r)?,
            issued: Timestamp::from_micros(r.int()?),
            expires: Timestamp::from_micros(r.int()?),
            actor: r.str()?,
        };
        r.end()?;
        // One command has one encoding, and with it one digest: the reader takes no other.
        command.check_limits()?;
        Ok(command)
    }

    fn check_limits(&self) -> Result<(), FormatError> {
        if self.actor.len() > ACTOR_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        if self.has_lifetime() { Ok(()) } else { Err(FormatError::Malformed) }
    }

    fn has_lifetime(&self) -> bool {
        let lifetime = self.expires.micros_since(self.issued);
        lifetime > 0 && lifetime <= LIFETIME_MAX_MICROS
    }

    /// Whether it is for `audience`, and counts now. `mark` is the latest issue of any command that was found
    /// timely before: the time is at least that, whatever the clock says.
    ///
    /// # Errors
    ///
    /// What to answer.
    #[inline(always)]
    pub fn check(&self, audience: &Audience<'_>, now: Timestamp, mark: Timestamp) -> Result<(), Refusal> {
        if (&self.tenant, &self.device) != (audience.tenant, audience.device) {
            Err(Refusal::WrongAudience)
        } else if self.expires <= now.max(mark) {
            Err(Refusal::Expired)
        } else if self.issued > now.max(mark).plus_micros(CLOCK_SKEW_MAX_MICROS) {
            Err(Refusal::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// Signs a canonical command into `out` and returns the length in bytes. `log` is where the audit log has it.
///
/// # Errors
///
/// [`FormatError::Malformed`] when `canonical` is no canonical command, [`FormatError::TooLarge`] for a large
/// approval, [`FormatError::Crypto`] when the signer fails, [`FormatError::BufferTooSmall`] below
/// [`COMMAND_BYTES_MAX`] bytes.
pub fn sign(
    signer: &impl Signer,
    canonical: &[u8],
    log: Option<u64>,
    approval: Option<&Approval<'_>>,
    out: &mut [u8],
) -> Result<usize, FormatError> {
    Command::decode(canonical)?;
    if approval.is_some_and(|a| a.bytes() > APPROVAL_BYTES_MAX) {
        return Err(FormatError::TooLarge);
    }
    cose::sign1(signer, CONTEXT, PAYLOAD_BYTES_MAX, out, |payload| {
        let mut e = Writer::new(payload);
        e.array(3)?.bytes(canonical)?;
        match log {
            None => e.null()?,
            Some(index) => e.u64(index)?,
        };
        match approval {
            None => e.null()?,
            Some(a) => {
                e.array(4)?.bytes(a.credential_id)?.bytes(a.authenticator_data)?;
                e.bytes(a.client_data_json)?.bytes(a.signature)?
            }
        };
        Ok(e.position())
    })
}

/// A command whose signature was checked, with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedCommand<'a> {
    /// The command.
    pub command: Command<'a>,
    /// Its exact bytes; [`digest`] over them names it.
    pub canonical: &'a [u8],
    /// Its entry in the tenant's audit log.
    pub log: Option<u64>,
    /// The user's word. Nobody has checked it yet.
    pub approval: Option<Approval<'a>>,
}

/// A well-formed command whose signature nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedCommand<'a> {
    sign1: Sign1<'a>,
    claimed: VerifiedCommand<'a>,
}

impl<'a> SignedCommand<'a> {
    /// Reads a message that is one command.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the bytes are something else.
    #[inline(never)]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        let mut r = Reader::new(bytes);
        let sign1 = Sign1::read(&mut r, PAYLOAD_BYTES_MAX)?;
        r.end()?;
        let mut r = Reader::new(sign1.payload);
        if r.array()? != 3 {
            return Err(FormatError::Malformed);
        }
        let canonical = r.bytes()?;
        let log = r.nullable(Reader::u64)?;
        let approval = r.nullable(read_approval)?;
        r.end()?;
        let command = Command::decode(canonical)?;
        Ok(Self { sign1, claimed: VerifiedCommand { command, canonical, log, approval } })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.sign1.key_id
    }

    /// What it says, on nobody's word: to find out where it belongs, never to act on.
    #[must_use]
    pub const fn claimed_unverified(&self) -> &VerifiedCommand<'a> {
        &self.claimed
    }

    /// What it says, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when `key` did not sign it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<VerifiedCommand<'a>, FormatError> {
        self.sign1.verify(key, CONTEXT)?;
        Ok(self.claimed)
    }
}

/// Whether a message is a command, and `key` signed it: what [`SignedCommand`] does, for chips, which have no room for what
/// a command says while they verify.
///
/// # Errors
///
/// Those of [`SignedCommand::decode`], then those of [`SignedCommand::verify`].
pub fn verify(message: &[u8], key: &VerifyingKey) -> Result<(), FormatError> {
    is_command(message)?;
    Sign1::read(&mut Reader::new(message), PAYLOAD_BYTES_MAX)?.verify(key, CONTEXT)
}

/// Whether a message is a command, whoever signed it.
///
/// # Errors
///
/// Those of [`SignedCommand::decode`].
#[inline(never)]
pub fn is_command(message: &[u8]) -> Result<(), FormatError> {
    SignedCommand::decode(message).map(drop)
}

fn read_approval<'a>(r: &mut Reader<'a>) -> Result<Approval<'a>, FormatError> {
    if r.array()? != 4 {
        return Err(FormatError::Malformed);
    }
    let approval = Approval {
        credential_id: r.bytes()?,
        authenticator_data: r.bytes()?,
        client_data_json: r.bytes()?,
        signature: r.bytes()?,
    };
    if approval.bytes() > APPROVAL_BYTES_MAX { Err(FormatError::TooLarge) } else { Ok(approval) }
}

fn name<T: core::str::FromStr>(r: &mut Reader<'_>) -> Result<T, FormatError> {
    r.str()?.parse().map_err(|_| FormatError::Malformed)
}
