//! Files that never change, in a JetStream object store, for installations that have no other.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, Object, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use bytes::BytesMut;
use thingward_store::{Depot, StoreError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::nats::{Nats, NatsError, patiently};
use crate::s3::Upload;

/// Longest wait for a piece of a file.
const QUIET: Duration = Duration::from_secs(20);
/// What is in memory of a file at a time.
const PIECE_BYTES: usize = 128 * 1024;

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
        nats.stream("make the object store", config).await?;
        let objects = patiently("open the object store", || nats.jetstream.get_object_store(&bucket)).await?;
        Ok(Self { objects, runtime: Handle::current() })
    }
}

impl Depot for NatsDepot {
    fn put(&self, name: &str, file: &Path) -> Result<(), StoreError> {
        wait(&self.runtime, async {
            let upload = Upload::of(file).await.map_err(|e| failed("read a file", e))?;
            if let Some(kept) = kept(&self.objects, name).await? {
                let is_same = kept.size as u64 == upload.bytes && digest(&kept) == Some(upload.checksum);
                let another = std::io::Error::other(format!("`{name}` is there already, and is another"));
                return if is_same {
                    Ok(())
                } else {
                    Err(failed("put a file into the object store", another))
                };
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
            let mut file = create(file).await.map_err(|e| failed("write a file", e))?;
            // A piece that is lost or removed never comes, and the library would wait for it.
            while timeout(QUIET, next_piece(&mut object, &mut file))
                .await
                .map_err(|e| failed("get a file from the object store", e))?
                .map_err(|e| failed("get a file from the object store", e))?
            {}
            file.sync_all().await.map_err(|e| failed("write a file", e))
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        wait(&self.runtime, async {
            if kept(&self.objects, name).await?.is_none() {
                return Ok(());
            }
            let removed = self.objects.delete(name).await;
            removed.map_err(|e| failed("remove a file from the object store", e))
        })
    }
}

/// What is known of a file that is there.
async fn kept(objects: &ObjectStore, name: &str) -> Result<Option<ObjectInfo>, StoreError> {
    match objects.info(name).await {
        Ok(info) => Ok(Some(info).filter(|info| !info.deleted)),
        Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look for a file in the object store", error)),
    }
}

/// SHA-256 in Base64, which NATS says in the alphabet for URLs.
fn digest(info: &ObjectInfo) -> Option<String> {
    Some(info.digest.as_ref()?.strip_prefix("SHA-256=")?.replace('-', "+").replace('_', "/"))
}

/// `false` at the end.
async fn next_piece(object: &mut Object, file: &mut File) -> std::io::Result<bool> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let is_more = object.read_buf(&mut piece).await? > 0;
    file.write_all(&piece).await?;
    Ok(is_more)
}

/// A new file that only its owner may read.
pub(crate) async fn create(path: &Path) -> std::io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path).await
}

/// Waits for work on the runtime. A thread that is one of its own lets another one take its place meanwhile.
pub(crate) fn wait<T>(runtime: &Handle, work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| runtime.block_on(work))
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Io { what: what.to_owned(), source: std::io::Error::other(error) }
}
