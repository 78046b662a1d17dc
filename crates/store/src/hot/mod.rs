//! The latest readings and the state that changes with them, in one atomic durable log.
//!
//! One [`Batch`] holds everything that one group of messages changed. After [`HotStore::commit`] all of it
//! survives a power cut; after a crash before that, none of it is there.

mod batch;
mod block;
mod embedded;
mod key;
mod replica;
mod snapshot;

pub use batch::{Batch, Op, SignedPart, Space, Table};
pub use block::{Block, Opened, SealedBlock};
pub use embedded::FjallHot;
pub use replica::{Journal, LeadingHot, Position, Replica, Seal};
pub use snapshot::{read_snapshot, write_snapshot};

pub(crate) use block::open_block;
pub(crate) use key::{block_key, chain_key, parse_block_key, parse_tenant, scope_prefix};

use crate::error::StoreError;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Pairs in the order of their keys.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>;

/// Where batches go and are read from.
pub trait HotStore: Send + Sync {
    /// Applies all changes of `batch` in one step.
    ///
    /// MUST NOT return `Ok` before every change survives a power cut, and MUST NOT ever show a part of them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Io`] or [`StoreError::Database`]; nothing was changed, or all of it
    /// will be there after a restart.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Everything as it is now. Later batches do not show in it.
    fn snapshot(&self) -> Box<dyn HotSnapshot + '_>;
}

/// One moment of a [`HotStore`].
pub trait HotSnapshot: Send {
    /// The value at `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The last pair whose key is from `from` to `to`, these included.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`].
    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError>;

    /// All pairs whose key starts with `prefix`, from the key `from` on. What is before it costs nothing, also where it was
    /// deleted.
    fn scan_from(&self, table: Table, prefix: &[u8], from: &[u8]) -> Pairs<'_>;

    /// All pairs whose key starts with `prefix`.
    fn scan(&self, table: Table, prefix: &[u8]) -> Pairs<'_> {
        self.scan_from(table, prefix, prefix)
    }
}

#[cfg(test)]
mod tests;
