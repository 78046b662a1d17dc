//! The files of a radio that is not there. They are its alone.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 8 * 1024;

pub(super) struct Home {
    dir: PathBuf,
    /// What was kept last.
    kept: Zeroizing<Vec<u8>>,
}

impl Home {
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Failure::file(dir))?;
        Ok(Self { dir: dir.to_owned(), kept: Zeroizing::default() })
    }

    /// A file, if it is there.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let path = self.dir.join(name);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Failure::file(&path))?,
        };
        let mut bytes = Zeroizing::default();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(Failure::file(&path))?;
        Ok(Some(bytes))
    }

    /// A file in place of the one before, whole or not at all.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, unfinished) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.and_then(|()| fs::rename(&unfinished, &path)).map_err(Failure::file(&path))
    }

    /// What has to be there after a loss of power, where it changed.
    pub(super) fn keep(&mut self, flash: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
        if self.kept != flash {
            self.write("flash", &flash)?;
            self.kept = flash;
        }
        Ok(())
    }
}

/// The line, which is this user's alone. What is left of one that was there before is removed.
pub(super) fn listen(line: &Path) -> Result<UnixListener, Failure> {
    match fs::remove_file(line) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failure::file(line)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(line).map_err(Failure::file(line))?;
    fs::set_permissions(line, Permissions::from_mode(0o600)).map_err(Failure::file(line))?;
    Ok(listener)
}
