//! The keys that open what is sealed for the service: tenants' own, and those of chains that are derived from them.

use std::sync::{Arc, Weak};

use ahash::HashMap;
use thingward_crypto::{KeyId, RecipientSecretKey};
use thingward_model::TenantName;
use thingward_seal::{RecordKey, Violation};
use thingward_store::Store;
use thingward_store::keys::{TenantKey, TenantKeyRing};

use super::{Bad, subject};
use crate::stream_state::{Chain, StreamKey};

/// For whom devices of each tenant seal, read when one of them is needed first.
#[derive(Default)]
pub(super) struct Recipients(HashMap<TenantName, OfTenant>);

struct OfTenant {
    /// From which the secrets are derived: again only when it is another one, whatever peers ask for. It is not kept for that.
    ring: Weak<TenantKeyRing>,
    secrets: Vec<(KeyId, RecipientSecretKey)>,
}

impl OfTenant {
    fn derive(ring: &Arc<TenantKeyRing>) -> Self {
        let secret = |key: &TenantKey| {
            let secret = RecipientSecretKey::from_bytes(*key.recipient());
            Some((secret.public_key().ok()?.id(), secret))
        };
        let secrets = ring.iter().filter_map(secret).collect();
        Self { ring: Arc::downgrade(ring), secrets }
    }

    fn get(&self, id: &KeyId) -> Option<&RecipientSecretKey> {
        self.secrets.iter().find(|(known, _)| known == id).map(|(_, secret)| secret)
    }
}

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
        if self.0.get(tenant).is_none_or(|all| all.get(id).is_none()) {
            let ring = store.keys().get(tenant).map_err(Bad::Store)?;
            if self.0.get(tenant).is_none_or(|all| all.ring.as_ptr() != Arc::as_ptr(&ring)) {
                self.0.insert(*tenant, OfTenant::derive(&ring));
            }
        }
        self.0.get(tenant).and_then(|all| all.get(id)).ok_or(Bad::Violation(Violation::UnknownChain))
    }

    pub(super) fn forget(&mut self, tenant: &TenantName) {
        self.0.remove(tenant);
    }
}
