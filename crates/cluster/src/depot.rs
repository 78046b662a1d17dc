//! Files that never change, in a JetStream object store, for installations that have no other.

use std::path::Path;

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use thingward_store::{Depot, StoreError};
use tokio::fs::File;
use tokio::runtime::Handle;

use crate::nats::{Nats, NatsError, patiently};

/// All files of all nodes.
pub struct NatsDepot {
    objects: ObjectStore,
    runtime: Handle,
}

impl NatsDepot {
    /// Finds the installation's object store, or makes it.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn open(nats: &Nats) -> Result<Self, NatsError> {
        let bucket = format!("{}-files", nats.prefix);
        let config = Config {
            name: format!("OBJ_{bucket}"),
            subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: nats.replicas,
            allow_rollup: true,
            ..Config::default()
        };
        patiently("make the object store", || nats.jetstream.get_or_create_stream(config.clone())).await?;
        let objects = patiently("open the object store", || nats.jetstream.get_object_store(&bucket)).await?;
        Ok(Self { objects, runtime: Handle::current() })
    }
}

impl Depot for NatsDepot {
    fn put(&self, name: &str, file: &Path) -> Result<(), StoreError> {
        wait(&self.runtime, async {
            if is_kept(&self.objects, name).await? {
                return Ok(());
            }
            let mut file = File::open(file).await.map_err(|e| failed("read a file", e))?;
            let kept = self.objects.put(name, &mut file).await;
            kept.map(drop).map_err(|e| failed("put a file into the object store", e))
        })
    }

    fn get(&self, name: &str, file: &Path) -> Result<(), StoreError> {
        wait(&self.runtime, async {
            let mut object = self.objects.get(name).await.map_err(|error| match error.kind() {
                GetErrorKind::NotFound => StoreError::NotFound { what: "file" },
                _ => failed("get a file from the object store", error),
            })?;
            let mut file = File::create(file).await.map_err(|e| failed("write a file", e))?;
            let copied = tokio::io::copy(&mut object, &mut file).await;
            copied.map_err(|e| failed("get a file from the object store", e))?;
            file.sync_all().await.map_err(|e| failed("write a file", e))
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        wait(&self.runtime, async {
            if !is_kept(&self.objects, name).await? {
                return Ok(());
            }
            let removed = self.objects.delete(name).await;
            removed.map_err(|e| failed("remove a file from the object store", e))
        })
    }
}

async fn is_kept(objects: &ObjectStore, name: &str) -> Result<bool, StoreError> {
    match objects.info(name).await {
        Ok(info) => Ok(!info.deleted),
        Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look for a file in the object store", error)),
    }
}

/// Waits for work on the runtime. A thread that is one of its own lets another one take its place meanwhile.
pub(crate) fn wait<T>(runtime: &Handle, work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| runtime.block_on(work))
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Io { what: what.to_owned(), source: std::io::Error::other(error) }
}
