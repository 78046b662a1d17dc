//! A hot store whose truth is a journal that several nodes share: this node's copy of it, and the one node that leads.
//!
//! A batch is durable when the journal has it. The copy follows, and after a crash goes on from where it was; so it needs
//! no flush of its own, as long as its position and what it has go to the disk together.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, FjallHot, HotSnapshot, HotStore, Space, Table};
use crate::error::StoreError;

/// Where the copy's own position is, in the table of everything else. No other key starts with byte 00.
const POSITION_KEY: &[u8] = b"\0journal";

/// What the seal of an entry ends with: no two entries have the same.
pub type Seal = [u8; 16];

/// A place in a journal, behind one of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The journal's own number of what comes before.
    pub sequence: u64,
    /// How many entries there are up to here.
    pub index: u64,
    /// The term of whoever wrote the last of them.
    pub term: u64,
    /// Of the last of them, and by that of all before.
    pub seal: Seal,
}

impl Position {
    /// Bytes of [`Self::encode`].
    pub const BYTES: usize = 3 * 8 + 16;

    /// `sequence(8) | index(8) | term(8) | seal(16)`, big endian.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let numbers = [self.sequence, self.index, self.term].into_iter().flat_map(u64::to_be_bytes);
        numbers.chain(self.seal).collect()
    }

    /// Reverses [`Self::encode`]; `None` when it has another length.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, seal) = bytes.split_at_checked(3 * 8)?;
        let ([sequence, index, term], []) = numbers.as_chunks::<8>() else { return None };
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        let seal = seal.try_into().ok()?;
        Some(Self { sequence: number(sequence), index: number(index), term: number(term), seal })
    }
}

/// Where the node that leads writes.
pub trait Journal: Send + Sync {
    /// Puts an entry behind all others, and returns the place behind it. Blocks.
    ///
    /// MUST NOT return `Ok` before the entry survives the loss of any one machine, nor when another node has led since.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another node leads, [`StoreError::Io`] when it is not known whether the entry is there:
    /// nothing may be appended after either.
    fn append(&self, entry: &[u8]) -> Result<Position, StoreError>;
}

/// This node's copy of what the journal says.
pub struct Replica(FjallHot);

impl Replica {
    /// Opens the folder, making it when it is not there.
    ///
    /// # Errors
    ///
    /// As [`FjallHot::open`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        FjallHot::open_together(folder).map(Self)
    }

    /// Up to where it is a copy. The beginning when it is new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn position(&self) -> Result<Position, StoreError> {
        position_in(&*self.0.snapshot())
    }

    /// It is the copy of a journal that ends at `at`, whatever that says.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn stand_at(&self, at: Position) -> Result<(), StoreError> {
        self.take(at, Batch::new())?;
        self.sync()
    }

    /// What it has.
    #[must_use]
    pub fn hot(&self) -> &dyn HotStore {
        &self.0
    }

    /// Takes a part of a snapshot.
    pub(super) fn fill(&self, batch: Batch) -> Result<(), StoreError> {
        self.0.write(batch)
    }

    /// Flushes all that it took.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }

    /// Takes the entry that ends at `at`. Not flushed: what a crash takes comes from the journal again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it is no entry of ours, else what the disk says.
    pub fn apply(&self, at: Position, entry: &[u8]) -> Result<(), StoreError> {
        let batch = Batch::decode(entry).ok_or_else(|| StoreError::corrupt("an entry of the journal"))?;
        self.take(at, batch)
    }

    fn take(&self, at: Position, mut batch: Batch) -> Result<(), StoreError> {
        batch.put(Space::Meta, POSITION_KEY, at.encode());
        self.0.write(batch)
    }
}

/// The place in the journal of what is there at a moment.
pub(super) fn position_in(moment: &dyn HotSnapshot) -> Result<Position, StoreError> {
    let kept = moment.get(Table::Owner(Space::Meta), POSITION_KEY)?;
    let Some(kept) = kept else { return Ok(Position::default()) };
    Position::decode(&kept).ok_or_else(|| StoreError::corrupt("the position in the journal"))
}

/// The hot store of the node that leads.
pub struct LeadingHot {
    replica: Arc<Replica>,
    journal: Box<dyn Journal>,
    /// Entries are taken in the order in which the journal has them.
    turn: Mutex<()>,
}

impl LeadingHot {
    /// The `replica` has everything that the `journal` has.
    #[must_use]
    pub fn new(replica: Arc<Replica>, journal: Box<dyn Journal>) -> Self {
        Self { replica, journal, turn: Mutex::new(()) }
    }
}

