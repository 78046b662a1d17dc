//! What a person or a program orders, under their own key: the deed as the log will have it.
//!
//! An order is laid out as an entry and signed as one, in another context, which names the log. A nonce stands where an
//! entry has its evidence, so that an order works once. The signed order is the evidence of the entry that follows.

use std::string::{String, ToString};
use std::vec::Vec;

use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{KeyId, VerifyingKey};

use crate::entry::{Entry, EntryError};
use crate::sign1::{Sign1, Signed, protected};

const CONTEXT: &str = "thingward order ";

/// What the order of somebody in the log of this name is bound to.
fn context(origin: &str) -> Vec<u8> {
    [CONTEXT, origin].concat().into_bytes()
}

/// A well-formed order that nobody has signed yet, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    message: Vec<u8>,
    origin: String,
    key_id: KeyId,
    claimed: Entry,
}

impl Order {
    /// An order of `deed`, for `key` to sign. The deed's time is when it was asked for, its evidence the nonce.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLarge`].
    pub fn new(origin: &str, deed: Entry, key: &VerifyingKey) -> Result<Self, EntryError> {
        let (protected, payload) = (protected(key)?, deed.encode()?);
        let sign1 = Sign1 { protected: &protected, payload: &payload };
        let message = sign1.to_be_signed(&context(origin))?;
        Ok(Self { message, origin: origin.to_string(), key_id: key.id(), claimed: deed })
    }

    /// Reads what [`Self::message`] gave.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn decode(message: &[u8]) -> Result<Self, EntryError> {
        let (sign1, context) = Sign1::from_to_be_signed(message)?;
        let origin = core::str::from_utf8(context).ok().and_then(|text| text.strip_prefix(CONTEXT));
        let (origin, key_id) = (origin.ok_or(EntryError::Malformed)?.to_string(), sign1.key_id()?);
        Ok(Self { message: message.to_vec(), origin, key_id, claimed: Entry::decode(sign1.payload)? })
    }

    /// The log that it is for.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key that is to sign it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The exact bytes to sign: the Sig_structure of RFC 9052 §4.4.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// What it says, on nobody's word.
    #[must_use]
    pub const fn claimed_unverified(&self) -> &Entry {
        &self.claimed
    }

    /// The evidence of it, when `key` signed it for the log of this name: a COSE_Sign1.
    ///
    /// # Errors
    ///
    /// [`EntryError::Signature`].
    pub fn signed(
        &self,
        origin: &str,
        key: &VerifyingKey,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<Vec<u8>, EntryError> {
        let (sign1, _) = Sign1::from_to_be_signed(&self.message)?;
        sign1.verify(&context(origin), key, signature)?;
        sign1.encode(signature)
    }
}

/// A well-formed signed order whose signature nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOrder<'a> {
    signed: Signed<'a>,
    claimed: Entry,
}

impl<'a> SignedOrder<'a> {
    /// Reads the evidence of an entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn decode(evidence: &'a [u8]) -> Result<Self, EntryError> {
        let signed = Signed::decode(evidence)?;
        Ok(Self { claimed: Entry::decode(signed.payload_unverified())?, signed })
    }

    /// The key that it says signed it.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn key_id(&self) -> Result<KeyId, EntryError> {
        self.signed.key_id()
    }

    /// When it was asked for, in microseconds since 1970.
    #[must_use]
    pub const fn time(&self) -> i64 {
        self.claimed.time
    }

    /// What makes it one of its kind.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        self.claimed.evidence.as_deref().unwrap_or_default()
    }

    /// Whether `key`'s holder ordered for the log of this name just what `entry` says.
    ///
    /// # Errors
    ///
    /// [`EntryError::Signature`], [`EntryError::OtherOrder`].
    pub fn verify(&self, origin: &str, key: &VerifyingKey, entry: &Entry) -> Result<(), EntryError> {
        self.signed.verify(&context(origin), key)?;
        if self.claimed.is_same_deed(entry) { Ok(()) } else { Err(EntryError::OtherOrder) }
    }
}

impl Entry {
    /// Whether both say the same of who did what to whom and how, whenever and on whatever evidence.
    #[must_use]
    pub fn is_same_deed(&self, other: &Self) -> bool {
        let Self { time: _, action, actor, target, details, evidence: _ } = self;
        (action, actor, target, details) == (&other.action, &other.actor, &other.target, &other.details)
    }
}
