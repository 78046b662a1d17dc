//! The audit log of each tenant: the last entries in the hot store, so that an entry becomes durable in one step
//! with what it stands for, and everything older as tile files that never change.
//!
//! ```text
//! hot table `log`:  tenant 00 'e' index(8, big endian) → entry       entries that are in no file yet
//!                   tenant 00 'r'                      → rolled(8)   entries that are in files
//! logs/<tenant>/tile/…                                               C2SP tlog-tiles, full ones only
//! ```
//!
//! Indexes have no gap: entries are numbered by one writer and committed in their order.

mod files;
mod nodes;

use thingward_audit::frontier::{Frontier, partial_tiles};
use thingward_audit::tile::{ENTRY_BYTES_MAX, Kind, TILE_WIDTH, Tile, push_entry};
use thingward_audit::tree::{consistency_proof, inclusion_proof, root};
use thingward_audit::{Hash, Subtree, leaf_hash};
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{Batch, HotStore, Space, Table};
use crate::log::files::Files;
use crate::log::nodes::TileNodes;
use crate::shelf::Shelf;

/// Most entries of one answer.
pub const ENTRIES_MAX: u64 = 10_000;

/// The log of one tenant.
pub struct TenantLog<'a> {
    tenant: TenantName,
    hot: &'a dyn HotStore,
    files: Files,
}

/// The end of a log.
struct Tail {
    /// Entries that are in files.
    rolled: u64,
    /// Some of those behind them.
    entries: Vec<(u64, Vec<u8>)>,
}

impl<'a> TenantLog<'a> {
    pub(crate) fn new(tenant: TenantName, hot: &'a dyn HotStore, logs: Shelf) -> Self {
        Self { tenant, hot, files: Files::new(logs, tenant) }
    }

    /// The end of the log, to append to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when an entry or tile is missing, else what the disk says.
    pub fn end(&self) -> Result<Frontier, StoreError> {
        let Tail { rolled, entries: last } = self.tail(0, u64::MAX)?;
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for (level, width) in (0_u8..).zip(partial_tiles(rolled)) {
            // Rolled entries fill whole tiles of level 0, so what is partial are roots of full tiles.
            let below = u64::from(level).checked_sub(1);
            let first = rolled.checked_shr(8 * u32::from(level) + 8).unwrap_or(0) * TILE_WIDTH;
            let of_tile = |index| match below.and_then(|below| u8::try_from(below).ok()) {
                Some(below) => self.files.root_of(below, index),
                None => Err(self.corrupt()),
            };
            levels.push((first..first + u64::from(width)).map(of_tile).collect::<Result<_, _>>()?);
        }
        let mut end = Frontier::restore(rolled, levels).map_err(|_| self.corrupt())?;
        for (index, entry) in last {
            if index != end.size() {
                return Err(self.corrupt());
            }
            end.push(leaf_hash(&entry), |_, _| ());
        }
        Ok(end)
    }

