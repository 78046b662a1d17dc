//! What gateways did by themselves, as they tell it afterwards: into the tenant's log, in their order, once.

use std::collections::HashMap;
use std::sync::Arc;

use thingward_audit::account::{ACTIONS, Place, SignedAccount};
use thingward_audit::entry::{Entry, EntryError, origin};
use thingward_crypto::{Digest, KeyId, VerifyingKey, sha256};
use thingward_model::{DeviceName, Principal, TenantName};
use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};

use crate::audit::Deed;

/// Why an account is not taken.
#[derive(Debug)]
pub(crate) enum BadAccount {
    /// It is none of the gateway's.
    Wrong(EntryError),
    /// It cannot be told whether it is in the log.
    Store(StoreError),
}

impl From<EntryError> for BadAccount {
    fn from(error: EntryError) -> Self {
        Self::Wrong(error)
    }
}

impl From<StoreError> for BadAccount {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An account that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the log already.
    Before,
    /// The log is to say this.
    New(Deed),
    /// The same, but it does not follow what the log has of its gateway: some are missing, or it tells two stories.
    Apart(Deed),
}

/// How far the log is with a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Where its next account stands.
    next: Place,
    /// SHA-256 of its first one: a gateway that lost what it knew begins anew.
    first: Digest,
}

impl Known {
    fn encode(&self) -> Vec<u8> {
        [self.first.as_slice(), &self.next.to_bytes()].concat()
    }

    fn decode(kept: &[u8]) -> Result<Self, StoreError> {
        let read = kept
            .split_first_chunk()
            .and_then(|(first, next)| Some(Self { next: Place::from_bytes(next)?, first: *first }));
        read.ok_or(StoreError::Corrupt { what: "how far a gateway's accounts are".to_owned() })
    }
}

/// Takes the accounts of all gateways.
pub(crate) struct Accounts {
    trust_domain: String,
    store: Arc<Store>,
    /// What was asked for or changed since the start.
    known: HashMap<(TenantName, DeviceName), Known>,
    changed: Batch,
}

impl Accounts {
    /// For the logs of this installation.
    pub(crate) fn new(trust_domain: &str, store: Arc<Store>) -> Self {
        Self { trust_domain: trust_domain.to_owned(), store, known: HashMap::new(), changed: Batch::new() }
    }

    /// Takes what a gateway tells.
    ///
    /// # Errors
    ///
    /// [`BadAccount`]; nothing is changed.
    pub(crate) fn take(
        &mut self,
        gateway: &Principal,
        bytes: &[u8],
        key_of: impl FnOnce(&KeyId) -> Option<VerifyingKey>,
    ) -> Result<Taken, BadAccount> {
        let account = SignedAccount::decode(bytes)?;
        let key = key_of(&account.key_id()?).ok_or(EntryError::Signature)?;
        let actor = format!("gateway/{}", gateway.name);
        let told = account.verify(&origin(&self.trust_domain, gateway.tenant.as_str()), &key, &actor)?;
        let at = (gateway.tenant, gateway.name);
        let (place, hash) = (account.place_unverified(), sha256(&[bytes]));
        let known = self.known(&at)?;
        let is_before = known.is_some_and(|known| is_before(&known, &place, &hash));
        if is_before {
            return Ok(Taken::Before);
        }
        let follows = place == known.map_or(Place::FIRST, |known| known.next);
        let first = known.filter(|_| place.number != Place::FIRST.number).map_or(hash, |known| known.first);
        let known = Known { next: place.next(bytes), first };
        self.changed.put(Space::Meta, key_at(&at), known.encode());
        self.known.insert(at, known);
        let deed = Deed { evidence: Some(bytes.to_vec()), ..deed(told)? };
        Ok(if follows { Taken::New(deed) } else { Taken::Apart(deed) })
    }

    /// What is to be kept.
    pub(crate) fn drain(&mut self) -> Batch {
        std::mem::take(&mut self.changed)
    }

    fn known(&self, at: &(TenantName, DeviceName)) -> Result<Option<Known>, StoreError> {
        if let Some(known) = self.known.get(at) {
            return Ok(Some(*known));
        }
        self.store.get(Space::Meta, &key_at(at))?.as_deref().map(Known::decode).transpose()
    }
}

/// Whether the log has it already: the gateway sends again what it does not know to have arrived.
fn is_before(known: &Known, place: &Place, hash: &Digest) -> bool {
    if place.number == Place::FIRST.number {
        return *hash == known.first;
    }
    let is_last = place.number.saturating_add(1) == known.next.number;
    place.number < known.next.number && (!is_last || *hash == known.next.previous)
}

fn key_at((tenant, gateway): &(TenantName, DeviceName)) -> Vec<u8> {
    format!("accounts\0{tenant}\0{gateway}").into_bytes()
}

fn deed(told: &Entry) -> Result<Deed, EntryError> {
    let Entry { actor, action, target, details, .. } = told.clone();
    let action = ACTIONS.into_iter().find(|known| *known == action).ok_or(EntryError::OtherOrder)?;
    Ok(Deed { details, ..Deed::new(actor, action, target) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(accounts: &[&[u8]]) -> Known {
        let next = accounts.iter().fold(Place::FIRST, |place, account| place.next(account));
        Known { next, first: sha256(&[accounts[0]]) }
    }

    #[test]
    fn what_is_known_is_told_from_another_story_and_from_a_new_beginning() {
        let known = known(&[b"1", b"2", b"3"]);
        assert_eq!(Known::decode(&known.encode()).unwrap(), known);
        let before = |number, account: &[u8]| {
            is_before(&known, &Place { number, previous: [0; 32] }, &sha256(&[account]))
        };
        assert!(before(1, b"1") && before(2, b"2") && before(3, b"3"));
        assert!(!before(1, b"anew") && !before(3, b"another") && !before(4, b"4") && !before(9, b"9"));
    }
}
