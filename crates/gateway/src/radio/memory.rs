//! The memory and the secret of a thing whose key this gateway keeps, as files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::Rng;
use thingward_crypto::sealed::{SealingKey, read_private, sync_parent, write_private};
use thingward_crypto::system_rng;
use thingward_device::{DeviceSecret, Flash, FlashError};
use zeroize::Zeroizing;

const MEMORY_BYTES: usize = 64 * 1024;
/// What memory is where nothing was written.
const ERASED: u8 = 0xff;
/// The file of a thing's secret, in its folder.
pub(super) const SECRET_FILE: &str = "secret";
/// What the sealed secret is bound to.
pub(super) const SECRET_LABEL: &[u8] = b"thingward kept thing";

/// A file that is durable byte for byte.
pub(super) struct Memory(File);

impl Memory {
    /// The one in this file, or a new one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => return Self::alone(file?),
        }
        // Whole or not at all: a name of its own until it has all its bytes.
        let new = path.with_extension("new");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all_at(&vec![ERASED; MEMORY_BYTES], 0)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_parent(path)?;
        Self::alone(file)
    }

    /// Two devices on one memory would use a number of their chain twice.
    fn alone(file: File) -> io::Result<Self> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Flash for Memory {
    const BYTES: usize = MEMORY_BYTES;

    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
        self.0.read_exact_at(out, offset(at)?).map_err(failed)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.write_all_at(bytes, offset(at)?).map_err(failed)?;
        self.0.sync_data().map_err(failed)
    }
}

fn offset(at: usize) -> Result<u64, FlashError> {
    u64::try_from(at).map_err(|_| FlashError)
}

fn failed(error: io::Error) -> FlashError {
    tracing::error!(%error, "the memory of a thing");
    FlashError
}

/// A random secret, sealed under the gateway's key.
pub(super) struct Secret {
    path: PathBuf,
    key: SealingKey,
}

impl Secret {
    /// The one in this file, or a new one.
    pub(super) fn open(path: PathBuf, key: SealingKey) -> io::Result<Self> {
        if !path.try_exists()? {
            let mut secret = Zeroizing::new([0; 32]);
            system_rng().fill_bytes(secret.as_mut());
            write_private(&path, &key.seal(SECRET_LABEL, secret.as_ref()).map_err(io::Error::other)?)?;
        }
        Ok(Self { path, key })
    }
}

impl DeviceSecret for Secret {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        let opened = self.key.open(SECRET_LABEL, &read_private(&self.path).ok()?).ok()?;
        opened.as_slice().try_into().ok().map(Zeroizing::new)
    }

    fn erase(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::error!(%error, "the secret of a thing is still there");
        }
    }
}