impl HotStore for LeadingHot {
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let entry = batch.encode();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.journal.append(&entry)?;
        self.replica.take(at, batch)
    }

    fn snapshot(&self) -> Box<dyn HotSnapshot + '_> {
        self.replica.0.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal in memory, which can be told to fail.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<(Vec<Vec<u8>>, bool)>>);

    impl Journal for Paper {
        fn append(&self, entry: &[u8]) -> Result<Position, StoreError> {
            let mut paper = self.0.lock().unwrap();
            if paper.1 {
                return Err(StoreError::Conflict { what: "another node leads" });
            }
            paper.0.push(entry.to_vec());
            let count = paper.0.len() as u64;
            Ok(at(count))
        }
    }

    fn at(index: u64) -> Position {
        Position { sequence: index * 3, index, term: 7, seal: [u8::try_from(index).unwrap(); 16] }
    }

    fn batch(key: &str, value: Option<&str>) -> Batch {
        let mut batch = Batch::new();
        match value {
            Some(value) => batch.put(Space::Sessions, key, value),
            None => batch.delete(Space::Sessions, key),
        }
        batch
    }

    fn sessions(hot: &dyn HotStore) -> Vec<(Vec<u8>, Vec<u8>)> {
        hot.snapshot().scan(Table::Owner(Space::Sessions), b"").collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn another_node_becomes_what_the_leader_is() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paper = Paper::default();
        let leader = LeadingHot::new(Arc::new(Replica::open(one.path()).unwrap()), Box::new(paper.clone()));
        leader.commit(batch("a", Some("1"))).unwrap();
        leader.commit(batch("b", Some("2"))).unwrap();
        leader.commit(batch("a", None)).unwrap();

        let follower = Replica::open(other.path()).unwrap();
        for (index, entry) in (1..).zip(&paper.0.lock().unwrap().0) {
            follower.apply(at(index), entry).unwrap();
        }
        assert_eq!(sessions(&leader), [(b"b".to_vec(), b"2".to_vec())]);
        assert_eq!(sessions(&leader), sessions(&follower.0));
        assert_eq!(follower.position().unwrap(), at(3));
        assert_eq!(leader.replica.position().unwrap(), follower.position().unwrap());
    }

    #[test]
    fn what_the_journal_did_not_take_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let paper = Paper::default();
        let leader =
            LeadingHot::new(Arc::new(Replica::open(folder.path()).unwrap()), Box::new(paper.clone()));
        leader.commit(batch("a", Some("1"))).unwrap();
        paper.0.lock().unwrap().1 = true;
        assert!(matches!(leader.commit(batch("b", Some("2"))), Err(StoreError::Conflict { .. })));
        assert_eq!(sessions(&leader), [(b"a".to_vec(), b"1".to_vec())]);
    }

    #[test]
    fn a_copy_goes_on_from_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        Replica::open(folder.path()).unwrap().apply(at(2), &batch("a", Some("1")).encode()).unwrap();
        let again = Replica::open(folder.path()).unwrap();
        assert_eq!(again.position().unwrap(), at(2));
        assert_eq!(sessions(&again.0), [(b"a".to_vec(), b"1".to_vec())]);
    }

    #[test]
    fn behind_a_power_cut_the_position_is_that_of_what_is_there() {
        let (position, has) = behind_a_power_cut(FjallHot::open_together);
        assert_eq!(position, at(has));
        // With tables apart it would not be.
        assert_eq!(behind_a_power_cut(FjallHot::open), (at(2), 1));
    }

    /// Where a copy says that it is, and how many entries it has.
    fn behind_a_power_cut(open: impl Fn(&Path) -> Result<FjallHot, StoreError>) -> (Position, u64) {
        let folder = tempfile::tempdir().unwrap();
        let replica = Replica(open(folder.path()).unwrap());
        replica.apply(at(1), &batch("a", Some("1")).encode()).unwrap();
        replica.sync().unwrap();
        let synced = journal_files(folder.path());
        replica.apply(at(2), &batch("b", Some("2")).encode()).unwrap();
        // One table had much in memory; what was only written is lost.
        replica.0.spill(Table::Owner(Space::Meta));
        drop(replica);
        for (file, length) in synced {
            std::fs::File::options().write(true).open(file).unwrap().set_len(length).unwrap();
        }
        let again = Replica(open(folder.path()).unwrap());
        (again.position().unwrap(), sessions(&again.0).len() as u64)
    }

    /// The files of the write-ahead log, and how much of each is used: they are longer.
    fn journal_files(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "jnl"));
        let used = |path: &Path| std::fs::read(path).unwrap().iter().rposition(|b| *b != 0).unwrap() + 1;
        files.map(|path| (path.clone(), used(&path) as u64)).collect()
    }

    #[test]
    fn an_entry_that_is_none_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let replica = Replica::open(folder.path()).unwrap();
        let whole = batch("a", Some("1")).encode();
        for broken in
            (0..whole.len()).map(|end| &whole[..end]).chain([[whole.as_slice(), b"x"].concat().as_slice()])
        {
            assert!(matches!(replica.apply(at(1), broken), Err(StoreError::Corrupt { .. })));
        }
        assert_eq!(replica.position().unwrap(), Position::default());
    }
}
