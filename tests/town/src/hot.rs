//! The hot store of the service in memory: what it said is durable outlives whoever wrote it, and it fails when it is told to.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::contains;
use thingward_store::StoreError;
use thingward_store::hot::{Batch, HotSnapshot, HotStore, Op, Pair, Pairs, Table};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What happens to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is there, and it says so.
    Fails,
    /// All of it is there, and nobody hears so.
    Deaf,
}

#[derive(Default)]
struct State {
    tables: HashMap<Table, Arc<Rows>>,
    fault: Option<(u64, Fault)>,
    commits: u64,
    /// What the power's end leaves, while commits are said to be durable and are not.
    settled: Option<HashMap<Table, Arc<Rows>>>,
}

/// See the module. Clones are the same store.
#[derive(Clone, Default)]
pub struct SimHot(Arc<Mutex<State>>);

impl SimHot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault happens to the commit behind so many others.
    pub fn break_after(&self, commits: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.commits + commits, fault));
    }

    /// From here on no commit survives the power's end.
    pub fn lie(&self) {
        let mut state = self.state();
        let tables = state.tables.clone();
        state.settled.get_or_insert(tables);
    }

    /// The power goes. Says whether that took a commit that was said to be durable.
    #[must_use]
    pub fn cut(&self) -> bool {
        let mut state = self.state();
        let Some(settled) = state.settled.take() else { return false };
        let has_lost = settled != state.tables;
        state.tables = settled;
        has_lost
    }

    /// Everything is as it should be.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.fault, state.settled) = (None, None);
    }

    /// Whether these bytes are somewhere in it.
    #[must_use]
    pub fn says(&self, words: &[u8]) -> bool {
        let tables = self.state().tables.clone();
        let mut all = tables.values().flat_map(|rows| rows.iter());
        all.any(|(key, value)| contains(key, words) || contains(value, words))
    }

    /// Commits so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state().commits
    }
}

impl HotStore for SimHot {
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state();
        let number = state.commits;
        state.commits += 1;
        let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        if fault != Some(Fault::Fails) {
            for Op { table, key, value } in batch.into_ops() {
                let rows = Arc::make_mut(state.tables.entry(table).or_default());
                match value {
                    Some(value) => drop(rows.insert(key, value)),
                    None => drop(rows.remove(&key)),
                }
            }
        }
        let broken = || io::Error::other("the write failed");
        fault.map_or(Ok(()), |_| Err(StoreError::Io { what: "commit".to_owned(), source: broken() }))
    }

    fn snapshot(&self) -> Box<dyn HotSnapshot + '_> {
        Box::new(Moment(self.state().tables.clone()))
    }
}

struct Moment(HashMap<Table, Arc<Rows>>);

impl HotSnapshot for Moment {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        let range = (Bound::Included(from), Bound::Included(to));
        let found = self.0.get(&table).and_then(|rows| rows.range::<[u8], _>(range).next_back());
        Ok(found.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan_from(&self, table: Table, prefix: &[u8], from: &[u8]) -> Pairs<'_> {
        let (prefix, from) = (prefix.to_vec(), from.to_vec());
        let rows = self.0.get(&table).into_iter().flat_map(move |rows| rows.range(from.clone()..));
        let own = rows.take_while(move |(key, _)| key.starts_with(&prefix));
        Box::new(own.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}
