//! A disk for tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use super::Disk;

/// A disk in memory that outlives whoever writes to it. Some of its writes fail, and are torn.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    pub(crate) files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    /// Numbers of the writes that fail.
    pub(crate) failing: Rc<RefCell<Range<u32>>>,
    pub(crate) writes: Rc<RefCell<u32>>,
    /// A failed replacement is there all the same: only its success was not heard of.
    pub(crate) is_deaf: Rc<RefCell<bool>>,
}

impl MemoryDisk {
    fn breaks(&self) -> bool {
        let number = self.writes.replace_with(|writes| *writes + 1);
        self.failing.borrow().contains(&number)
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is gone")
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.borrow().keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.borrow().get(name).cloned())
    }
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let at = usize::try_from(offset).unwrap();
        Ok(self.files.borrow()[name][at..at + len].to_vec())
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let broke = self.breaks();
        let len = if broke { bytes.len() / 2 } else { bytes.len() };
        self.files.borrow_mut().entry(name.to_owned()).or_default().extend_from_slice(&bytes[..len]);
        if broke { Err(broken()) } else { Ok(()) }
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        if self.breaks() {
            return Err(broken());
        }
        if let Some(file) = self.files.borrow_mut().get_mut(name) {
            file.truncate(usize::try_from(len).unwrap());
        }
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let broke = self.breaks();
        if !broke || *self.is_deaf.borrow() {
            self.files.borrow_mut().insert(name.to_owned(), bytes.to_vec());
        }
        if broke { Err(broken()) } else { Ok(()) }
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.breaks() {
            return Err(broken());
        }
        self.files.borrow_mut().remove(name);
        Ok(())
    }
}
