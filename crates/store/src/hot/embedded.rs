//! The hot store on fjall, an embedded log-structured merge tree.

use std::collections::HashMap;
use std::path::Path;

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::error::StoreError;
use crate::hot::{Batch, HotSnapshot, HotStore, Op, Pair, Pairs, Table};

/// Hot readings and session state in one folder of this machine.
pub struct FjallHot {
    db: Database,
    tables: HashMap<Table, Keyspace>,
}

impl FjallHot {
    /// Opens the folder, making it when it is not there; a batch that a crash cut off is dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another process has it open, else [`StoreError::Io`] or
    /// [`StoreError::Database`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = Database::builder(folder).open().map_err(|e| failed("open hot readings", e))?;
        let mut tables = HashMap::new();
        for table in Table::ALL {
            let keyspace = db
                .keyspace(table.name(), KeyspaceCreateOptions::default)
                .map_err(|e| failed("open hot readings", e))?;
            tables.insert(table, keyspace);
        }
        Ok(Self { db, tables })
    }

    fn table(&self, table: Table) -> Result<&Keyspace, StoreError> {
        self.tables.get(&table).ok_or(StoreError::NotFound { what: "table" })
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
            let table = self.table(table)?;
            match value {
                Some(value) => write.insert(table, key, value),
                None => write.remove(table, key),
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
        let found = self.at.get(self.store.table(table)?, key);
        found.map(|v| v.map(|v| v.to_vec())).map_err(|e| failed("read hot readings", e))
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        let found = self.at.range(self.store.table(table)?, from..=to).next_back();
        found.map(pair).transpose()
    }

    fn scan_from(&self, table: Table, prefix: &[u8], from: &[u8]) -> Pairs<'_> {
        let prefix = prefix.to_vec();
        let is_wanted =
            move |found: &Result<Pair, _>| !matches!(found, Ok((key, _)) if !key.starts_with(&prefix));
        match self.store.table(table) {
            Ok(table) => Box::new(self.at.range(table, from..).map(pair).take_while(is_wanted)),
            Err(e) => Box::new(std::iter::once(Err(e))),
        }
    }
}

fn pair(found: Guard) -> Result<Pair, StoreError> {
    let pair = found.into_inner().map_err(|e| failed("read hot readings", e))?;
    Ok((pair.0.to_vec(), pair.1.to_vec()))
}

fn failed(what: &'static str, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(e) => StoreError::from_io(what, e),
        fjall::Error::Storage(fjall::LsmError::Io(e)) => StoreError::from_io(what, e),
        fjall::Error::Locked => StoreError::Conflict { what: "another process has the data directory open" },
        other => StoreError::database(what, other),
    }
}
