//! What a gateway did by itself, under its own key, for a log that it cannot reach meanwhile.
//!
//! An account is laid out as an entry and signed as one, in another context, which names the log. Where an entry has its
//! evidence, an account has its place among the accounts of its gateway: its number, and the SHA-256 of the one before it.
//! So the log shows when one is missing. The signed account is the evidence of the entry that follows.

use std::string::String;
use std::vec::Vec;

use thingward_crypto::{Digest, KeyId, Signer, VerifyingKey, sha256};

use crate::entry::{Entry, EntryError};
use crate::sign1;

const CONTEXT: &str = "thingward account ";
/// Bytes of a [`Place`].
const PLACE_BYTES: usize = 8 + size_of::<Digest>();

/// What accounts tell of; a gateway does nothing else by itself that is in the log.
pub const ACTIONS: [&str; 4] = ["gateway.command", "gateway.policy", "gateway.refuse", "gateway.reply"];

/// Largest account, in bytes.
pub const ACCOUNT_BYTES_MAX: usize = 8 * 1024;

/// What the account of somebody for the log of this name is bound to.
fn context(origin: &str) -> Vec<u8> {
    [CONTEXT, origin].concat().into_bytes()
}

/// Where an account stands among those of its gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 1.
    pub number: u64,
    /// SHA-256 of the account before it; zeros for the first.
    pub previous: Digest,
}

impl Place {
    /// That of a gateway's first account.
    pub const FIRST: Self = Self { number: 1, previous: [0; 32] };

    /// The place behind this one, whose account is these bytes.
    #[must_use]
    pub fn next(&self, account: &[u8]) -> Self {
        Self { number: self.number.saturating_add(1), previous: sha256(&[account]) }
    }

    /// As it is kept: the number, big-endian, then the hash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.number.to_be_bytes().as_slice(), &self.previous].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; PLACE_BYTES] = bytes.try_into().ok()?;
        let (number, previous) = bytes.split_first_chunk::<8>()?;
        Some(Self { number: u64::from_be_bytes(*number), previous: previous.try_into().ok()? })
    }
}

/// Signs the account of `deed`, for the log of this name. What the deed has as evidence is left out.
///
/// # Errors
///
/// [`EntryError::TooLarge`], [`EntryError::Signer`].
pub fn sign(
    origin: &str,
    place: &Place,
    deed: &Entry,
    signer: &(impl Signer + ?Sized),
) -> Result<Vec<u8>, EntryError> {
    let deed = Entry { evidence: Some(place.to_bytes()), ..deed.clone() };
    let account = sign1::sign(&context(origin), &deed.encode()?, signer)?;
    if account.len() > ACCOUNT_BYTES_MAX { Err(EntryError::TooLarge) } else { Ok(account) }
}

/// A well-formed account whose signature nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAccount<'a> {
    signed: sign1::Signed<'a>,
    place: Place,
    claimed: Entry,
}

impl<'a> SignedAccount<'a> {
    /// Reads an account.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EntryError> {
        if bytes.len() > ACCOUNT_BYTES_MAX {
            return Err(EntryError::TooLarge);
        }
        let signed = sign1::Signed::decode(bytes)?;
        let mut claimed = Entry::decode(signed.payload_unverified())?;
        let place = claimed.evidence.take();
        let place = place.as_deref().and_then(Place::from_bytes).ok_or(EntryError::Malformed)?;
        Ok(Self { signed, place, claimed })
    }

    /// The key that it says signed it.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn key_id(&self) -> Result<KeyId, EntryError> {
        self.signed.key_id()
    }

    /// Where it says that it stands, on nobody's word.
    #[must_use]
    pub const fn place_unverified(&self) -> Place {
        self.place
    }

    /// What it says, on the word of `key`'s holder: `actor`, who can only tell of itself, and only of [`ACTIONS`].
    ///
    /// # Errors
    ///
    /// [`EntryError::Signature`]; [`EntryError::OtherOrder`] when it tells of somebody or something else.
    pub fn verify(&self, origin: &str, key: &VerifyingKey, actor: &str) -> Result<&Entry, EntryError> {
        self.signed.verify(&context(origin), key)?;
        let action: &String = &self.claimed.action;
        let is_its_own = self.claimed.actor == actor && ACTIONS.contains(&action.as_str());
        if is_its_own { Ok(&self.claimed) } else { Err(EntryError::OtherOrder) }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use thingward_crypto::{SignatureAlgorithm, SoftwareKey};

    use super::*;

    const ORIGIN: &str = "thingward.test/tenant/acme";
    const ACTOR: &str = "gateway/hall";

    fn key(seed: u8) -> SoftwareKey {
        SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap()
    }

    fn deed() -> Entry {
        Entry {
            time: 1,
            action: "gateway.command".to_string(),
            actor: ACTOR.to_string(),
            target: "operation/bulb-1/turn-on".to_string(),
            details: [("for".to_string(), "application/home".to_string())].into(),
            evidence: None,
        }
    }

    #[test]
    fn an_account_is_its_gateways_word_for_one_log_and_one_place() {
        let key = key(1);
        let account = sign(ORIGIN, &Place::FIRST, &deed(), &key).unwrap();
        let read = SignedAccount::decode(&account).unwrap();
        assert_eq!(read.place_unverified(), Place::FIRST);
        assert_eq!(read.key_id().unwrap(), key.public_key().id());
        assert_eq!(read.verify(ORIGIN, key.public_key(), ACTOR), Ok(&deed()));
        let other = self::key(2);
        let refused =
            |origin, key: &SoftwareKey, actor| read.verify(origin, key.public_key(), actor).unwrap_err();
        assert_eq!(refused("thingward.test/tenant/other", &key, ACTOR), EntryError::Signature);
        assert_eq!(refused(ORIGIN, &other, ACTOR), EntryError::Signature);
        assert_eq!(refused(ORIGIN, &key, "gateway/other"), EntryError::OtherOrder);
    }

    #[test]
    fn a_gateway_tells_of_what_gateways_do_and_of_nothing_else() {
        let key = key(1);
        let of_others = Entry { action: "user.add".to_string(), ..deed() };
        let account = sign(ORIGIN, &Place::FIRST, &of_others, &key).unwrap();
        let read = SignedAccount::decode(&account).unwrap();
        assert_eq!(read.verify(ORIGIN, key.public_key(), ACTOR), Err(EntryError::OtherOrder));
    }

    #[test]
    fn no_byte_of_an_account_can_be_another_and_none_be_left_out() {
        let key = key(1);
        let place = Place::FIRST.next(b"before");
        let account = sign(ORIGIN, &place, &deed(), &key).unwrap();
        let stands = |bytes: &[u8]| {
            SignedAccount::decode(bytes).is_ok_and(|read| {
                read.verify(ORIGIN, key.public_key(), ACTOR).is_ok_and(|entry| *entry == deed())
                    && read.place_unverified() == place
            })
        };
        assert!(stands(&account));
        for at in 0..account.len() {
            let mut wrong = account.clone();
            wrong[at] ^= 1;
            assert!(!stands(&wrong), "byte {at}");
            assert!(!stands(&account[..at]), "cut at {at}");
        }
        assert!(!stands(&[account.as_slice(), &[0]].concat()));
    }
}
