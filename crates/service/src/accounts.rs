//! What gateways did by themselves, as they tell it afterwards: into the tenant's log, in their order, once.

use std::sync::Arc;

use thingward_audit::account::{ACTIONS, Place, SignedAccount};
use thingward_audit::entry::{Entry, EntryError, origin};
use thingward_crypto::{KeyId, VerifyingKey, sha256};
use thingward_model::{DeviceName, Principal, TenantName};
use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};

use crate::ahead::Ahead;
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
    /// The same, but it begins anew: the gateway lost what it knew, or keeps some to itself.
    Anew(Deed),
}

/// Takes the accounts of all gateways.
pub(crate) struct Accounts {
    trust_domain: String,
    kept: Ahead,
}

impl Accounts {
    /// For the logs of this installation.
    pub(crate) fn new(trust_domain: &str, store: Arc<Store>) -> Self {
        Self { trust_domain: trust_domain.to_owned(), kept: Ahead::new(store, Space::Meta) }
    }

    /// Takes what a gateway tells: it sends again what it does not know to have arrived.
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
        let (of, place) = (of_gateway(&gateway.tenant, &gateway.name), account.place_unverified());
        let own = [of.as_slice(), &sha256(&[bytes])].concat();
        if self.kept.get(&own)?.is_some() {
            return Ok(Taken::Before);
        }
        let next = self.kept.get(&of)?.as_deref().map(place_of).transpose()?;
        let deed = Deed { evidence: Some(bytes.to_vec()), ..deed(told)? };
        self.kept.put(own, Vec::from([1]))?;
        self.kept.put(of, place.next(bytes).to_bytes())?;
        Ok(match next {
            None if place == Place::FIRST => Taken::New(deed),
            Some(next) if place == next => Taken::New(deed),
            Some(_) if place == Place::FIRST => Taken::Anew(deed),
            _ => Taken::Apart(deed),
        })
    }

    /// What is to be kept.
    pub(crate) fn drain(&mut self) -> Batch {
        self.kept.drain()
    }
}

fn place_of(kept: &[u8]) -> Result<Place, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "where a gateway's next account stands".to_owned() };
    Place::from_bytes(kept).ok_or_else(corrupt)
}

/// Where it is kept where a gateway's next account stands; with the hash of an account behind it, that the log has that.
fn of_gateway(tenant: &TenantName, gateway: &DeviceName) -> Vec<u8> {
    format!("accounts\0{tenant}\0{gateway}\0").into_bytes()
}

fn deed(told: &Entry) -> Result<Deed, EntryError> {
    let Entry { actor, action, target, details, .. } = told.clone();
    let action = ACTIONS.into_iter().find(|known| *known == action).ok_or(EntryError::OtherOrder)?;
    Ok(Deed { details, ..Deed::new(actor, action, target) })
}
