//! Taking grants back: single ones by their ids, or all up to now by an epoch. Signed, so that anybody may carry it.
//!
//! ```text
//! payload = [1, tenant, audience, epoch, ids]
//! ```
//!
//! The epoch of an audience only rises, and within an epoch its list only grows. So revocations may come late, twice and in any
//! order.

use thingward_crypto::KeyId;
use thingward_model::{NameRef, name};

use crate::claims::{GrantId, Origin};
use crate::cose::ITEM_BYTES_MAX;
use crate::keys::{IssuerKey, TrustedKey};
use crate::statement::{self, Statement, VERSION};
use crate::{Audience, FormatError, Refusal, cbor};

/// Most ids that a device keeps for one issuer, and that a revocation has. An issuer that has to take back more in one
/// epoch raises the epoch. 256 bytes of a device's memory.
pub const REVOKED_MAX: usize = 32;
/// Largest revocation in bytes.
pub const REVOCATION_BYTES_MAX: usize = ITEM_BYTES_MAX;
const PAYLOAD_BYTES_MAX: usize = 448;

/// What signatures over revocations are for.
const LABEL: &[u8] = b"thingward revocation";

/// What an issuer takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation<'a> {
    /// The tenant whose grants it is about.
    pub issuer: NameRef<'a, name::Tenant>,
    /// For whom those grants are.
    pub audience: Audience<'a>,
    /// Grants of an earlier epoch are void.
    pub epoch: u32,
    /// Grants of this epoch that are void: in ascending order, at most [`REVOKED_MAX`].
    pub ids: &'a [GrantId],
}

impl Revocation<'_> {
    /// Signs the revocation into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] for ids that do not ascend, [`FormatError::TooLarge`] for too many,
    /// [`FormatError::Crypto`] when the signer fails, [`FormatError::BufferTooSmall`] below [`REVOCATION_BYTES_MAX`]
    /// bytes.
    pub fn sign(&self, key: IssuerKey<'_>, out: &mut [u8]) -> Result<usize, FormatError> {
        check(self.ids)?;
        let mut room = [0; PAYLOAD_BYTES_MAX];
        let payload = cbor::written(&mut room, |e| {
            e.array(5)?.u32(VERSION)?.str(self.issuer.as_str())?;
            self.audience.write(e)?;
            e.u32(self.epoch)?.bytes(self.ids.as_flattened())?;
            Ok(())
        })?;
        statement::sign(key, LABEL, payload, out)
    }
}

fn check(ids: &[GrantId]) -> Result<(), FormatError> {
    if ids.len() > REVOKED_MAX {
        return Err(FormatError::TooLarge);
    }
    if ids.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(FormatError::Malformed) }
}

/// A well-formed revocation that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRevocation<'a> {
    statement: Statement<'a>,
    claimed: Revocation<'a>,
}

impl<'a> SignedRevocation<'a> {
    /// Reads a revocation that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, not in its one encoding, or beyond a limit.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (statement, claimed) = Statement::read(bytes, 5, |r| {
            let issuer = r.name()?;
            let audience = Audience::read(r)?;
            let epoch = r.u32()?;
            let (ids, []) = r.bytes()?.as_chunks() else { return Err(FormatError::Malformed) };
            check(ids)?;
            Ok(Revocation { issuer, audience, epoch, ids })
        })?;
        Ok(Self { statement, claimed })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.statement.key_id
    }

    /// What it says, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownIssuer`], [`Refusal::Forged`], or [`Refusal::WrongAudience`] for another tenant's.
    pub fn verify(
        &self,
        key: &TrustedKey<'_>,
        tenant: NameRef<'_, name::Tenant>,
    ) -> Result<Revocation<'a>, Refusal> {
        self.statement.verify(key, LABEL)?;
        if self.claimed.issuer == tenant { Ok(self.claimed) } else { Err(Refusal::WrongAudience) }
    }
}

/// What a device knows that an issuer has taken back of one audience. It has to be durable before a change of it counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    epoch: u32,
    revoked: [GrantId; REVOKED_MAX],
    len: usize,
}

impl Standing {
    /// What was kept: the epoch, and ids that were taken back in it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoRoom`] for more than [`REVOKED_MAX`] ids.
    pub fn restored(epoch: u32, revoked: &[GrantId]) -> Result<Self, Refusal> {
        let mut standing = Self { epoch, ..Self::default() };
        standing.add(revoked)?;
        Ok(standing)
    }

    /// The epoch, below which all grants are void.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The ids that were taken back in this epoch.
    #[must_use]
    pub fn revoked(&self) -> &[GrantId] {
        self.revoked.get(..self.len).unwrap_or_default()
    }

    /// Takes a verified revocation in; this is the standing of `own`.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongAudience`] when it is about another audience, [`Refusal::OldEpoch`] when nothing that it speaks of is
    /// valid anyway, [`Refusal::NoRoom`] when there are more ids than the device can keep. Then nothing has changed.
    pub fn apply(&mut self, revocation: &Revocation<'_>, own: &Audience<'_>) -> Result<(), Refusal> {
        if revocation.audience != *own {
            return Err(Refusal::WrongAudience);
        }
        if revocation.epoch < self.epoch {
            return Err(Refusal::OldEpoch);
        }
        let mut next = self.clone();
        next.observe(revocation.epoch);
        next.add(revocation.ids)?;
        *self = next;
        Ok(())
    }

    /// Rises to the epoch of a grant that was permitted: its issuer was there already.
    pub fn observe(&mut self, epoch: u32) {
        if epoch > self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// # Errors
    ///
    /// [`Refusal::OldEpoch`] or [`Refusal::Revoked`].
    pub(crate) fn check(&self, origin: &Origin<'_>) -> Result<(), Refusal> {
        if origin.epoch < self.epoch {
            Err(Refusal::OldEpoch)
        } else if self.revoked().contains(&origin.id) {
            Err(Refusal::Revoked)
        } else {
            Ok(())
        }
    }

    fn add(&mut self, ids: &[GrantId]) -> Result<(), Refusal> {
        for id in ids {
            if !self.revoked().contains(id) {
                *self.revoked.get_mut(self.len).ok_or(Refusal::NoRoom)? = *id;
                self.len = self.len.saturating_add(1);
            }
        }
        Ok(())
    }
}
