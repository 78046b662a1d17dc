//! The few file operations that the spool is made of, so that tests can break any of them.

#[cfg(test)]
pub(crate) mod memory;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thingward_crypto::sealed::{sync_parent, write_private};

/// How the name of a file ends that a crash left of a replacement. Nobody misses it.
pub const UNFINISHED: &str = ".new";

/// A flat set of named files.
pub trait Disk {
    /// Names of all files.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The whole file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// `len` bytes at `offset`.
    ///
    /// # Errors
    ///
    /// What the system says, also when the file is shorter.
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Adds `bytes` at the end of the file, which is made when there is none. MUST be durable on `Ok`.
    ///
    /// # Errors
    ///
    /// What the system says; any part of `bytes` may then be in the file.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `len` bytes; it is no error when there is none. MUST be durable on `Ok`.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Replaces the file, so that after a crash the old or the new one is there, whole. MUST be durable on `Ok`.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes the file; it is no error when there is none.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

impl<D: Disk + ?Sized> Disk for Box<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(name)
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        (**self).read_at(name, offset, len)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).append(name, bytes)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        (**self).truncate(name, len)
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).replace(name, bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }
}

/// A directory of the real file system. Files have mode 0600.
pub struct Directory {
    path: PathBuf,
    /// The file last appended to stays open: it is the same one for megabytes on end.
    open: Option<(String, File)>,
}

impl Directory {
    /// The directory, made with mode 0700 when there is none.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        create_private_dir(path)?;
        Ok(Self { path: path.to_owned(), open: None })
    }

    /// From here on the name may be another file's.
    fn close(&mut self, name: &str) {
        if self.open.as_ref().is_some_and(|(open, _)| open == name) {
            self.open = None;
        }
    }
}

/// Makes a directory and its parents with mode 0700, durably. One that is there stays as it is.
///
/// # Errors
///
/// What the system says.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private_dir(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(e),
        _ => sync_parent(path),
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let file = match &mut self.open {
            Some((open, file)) if open == name => file,
            slot => {
                let is_new = !path.exists();
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
                if is_new {
                    sync_parent(&path)?;
                }
                &mut slot.insert((name.to_owned(), file)).1
            }
        };
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        match OpenOptions::new().write(true).open(self.path.join(name)) {
            Ok(file) => {
                file.set_len(len)?;
                file.sync_all()
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.close(name);
        let path = self.path.join(name);
        write_private(&path, bytes).inspect_err(|_| {
            // It takes room, which may be what was missing.
            let _ = fs::remove_file(path.with_extension(UNFINISHED.trim_start_matches('.')));
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.close(name);
        match fs::remove_file(self.path.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
