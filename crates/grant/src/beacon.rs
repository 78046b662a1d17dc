//! The time, signed by an issuer, for devices that have no clock. Anybody may carry it.
//!
//! ```text
//! payload = [1, tenant, seconds, nonce / null]
//! ```

use thingward_crypto::KeyId;
use thingward_model::{NameRef, Timestamp, name};

use crate::claims::{read_time, seconds};
use crate::keys::{IssuerKey, TrustedKey};
use crate::statement::{self, Statement, VERSION};
use crate::{FormatError, Nonce, Refusal, cbor};

/// Largest beacon in bytes.
pub const BEACON_BYTES_MAX: usize = 192;
const PAYLOAD_BYTES_MAX: usize = 96;

/// What signatures over beacons are for.
const LABEL: &[u8] = b"thingward time";

/// What time it is, for one device that asked or for whoever hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beacon<'a> {
    /// The tenant whose devices it is for.
    pub issuer: NameRef<'a, name::Tenant>,
    /// The time when it was signed, in whole seconds from 1970 to 2106, rounded down.
    pub time: Timestamp,
    /// The question that it answers.
    pub answers: Option<Nonce>,
}

impl Beacon<'_> {
    /// Signs the beacon into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::Malformed`] for a time with fractions of a second, [`FormatError::Crypto`] when the signer fails,
    /// [`FormatError::BufferTooSmall`] below [`BEACON_BYTES_MAX`] bytes.
    pub fn sign(&self, key: IssuerKey<'_>, out: &mut [u8]) -> Result<usize, FormatError> {
        let time = seconds(self.time)?;
        let mut room = [0; PAYLOAD_BYTES_MAX];
        let payload = cbor::written(&mut room, |e| {
            e.array(4)?.u32(VERSION)?.str(self.issuer.as_str())?.u32(time)?;
            match &self.answers {
                Some(nonce) => e.bytes(nonce)?,
                None => e.null()?,
            };
            Ok(())
        })?;
        statement::sign(key, LABEL, payload, out)
    }
}

/// A well-formed beacon that nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBeacon<'a> {
    statement: Statement<'a>,
    claimed: Beacon<'a>,
}

impl<'a> SignedBeacon<'a> {
    /// Reads a beacon that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when it is none, or not in its one encoding.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (statement, claimed) = Statement::read(bytes, 4, |r| {
            let (issuer, time) = (r.name()?, read_time(r)?);
            Ok(Beacon { issuer, time, answers: r.nullable(|r| r.byte_array().copied())? })
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
    ) -> Result<Beacon<'a>, Refusal> {
        self.statement.verify(key, LABEL)?;
        if self.claimed.issuer == tenant { Ok(self.claimed) } else { Err(Refusal::WrongAudience) }
    }
}
