//! Files that commands write.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;

/// Writes a new file with mode 0600. One that is there is never overwritten.
pub(super) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o600)
}

/// Writes a new file that everyone may read. One that is there is never overwritten.
pub(super) fn create_public(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o644)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::Failed(format!("{} is there already and stays as it is", path.display()))
        }
        _ => Failure::file(path)(e),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Failure::file(path))
}
