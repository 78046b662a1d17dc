//! Files that never change once they are there: segments of history, and full tiles of logs.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;

/// Where all nodes of a service find the files of each.
pub trait Depot: Send + Sync {
    /// Keeps a file under this name. What is there already is never another. Blocks.
    ///
    /// MUST NOT return `Ok` before the file survives the loss of any one machine.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    fn put(&self, name: &str, file: &Path) -> Result<(), StoreError>;

    /// Writes what is kept under this name to a new file, which only its owner may read. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is nothing, else [`StoreError::Io`].
    fn get(&self, name: &str, file: &Path) -> Result<(), StoreError>;

    /// Forgets what is kept under this name; no error when there is nothing. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    fn remove(&self, name: &str) -> Result<(), StoreError>;
}

/// A folder of such files: all that there are, or those that this node had to do with, and a depot that has all.
#[derive(Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
    /// What names begin with there.
    name: &'static str,
    depot: Option<Arc<dyn Depot>>,
}

impl Shelf {
    pub(crate) fn new(data_dir: &Path, name: &'static str, depot: Option<Arc<dyn Depot>>) -> Self {
        Self { folder: data_dir.join(name), name, depot }
    }

    /// Where the files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file that is in the folder is there for all nodes from now on.
    ///
    /// # Errors
    ///
    /// What the depot says.
    pub(crate) fn keep(&self, file: &str) -> Result<(), StoreError> {
        let Some(depot) = &self.depot else { return Ok(()) };
        depot.put(&format!("{}/{file}", self.name), &self.folder.join(file))
    }

    /// Keeps all files of the folder in a depot, save those of no use to anybody, and returns how many that are.
    ///
    /// # Errors
    ///
    /// What disk or depot say.
    pub(crate) fn keep_all(&self, depot: &dyn Depot, useless: &HashSet<PathBuf>) -> Result<u64, StoreError> {
        let (mut folders, mut kept) = (vec![self.folder.clone()], 0);
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries.map_err(StoreError::io("list files"))?,
            };
            for entry in entries {
                let path = entry.map_err(StoreError::io("list files"))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if useless.contains(&path) || path.extension().is_some_and(|ending| ending == "tmp") {
                    // A crash left it, perhaps half written.
                } else if let Some(file) = path.strip_prefix(&self.folder).ok().and_then(Path::to_str) {
                    depot.put(&format!("{}/{file}", self.name), &path)?;
                    kept += 1;
                }
            }
        }
        Ok(kept)
    }

    /// Where a file is in the folder, from where another node left it when it has to be.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when no node has it, else what disk or depot say.
    pub(crate) fn fetch(&self, file: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(file);
        if path.exists() {
            return Ok(path);
        }
        let depot = self.depot.as_ref().ok_or(StoreError::NotFound { what: "file" })?;
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(StoreError::io("create a folder"))?;
        }
        // Of two that fetch it at once, both have it whole.
        static FETCHED: AtomicU64 = AtomicU64::new(0);
        let unfinished = path.with_extension(format!("{}.tmp", FETCHED.fetch_add(1, Ordering::Relaxed)));
        let fetched = depot.get(&format!("{}/{file}", self.name), &unfinished);
        let placed = fetched.and_then(|()| {
            fs::rename(&unfinished, &path).map_err(StoreError::io("place a file from the depot"))
        });
        if placed.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        placed.map(|()| path)
    }

    /// Does not keep a file that came from the depot and is not what it has to be. What is in this folder alone stays.
    pub(crate) fn forget(&self, file: &str) {
        if self.depot.is_some() {
            let _ = fs::remove_file(self.folder.join(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cupboard(PathBuf);

    impl Depot for Cupboard {
        fn put(&self, name: &str, file: &Path) -> Result<(), StoreError> {
            let to = self.0.join(name.replace('/', "+"));
            fs::copy(file, to).map(drop).map_err(StoreError::io("put"))
        }

        fn get(&self, name: &str, file: &Path) -> Result<(), StoreError> {
            let from = fs::read(self.0.join(name.replace('/', "+")));
            let bytes = from.map_err(|_| StoreError::NotFound { what: "file" })?;
            fs::write(file, bytes).map_err(StoreError::io("get"))
        }

        fn remove(&self, name: &str) -> Result<(), StoreError> {
            fs::remove_file(self.0.join(name.replace('/', "+"))).map_err(StoreError::io("remove"))
        }
    }

    #[test]
    fn what_one_node_keeps_another_finds_and_nothing_half_is_left() {
        let [one, other, depot] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let depot: Arc<dyn Depot> = Arc::new(Cupboard(depot.path().to_owned()));
        let shelf = |at: &tempfile::TempDir| Shelf::new(at.path(), "logs", Some(Arc::clone(&depot)));
        let (one, other_shelf) = (shelf(&one), shelf(&other));
        fs::create_dir_all(one.folder().join("acme")).unwrap();
        fs::write(one.folder().join("acme/tile"), b"hashes").unwrap();
        assert!(matches!(other_shelf.fetch("acme/tile"), Err(StoreError::NotFound { .. })));
        one.keep("acme/tile").unwrap();
        let found = other_shelf.fetch("acme/tile").unwrap();
        assert_eq!(fs::read(&found).unwrap(), b"hashes");
        assert_eq!(fs::read_dir(found.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_depot_the_folder_has_all() {
        let here = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(here.path(), "segments", None);
        assert!(matches!(shelf.fetch("a"), Err(StoreError::NotFound { .. })));
        fs::create_dir_all(shelf.folder()).unwrap();
        fs::write(shelf.folder().join("a"), b"1").unwrap();
        shelf.keep("a").unwrap();
        assert_eq!(shelf.fetch("a").unwrap(), shelf.folder().join("a"));
    }
}