    /// Entries from `first` on, at most `count` and [`ENTRIES_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn entries(&self, first: u64, count: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let end = first.saturating_add(count.min(ENTRIES_MAX));
        let Tail { rolled, entries: hot } = self.tail(first, end)?;
        let mut all = Vec::new();
        let mut at = first;
        while at < end.min(rolled) {
            let bundle = self.files.entries(at / TILE_WIDTH)?;
            let from = usize::try_from(at % TILE_WIDTH).unwrap_or(0);
            for entry in bundle.into_iter().skip(from) {
                if at < end {
                    all.push((at, entry));
                    at += 1;
                }
            }
        }
        all.extend(hot);
        Ok(all)
    }

    /// The root over the first `size` entries, which have to be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn root(&self, size: u64) -> Result<Hash, StoreError> {
        root(&self.nodes()?, size)
    }

    /// The proof that entry `index` is among the first `size`, which have to be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when `index` is not before `size`, else as [`Self::root`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        if index >= size {
            return Err(StoreError::NotFound { what: "log entry" });
        }
        inclusion_proof(&self.nodes()?, index, Subtree::first(size))
    }

    /// The proof that the first `size` entries continue the first `earlier`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when `earlier` is larger, else as [`Self::root`].
    pub fn consistency_proof(&self, earlier: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        if earlier > size {
            return Err(StoreError::NotFound { what: "tree of that size" });
        }
        consistency_proof(&self.nodes()?, Subtree::first(earlier), size)
    }

    /// A tile or bundle of the log as it was at `size`; `None` when it has no such piece.
    ///
    /// # Errors
    ///
    /// As [`Self::root`].
    pub fn piece(&self, tile: Tile, size: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let level = match tile.kind {
            Kind::Hashes { level } => u32::from(level),
            Kind::Entries => 0,
        };
        let there = size.checked_shr(8 * level).unwrap_or(0);
        let first = tile.index.checked_mul(TILE_WIDTH);
        let Some(first) = first.filter(|f| f.saturating_add(u64::from(tile.width)) <= there) else {
            return Ok(None);
        };
        match tile.kind {
            Kind::Hashes { level } => {
                let hashes = self.nodes()?.tile(level, tile.index, u64::from(tile.width))?;
                Ok(Some(hashes.concat()))
            }
            Kind::Entries => {
                let mut bundle = Vec::new();
                for (_, entry) in self.entries(first, u64::from(tile.width))? {
                    push_entry(&mut bundle, &entry).ok_or_else(|| self.corrupt())?;
                }
                Ok(Some(bundle))
            }
        }
    }

    /// Reads the whole log, checks its files against each other and the indexes for gaps. Returns how many entries it
    /// has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub(crate) fn check(&self) -> Result<u64, StoreError> {
        let Tail { rolled, entries } = self.tail(0, u64::MAX)?;
        let (mut tree, mut fault) = (Frontier::default(), None);
        for index in 0..rolled / TILE_WIDTH {
            for entry in self.files.entries(index)? {
                tree.push(leaf_hash(&entry), |tile, hashes| fault = self.files.check(tile, hashes).err());
                if let Some(fault) = fault.take() {
                    return Err(fault);
                }
            }
        }
        for (index, entry) in entries {
            if index != tree.size() {
                return Err(self.corrupt());
            }
            tree.push(leaf_hash(&entry), |_, _| ());
        }
        Ok(tree.size())
    }

    /// Moves the entries of full bundles into files. What is moved stays readable throughout.
    ///
    /// # Errors
    ///
    /// What the disk says; the entries are where they were.
    pub fn roll(&self) -> Result<u64, StoreError> {
        let mut moved = 0;
        loop {
            let Tail { mut rolled, entries: mut bundle } = self.tail(0, u64::MAX)?;
            if bundle.len() < 256 {
                return Ok(moved);
            }
            bundle.truncate(256);
            self.files.write_bundle(rolled / TILE_WIDTH, &bundle)?;
            let mut batch = Batch::new();
            for (index, _) in &bundle {
                batch.delete(Space::Log, entry_key(&self.tenant, *index));
            }
            rolled += TILE_WIDTH;
            moved += TILE_WIDTH;
            batch.put(Space::Log, rolled_key(&self.tenant), rolled.to_be_bytes().to_vec());
            self.hot.commit(batch)?;
        }
    }

    fn nodes(&self) -> Result<TileNodes<'_>, StoreError> {
        let Tail { rolled, entries } = self.tail(0, u64::MAX)?;
        let hot = entries.iter().map(|(_, entry)| leaf_hash(entry)).collect();
        Ok(TileNodes::new(&self.files, rolled, hot))
    }

    /// What is in no file, at one moment: entries from `first` to before `end`.
    fn tail(&self, first: u64, end: u64) -> Result<Tail, StoreError> {
        let (snapshot, table) = (self.hot.snapshot(), Table::Owner(Space::Log));
        let rolled = match snapshot.get(table, &rolled_key(&self.tenant))? {
            None => 0,
            Some(value) => u64::from_be_bytes(value.try_into().map_err(|_| self.corrupt())?),
        };
        let prefix = entries_prefix(&self.tenant);
        let mut entries = Vec::new();
        for pair in snapshot.scan(table, &prefix) {
            let (key, entry) = pair?;
            let index = key.strip_prefix(prefix.as_slice()).and_then(|k| k.try_into().ok());
            let index = index.map(u64::from_be_bytes).ok_or_else(|| self.corrupt())?;
            if index >= end {
                break;
            }
            if index >= first {
                entries.push((index, entry));
            }
        }
        Ok(Tail { rolled, entries })
    }

    fn corrupt(&self) -> StoreError {
        StoreError::corrupt(format!("the log of {}", self.tenant))
    }
}

impl Batch {
    /// Adds entry `index` to a tenant's log.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when it is empty or larger than a bundle can hold.
    pub fn put_log_entry(
        &mut self,
        tenant: &TenantName,
        index: u64,
        entry: Vec<u8>,
    ) -> Result<(), StoreError> {
        if entry.is_empty() || entry.len() > ENTRY_BYTES_MAX {
            return Err(StoreError::Invalid { what: "a log entry has 1 to 65535 bytes" });
        }
        self.put(Space::Log, entry_key(tenant, index), entry);
        Ok(())
    }
}

fn key(tenant: &TenantName, kind: u8) -> Vec<u8> {
    let mut key = tenant.as_str().as_bytes().to_vec();
    key.extend_from_slice(&[0, kind]);
    key
}

fn entries_prefix(tenant: &TenantName) -> Vec<u8> {
    key(tenant, b'e')
}

fn entry_key(tenant: &TenantName, index: u64) -> Vec<u8> {
    let mut key = entries_prefix(tenant);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

fn rolled_key(tenant: &TenantName) -> Vec<u8> {
    key(tenant, b'r')
}

#[cfg(test)]
mod tests;
