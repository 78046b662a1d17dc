//! The hot store on fjall, an embedded log-structured merge tree.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::error::StoreError;
use crate::hot::{Batch, HotSnapshot, HotStore, Op, Pair, Pairs, Table};

/// Bytes of finished journals before tables that change rarely go to the disk for them to be removed: a start reads all of
/// the journals.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Where the tables are that share a keyspace.
const TOGETHER: &str = "all";

/// Hot readings and session state in one folder of this machine.
pub struct FjallHot {
    db: Database,
    tables: HashMap<Table, Place>,
}

/// Where a table is: a keyspace, or what begins with `prefix` in one that has others too.
struct Place {
    keyspace: Keyspace,
    prefix: &'static str,
}

impl Place {
    fn key<'k>(&self, key: impl Into<Cow<'k, [u8]>>) -> Cow<'k, [u8]> {
        let key = key.into();
        if self.prefix.is_empty() { key } else { [self.prefix.as_bytes(), &key].concat().into() }
    }

    /// As it is outside; `None` when it is of another table.
    fn pair(&self, found: Guard) -> Result<Option<Pair>, StoreError> {
        let (key, value) = found.into_inner().map_err(|e| failed("read hot readings", e))?;
        let key = key.strip_prefix(self.prefix.as_bytes());
        Ok(key.map(|key| (key.to_vec(), value.to_vec())))
    }
}

impl FjallHot {
    /// Opens the folder, making it when it is not there; a batch that a crash cut off is dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another process has it open, else [`StoreError::Io`] or
    /// [`StoreError::Database`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_as(folder, |table| (table.name(), ""))
    }

    /// Like [`Self::open`], with all tables in one keyspace. Keyspaces go to the disk each at its own time, so that behind a
    /// power cut one may have what others lost of the same batches, unless each was flushed. One has all batches up to some
    /// moment.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(super) fn open_together(folder: &Path) -> Result<Self, StoreError> {
        Self::open_as(folder, |table| (TOGETHER, table.prefix()))
    }

    fn open_as(
        folder: &Path,
        place: impl Fn(Table) -> (&'static str, &'static str),
    ) -> Result<Self, StoreError> {
        let database = Database::builder(folder).max_journaling_size(JOURNAL_BYTES_MAX);
        let db = database.open().map_err(|e| failed("open hot readings", e))?;
        let mut tables = HashMap::new();
        for table in Table::ALL {
            let (name, prefix) = place(table);
            let keyspace = db
                .keyspace(name, KeyspaceCreateOptions::default)
                .map_err(|e| failed("open hot readings", e))?;
            tables.insert(table, Place { keyspace, prefix });
        }
        Ok(Self { db, tables })
    }

    fn table(&self, table: Table) -> Result<&Place, StoreError> {
        self.tables.get(&table).ok_or(StoreError::NotFound { what: "table" })
    }

    /// Has what a table has in memory go to the disk, as happens when it is much.
    #[cfg(test)]
    pub(super) fn spill(&self, table: Table) {
        self.tables[&table].keyspace.rotate_memtable_and_wait().unwrap();
    }

    /// Takes all changes of `batch` or none, and leaves it to the system when they reach the disk.
    pub(super) fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.change(batch, PersistMode::Buffer)
    }

    /// Flushes all that was taken.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(|e| failed("flush hot readings", e))
    }

    fn change(&self, batch: Batch, mode: PersistMode) -> Result<(), StoreError> {
        let mut write = self.db.batch().durability(Some(mode));
        for Op { table, key, value } in batch.into_ops() {
            let place = self.table(table)?;
            match value {
                Some(value) => write.insert(&place.keyspace, place.key(key).into_owned(), value),
                None => write.remove(&place.keyspace, place.key(key).into_owned()),
            }
        }
        write.commit().map_err(|e| failed("commit hot readings", e))
    }
}

impl HotStore for FjallHot {
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.change(batch, PersistMode::SyncAll)
    }

    fn snapshot(&self) -> Box<dyn HotSnapshot + '_> {
        Box::new(Moment { store: self, at: self.db.snapshot() })
    }
}

/// One moment of a [`FjallHot`].
struct Moment<'a> {
    store: &'a FjallHot,
    at: Snapshot,
}

impl HotSnapshot for Moment<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = self.store.table(table)?;
        let found = self.at.get(&place.keyspace, place.key(key));
        found.map(|v| v.map(|v| v.to_vec())).map_err(|e| failed("read hot readings", e))
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        let place = self.store.table(table)?;
        let found = self.at.range(&place.keyspace, place.key(from)..=place.key(to)).next_back();
        found.map_or(Ok(None), |found| place.pair(found))
    }

    fn scan_from(&self, table: Table, prefix: &[u8], from: &[u8]) -> Pairs<'_> {
        match self.store.table(table) {
            Ok(place) => {
                let found =
                    self.at.range(&place.keyspace, place.key(from)..).map(move |found| place.pair(found));
                let prefix = prefix.to_vec();
                Box::new(
                    found
                        .map_while(Result::transpose)
                        .take_while(move |found| !matches!(found, Ok((key, _)) if !key.starts_with(&prefix))),
                )
            }
            Err(e) => Box::new(std::iter::once(Err(e))),
        }
    }
}

fn failed(what: &'static str, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(e) => StoreError::from_io(what, e),
        fjall::Error::Storage(fjall::LsmError::Io(e)) => StoreError::from_io(what, e),
        fjall::Error::Locked => StoreError::Conflict { what: "another process has the data directory open" },
        other => StoreError::database(what, other),
    }
}
