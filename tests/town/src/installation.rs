//! What all towns share: a registry with two tenants and their keys. It is made once, on the real disk; what is under test
//! stands over stores in memory.

use std::sync::Arc;

use tempfile::TempDir;
use thingward_crypto::sealed::{SealingKey, write_private};
use thingward_crypto::{RecipientPublicKey, RecipientSecretKey, VerifyingKey, system_rng};
use thingward_model::{Role, TenantName, Timestamp};
use thingward_mqtt::broker::Limits;
use thingward_service::core::stepped::SteppedCore;
use thingward_service::directory::Directory;
use thingward_store::Store;
use tokio::runtime::Runtime;

use crate::hot::SimHot;
use crate::names::{TRUST_DOMAIN, Whose, tenants};

/// Who is a member: whose and what it is called, role and key.
pub type Member = (Whose, Role, VerifyingKey);

/// See the module.
pub struct Installation {
    folder: TempDir,
    sealing: SealingKey,
    store: Store,
    runtime: Runtime,
    /// For whom devices of each tenant seal.
    recipients: [(TenantName, RecipientPublicKey); 2],
    /// What commands verify with.
    pub command_key: VerifyingKey,
}

impl Installation {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When the disk of this machine fails.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let now = Timestamp::from_seconds(crate::START_SECONDS);
        let data = folder.path().join("data");
        let sealing = SealingKey::generate(&mut system_rng()).expect("a key");
        let store = runtime.block_on(async {
            let store = Store::open(&data).await.expect("a store");
            for tenant in tenants() {
                let kek = folder.path().join(tenant.as_str());
                write_private(&kek, tenant.as_str().repeat(32).as_bytes().get(..32).expect("long"))
                    .expect("a key");
                let reference = format!("file:{}", kek.display()).parse().expect("a reference");
                store.keys().create(tenant, reference, now).await.expect("a tenant");
            }
            store
        });
        let recipients = tenants().map(|tenant| {
            let ring = store.keys().get(&tenant).expect("keys");
            let secret = RecipientSecretKey::from_bytes(*ring.newest().recipient());
            (tenant, secret.public_key().expect("a key"))
        });
        let open = async {
            let over = Store::over(Box::new(SimHot::default()), store.registry().clone(), &data, None).await;
            let over = Arc::new(over.expect("a store"));
            SteppedCore::open(over, Arc::default(), &sealing, TRUST_DOMAIN, Limits::default(), now)
                .await
                .expect("a core")
        };
        let command_key = runtime.block_on(open).command_key().clone();
        Self { folder, sealing, store, runtime, recipients, command_key }
    }

    /// For whom devices of a tenant seal.
    #[must_use]
    pub fn recipient(&self, of: &TenantName) -> RecipientPublicKey {
        let [own, other] = self.recipients;
        if own.0 == *of { own.1 } else { other.1 }
    }

    /// A service that starts over what is in a store.
    ///
    /// # Errors
    ///
    /// Why it does not, in words.
    pub fn start(
        &self,
        hot: &SimHot,
        members: &[Member],
        now: Timestamp,
    ) -> Result<(Arc<Store>, Arc<Directory>, SteppedCore), String> {
        let directory = Arc::new(Directory::default());
        for ((tenant, name), role, key) in members {
            directory.enrolled(*tenant, *name, *role, key);
        }
        let (hot, registry) = (Box::new(hot.clone()), self.store.registry().clone());
        self.runtime.block_on(async {
            let store = Store::over(hot, registry, &self.folder.path().join("data"), None).await;
            let store = Arc::new(store.map_err(|e| e.to_string())?);
            let core = SteppedCore::open(
                Arc::clone(&store),
                Arc::clone(&directory),
                &self.sealing,
                TRUST_DOMAIN,
                Limits::default(),
                now,
            );
            let core = core.await.map_err(|e| e.to_string())?;
            Ok((store, directory, core))
        })
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}
