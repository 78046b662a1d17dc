//! A disk in memory that outlives whoever writes to it, and that fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thingward_agent::disk::Disk;

use crate::random::Random;

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is there, and it says so.
    Fails,
    /// A part of what is appended is there, and it says so.
    Tears,
    /// The power goes in the middle of it.
    Cuts,
}

type Files = BTreeMap<String, Vec<u8>>;

struct State {
    files: Files,
    /// What the power's end leaves, while the disk says of writes that they are durable and they are not.
    settled: Option<Files>,
    /// The number of the write that a fault happens to, and which.
    fault: Option<(u64, Fault)>,
    writes: u64,
    is_full: bool,
    is_off: bool,
    /// The power's end took what was said to be durable.
    has_lost: bool,
    random: Random,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(random: Random) -> Self {
        let (files, settled, fault) = Default::default();
        Self(Arc::new(Mutex::new(State {
            files,
            settled,
            fault,
            writes: 0,
            is_full: false,
            is_off: false,
            has_lost: false,
            random,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault happens to the write behind so many others.
    pub fn break_after(&self, writes: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.writes + writes, fault));
    }

    /// It has room, or none.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// From here on nothing survives the power's end that it says is durable.
    pub fn lie(&self) {
        let mut state = self.state();
        // What it lied about before stays so.
        let files = state.files.clone();
        state.settled.get_or_insert(files);
    }

    /// Everything is as it should be.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.settled, state.fault, state.is_full) = (None, None, false);
    }

    /// The power goes.
    pub fn cut(&self) {
        self.state().cut();
    }

    /// Whether the end of the power ever took something that was said to be durable.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.state().has_lost
    }

    /// The power is back.
    pub fn on(&self) {
        self.state().is_off = false;
    }

    /// Everything on it is moved away.
    pub fn wipe(&self) {
        self.state().files.clear();
    }

    /// Whether the power went.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Writes so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// How much is on it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state().files.values().map(|file| file.len() as u64).sum()
    }

    /// Whether these bytes are somewhere in it.
    #[must_use]
    pub fn says(&self, words: &[u8]) -> bool {
        self.state().files.values().any(|file| contains(file, words))
    }
}

/// Whether these bytes are somewhere in others.
#[must_use]
pub fn contains(all: &[u8], words: &[u8]) -> bool {
    all.windows(words.len()).any(|part| part == words)
}

impl State {
    fn cut(&mut self) {
        self.is_off = true;
        if let Some(settled) = self.settled.take() {
            self.has_lost |= settled != self.files;
            self.files = settled;
        }
    }

    /// Does `whole` when nothing is in the way, and `part` when the write breaks in the middle.
    fn write(
        &mut self,
        needs_room: bool,
        whole: impl FnOnce(&mut Files),
        part: impl FnOnce(&mut Files, &mut Random),
    ) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::other("there is no power"));
        }
        let number = self.writes;
        self.writes += 1;
        if needs_room && self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.fault.filter(|(at, _)| *at == number) {
            None => {
                whole(&mut self.files);
                return Ok(());
            }
            Some((_, Fault::Fails)) => {}
            Some((_, Fault::Tears)) => part(&mut self.files, &mut self.random),
            Some((_, Fault::Cuts)) => {
                part(&mut self.files, &mut self.random);
                self.cut();
            }
        }
        Err(io::Error::other("the write failed"))
    }

    fn read(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("there is no power")) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.read()?;
        Ok(state.files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        state.read()?;
        Ok(state.files.get(name).cloned())
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.read()?;
        let file = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = at.checked_add(len).and_then(|end| file.get(at..end));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let add = |files: &mut Files, bytes: &[u8]| {
            files.entry(name.to_owned()).or_default().extend_from_slice(bytes);
        };
        let whole = |files: &mut Files| add(files, bytes);
        let part = |files: &mut Files, random: &mut Random| {
            let len = random.index(bytes.len() + 1);
            add(files, bytes.get(..len).unwrap_or_default());
        };
        self.state().write(true, whole, part)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let cut = |files: &mut Files| {
            if let Some(file) = files.get_mut(name) {
                file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            }
        };
        self.state().write(false, cut, |files, random| {
            if random.chance(500) {
                cut(files)
            }
        })
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let put = |files: &mut Files| drop(files.insert(name.to_owned(), bytes.to_vec()));
        self.state().write(true, put, |files, random| {
            if random.chance(500) {
                put(files)
            }
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let take = |files: &mut Files| drop(files.remove(name));
        self.state().write(false, take, |files, random| {
            if random.chance(500) {
                take(files)
            }
        })
    }
}
