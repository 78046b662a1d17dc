//! Uses of grants as devices report them. A device reports a use until it is acknowledged, hours later too; each counts
//! once. Uses and their counts are durable in one step with the log entries about them.

use std::sync::Arc;

use thingward_audit::usage::{UseFault, UseReport};
use thingward_crypto::{KeyId, VerifyingKey};
use thingward_grant::Nonce;
use thingward_model::{Principal, TenantName, Timestamp};
use thingward_store::hot::{Batch, Space};
use thingward_store::registry::GrantId;
use thingward_store::{Store, StoreError};

use crate::ahead::Ahead;
use crate::audit::Deed;
use crate::purchases;

/// What the keys of counts and of uses start with.
const COUNT_PREFIX: u8 = b'c';
const USE_PREFIX: u8 = b'u';

/// How often a grant was used, as far as its devices have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// How often.
    pub(crate) used: u32,
    /// The latest, by the device's clock.
    pub(crate) last: Timestamp,
}

impl Count {
    /// That of a grant; `None` before its first use.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn of(
        store: &Store,
        tenant: &TenantName,
        grant: &GrantId,
    ) -> Result<Option<Self>, StoreError> {
        let kept = store.get(Space::Uses, &key(COUNT_PREFIX, tenant, grant, &[]))?;
        kept.as_deref().map(Self::decode).transpose()
    }

    fn encode(self) -> Vec<u8> {
        [self.used.to_be_bytes().as_slice(), &self.last.as_micros().to_be_bytes()].concat()
    }

    fn decode(kept: &[u8]) -> Result<Self, StoreError> {
        let read = kept.split_first_chunk::<4>().and_then(|(used, last)| {
            let last = i64::from_be_bytes(last.try_into().ok()?);
            Some(Self { used: u32::from_be_bytes(*used), last: Timestamp::from_micros(last) })
        });
        read.ok_or(StoreError::Corrupt { what: "a count of uses".to_owned() })
    }
}

/// Why a report counts for nothing.
pub(crate) enum BadUse {
    /// It is none.
    Wrong(UseFault),
    /// It cannot be told whether it was counted.
    Store(StoreError),
}

impl From<UseFault> for BadUse {
    fn from(fault: UseFault) -> Self {
        Self::Wrong(fault)
    }
}

impl From<StoreError> for BadUse {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// Counts uses of all tenants' grants.
pub(crate) struct Uses {
    issuer: VerifyingKey,
    kept: Ahead,
}

impl Uses {
    /// Of grants by `issuer`.
    pub(crate) fn new(issuer: VerifyingKey, store: Arc<Store>) -> Self {
        Self { issuer, kept: Ahead::new(store, Space::Uses) }
    }

    /// Takes a device's report of the use with this nonce. Gives what the log is to say, the first time.
    ///
    /// # Errors
    ///
    /// [`BadUse`]; nothing is counted.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        who: &Principal,
        nonce: &Nonce,
        bytes: &[u8],
        key_of: impl FnOnce(&KeyId) -> Option<VerifyingKey>,
    ) -> Result<Option<Deed>, BadUse> {
        let report = UseReport::decode(bytes)?;
        let device_key = key_of(&report.key_id()).ok_or(UseFault::Signer)?;
        let known = report.verify(who.tenant.as_str(), who.name.as_str(), &device_key, &self.issuer)?;
        if known.nonce() != *nonce {
            return Err(UseFault::OtherPresentation.into());
        }
        let (grant, time) = (known.used.origin.id, known.reply.time);
        let at = key(USE_PREFIX, &who.tenant, &grant, nonce);
        if self.kept.get(&at)?.is_some() {
            return Ok(None);
        }
        let count_at = key(COUNT_PREFIX, &who.tenant, &grant, &[]);
        let before = self.kept.get(&count_at)?.as_deref().map(Count::decode).transpose()?;
        let count = before.map_or(Count { used: 1, last: time }, |before| Count {
            used: before.used.saturating_add(1),
            last: before.last.max(time),
        });
        self.kept.put(at, time.as_micros().to_be_bytes().to_vec())?;
        self.kept.put(count_at, count.encode())?;
        if let Some(kept) = purchases::uses::kept(&known, now) {
            self.kept.put_unread(key(purchases::uses::PREFIX, &who.tenant, &grant, nonce), kept);
        }
        let deed = Deed::new(format!("device/{}", who.name), "grant.use", known.target());
        let deed = known.details().into_iter().fold(deed, |deed, (name, value)| deed.with(name, value));
        Ok(Some(Deed { evidence: Some(bytes.to_vec()), ..deed }))
    }

    /// What is to be kept.
    pub(crate) fn drain(&mut self) -> Batch {
        self.kept.drain()
    }
}

/// `prefix | tenant | 0 | grant(8) | nonce(16), of a use`.
fn key(prefix: u8, tenant: &TenantName, grant: &GrantId, nonce: &[u8]) -> Vec<u8> {
    [&[prefix], tenant.as_str().as_bytes(), b"\0", grant, nonce].concat()
}
