//! A store in a folder of its own, with one tenant.

use std::sync::Arc;

use tempfile::TempDir;
use thingward_model::{TenantName, Timestamp};
use thingward_store::Store;
use tokio::runtime::{Builder, Runtime};

const START_SECONDS: i64 = 1_800_000_000;

/// See the module.
pub(crate) struct Bed {
    pub(crate) runtime: Runtime,
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) tenant: TenantName,
    /// When it all happens.
    pub(crate) now: Timestamp,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (kek, now) = (folder.path().join("kek"), Timestamp::from_seconds(START_SECONDS));
        let tenant: TenantName = "acme".parse().unwrap();
        thingward_crypto::sealed::write_private(&kek, &[7; 32]).unwrap();
        let store = Arc::new(runtime.block_on(Store::open(&folder.path().join("data"))).unwrap());
        let reference = format!("file:{}", kek.display()).parse().unwrap();
        runtime.block_on(store.keys().create(tenant, reference, now)).unwrap();
        Self { runtime, folder, store, tenant, now }
    }
}
