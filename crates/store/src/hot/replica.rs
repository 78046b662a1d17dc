//! A hot store whose truth is a journal that several nodes share: this node's copy of it, and the one node that leads.
//!
//! A batch is durable when the journal has it. The copy follows, and after a crash goes on from where it was; so it needs
//! no flush of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, FjallHot, HotSnapshot, HotStore, Space, Table};
use crate::error::StoreError;

/// Where the copy's own position is, in the table of everything else. No other key starts with byte 00.
const POSITION_KEY: &[u8] = b"\0journal";

/// A place in a journal, behind one of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The journal's own number of what comes before.
    pub sequence: u64,
    /// How many entries there are up to here.
    pub index: u64,
    /// The term of whoever wrote the last of them.
    pub term: u64,
}

impl Position {
    fn encode(self) -> Vec<u8> {
        [self.sequence, self.index, self.term].into_iter().flat_map(u64::to_be_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let ([sequence, index, term], []) = bytes.as_chunks::<8>() else { return None };
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Some(Self { sequence: number(sequence), index: number(index), term: number(term) })
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
        FjallHot::open(folder).map(Self)
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
            Ok(Position { sequence: count * 3, index: count, term: 7 })
        }
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
            follower.apply(Position { sequence: index * 3, index, term: 7 }, entry).unwrap();
        }
        assert_eq!(sessions(&leader), [(b"b".to_vec(), b"2".to_vec())]);
        assert_eq!(sessions(&leader), sessions(&follower.0));
        assert_eq!(follower.position().unwrap(), Position { sequence: 9, index: 3, term: 7 });
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
        let at = Position { sequence: 5, index: 2, term: 1 };
        Replica::open(folder.path()).unwrap().apply(at, &batch("a", Some("1")).encode()).unwrap();
        let again = Replica::open(folder.path()).unwrap();
        assert_eq!(again.position().unwrap(), at);
        assert_eq!(sessions(&again.0), [(b"a".to_vec(), b"1".to_vec())]);
    }

    #[test]
    fn an_entry_that_is_none_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let replica = Replica::open(folder.path()).unwrap();
        let whole = batch("a", Some("1")).encode();
        let at = Position { sequence: 1, index: 1, term: 1 };
        for broken in
            (0..whole.len()).map(|end| &whole[..end]).chain([[whole.as_slice(), b"x"].concat().as_slice()])
        {
            assert!(matches!(replica.apply(at, broken), Err(StoreError::Corrupt { .. })));
        }
        assert_eq!(replica.position().unwrap(), Position::default());
    }
}
