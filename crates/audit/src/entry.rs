//! What is in the log: who did what to whom, signed.
//!
//! An entry is a COSE_Sign1 (RFC 9052 §4.2) with the algorithm and the signer's key id protected, over this CBOR:
//!
//! ```text
//! [ 1, time, action, actor, target, { name: value }, evidence / null ]
//! ```

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use thingward_crypto::{KeyId, Signer, VerifyingKey};

use crate::sign1::{self, Signed};

/// What separates these signatures from all others: the external data of the Sig_structure.
const CONTEXT: &[u8] = b"thingward audit entry";
const VERSION: u64 = 1;
/// Longest action, actor, target or name, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Most names with values.
pub const DETAILS_MAX: usize = 16;
/// Largest evidence, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 16 * 1024;

/// What the log of a tenant is called.
#[must_use]
pub fn origin(trust_domain: &str, tenant: &str) -> String {
    [trust_domain, "/tenant/", tenant].concat()
}

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in microseconds since 1970, by the signer's clock.
    pub time: i64,
    /// What, as `device.enrol`.
    pub action: String,
    /// Who, as `token/3f2a` or `device/meter-1`. Never a person's name.
    pub actor: String,
    /// To whom, as `device/meter-1`.
    pub target: String,
    /// How.
    pub details: BTreeMap<String, String>,
    /// What the actor signed, as it was signed: a device's statement, say.
    pub evidence: Option<Vec<u8>>,
}

/// Why bytes are no entry, or an entry cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not the structure that an entry has.
    #[error("not a log entry")]
    Malformed,
    /// A version that this code does not know.
    #[error("a log entry of an unknown version")]
    Version,
    /// A part is larger than its bound.
    #[error("a part of the log entry is too large")]
    TooLarge,
    /// The key did not sign it.
    #[error("the log entry is not signed with this key")]
    Signature,
    /// Its actor signed something else.
    #[error("what its actor signed is something else")]
    OtherOrder,
    /// The signer failed.
    #[error("the log entry could not be signed")]
    Signer,
}

impl From<minicbor::decode::Error> for EntryError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

impl Entry {
    /// The entry's bytes, signed.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLarge`], [`EntryError::Signer`].
    pub fn sign(&self, signer: &impl Signer) -> Result<Vec<u8>, EntryError> {
        sign1::sign(CONTEXT, &self.encode()?, signer)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let texts = [&self.action, &self.actor, &self.target];
        let names = self.details.iter();
        let fits = texts.into_iter().all(|text| text.len() <= TEXT_BYTES_MAX)
            && self.details.len() <= DETAILS_MAX
            && names.clone().all(|(n, v)| n.len() <= TEXT_BYTES_MAX && v.len() <= VALUE_BYTES_MAX)
            && self.evidence.as_ref().is_none_or(|evidence| evidence.len() <= EVIDENCE_BYTES_MAX);
        if !fits {
            return Err(EntryError::TooLarge);
        }
        let mut e = Encoder::new(Vec::new());
        let written = e.array(7).and_then(|e| {
            e.u64(VERSION)?.i64(self.time)?.str(&self.action)?.str(&self.actor)?.str(&self.target)?;
            e.map(self.details.len() as u64)?;
            names.clone().try_for_each(|(name, value)| e.str(name)?.str(value)?.ok())?;
            match &self.evidence {
                Some(evidence) => e.bytes(evidence)?.ok(),
                None => e.null()?.ok(),
            }
        });
        written.map_err(|_| EntryError::TooLarge)?;
        Ok(e.into_writer())
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, EntryError> {
        let mut d = Decoder::new(payload);
        if d.array()? != Some(7) {
            return Err(EntryError::Malformed);
        }
        if d.u64()? != VERSION {
            return Err(EntryError::Version);
        }
        let time = d.i64()?;
        let text = |d: &mut Decoder<'_>| bounded(d.str()?, TEXT_BYTES_MAX);
        let (action, actor, target) = (text(&mut d)?, text(&mut d)?, text(&mut d)?);
        let count = d.map()?.ok_or(EntryError::Malformed)?;
        if count > DETAILS_MAX as u64 {
            return Err(EntryError::TooLarge);
        }
        let mut details = BTreeMap::new();
        for _ in 0..count {
            let name = bounded(d.str()?, TEXT_BYTES_MAX)?;
            if details.insert(name, bounded(d.str()?, VALUE_BYTES_MAX)?).is_some() {
                return Err(EntryError::Malformed);
            }
        }
        let evidence = if d.datatype()? == Type::Null {
            d.null()?;
            None
        } else {
            Some(d.bytes()?).filter(|e| e.len() <= EVIDENCE_BYTES_MAX).map(<[u8]>::to_vec)
        };
        if d.position() != payload.len() {
            return Err(EntryError::Malformed);
        }
        let entry = Self { time, action, actor, target, details, evidence };
        // An entry has one form: what else says the same is none.
        if entry.encode()? == payload { Ok(entry) } else { Err(EntryError::Malformed) }
    }
}

/// A well-formed entry whose signature nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEntry<'a> {
    claimed: Entry,
    signed: Signed<'a>,
    key_id: KeyId,
}

impl<'a> SignedEntry<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let signed = Signed::decode(bytes)?;
        Ok(Self { claimed: Entry::decode(signed.payload_unverified())?, key_id: signed.key_id()?, signed })
    }

    /// The key that it says signed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What it says, on nobody's word.
    #[must_use]
    pub const fn claimed_unverified(&self) -> &Entry {
        &self.claimed
    }

    /// What it says, on the word of `key`'s holder.
    ///
    /// # Errors
    ///
    /// [`EntryError::Signature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<&Entry, EntryError> {
        self.signed.verify(CONTEXT, key).map(|_| &self.claimed)
    }
}

fn bounded(text: &str, max: usize) -> Result<String, EntryError> {
    if text.len() <= max { Ok(text.to_string()) } else { Err(EntryError::TooLarge) }
}
