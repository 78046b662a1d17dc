//! The keys that open what is sealed for the service: tenants' own, and those of chains that are derived from them.

use ahash::HashMap;
use thingward_crypto::{KeyId, RecipientSecretKey};
use thingward_model::TenantName;
use thingward_seal::{RecordKey, Violation};
use thingward_store::Store;

use super::{Bad, subject};
use crate::stream_state::{Chain, StreamKey};

/// For whom devices of each tenant seal, read when one of them is needed first.
#[derive(Default)]
pub(super) struct Recipients(HashMap<TenantName, Vec<(KeyId, RecipientSecretKey)>>);

impl Recipients {
    /// The records' key of a chain that is sealed for the service, derived on first use.
    pub(super) fn record_key<'a>(
        &mut self,
        chain: &'a mut Chain,
        at: &StreamKey,
        store: &Store,
    ) -> Result<&'a RecordKey, Bad> {
        if chain.key.is_none() {
            let secret = self.secret(&chain.recipient, &at.tenant, store)?;
            let (cipher, id) = (chain.cipher, chain.state.chain);
            let key = RecordKey::derive(secret, &chain.encapsulated, cipher, &subject(at), &id);
            chain.key = Some(key.map_err(|_| Bad::Violation(Violation::Forged))?);
        }
        chain.key.as_ref().ok_or(Bad::Violation(Violation::UnknownChain))
    }

    fn secret(&mut self, id: &KeyId, tenant: &TenantName, store: &Store) -> Result<&RecipientSecretKey, Bad> {
        let is_known = |all: &[(KeyId, RecipientSecretKey)]| all.iter().any(|(known, _)| known == id);
        if !self.0.get(tenant).is_some_and(|all| is_known(all)) {
            let ring = store.keys().get(tenant).map_err(Bad::Store)?;
            let secrets = ring.iter().filter_map(|key| {
                let secret = RecipientSecretKey::from_bytes(*key.recipient());
                Some((secret.public_key().ok()?.id(), secret))
            });
            self.0.insert(*tenant, secrets.collect());
        }
        let all = self.0.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let found = all.iter().find(|(known, _)| known == id);
        found.map(|(_, secret)| secret).ok_or(Bad::Violation(Violation::UnknownChain))
    }

    pub(super) fn forget(&mut self, tenant: &TenantName) {
        self.0.remove(tenant);
    }
}
