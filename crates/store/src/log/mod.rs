//! The audit log of each tenant: the last entries in the hot store, so that an entry becomes durable in one step
//! with what it stands for, and everything older as tile files that never change.
//!
//! ```text
//! hot table `log`:  tenant 00 'e' index(8, big endian) → entry       entries that are in no file yet
//!                   tenant 00 'r'                      → rolled(8, big endian) | hash(32) …
//! logs/<tenant>/tile/…                                               C2SP tlog-tiles, full ones only
//! ```
//!
//! `rolled` says how many entries are in files; behind it are the hashes of the last, partial tile of each level over them,
//! from which all that is read of a file is verified. Nothing was released with the number alone.
//!
//! Indexes have no gap: entries are numbered by one writer and committed in their order.

mod files;
mod view;

use thingward_audit::frontier::{Frontier, partial_tiles};
use thingward_audit::leaf_hash;
use thingward_audit::tile::{ENTRY_BYTES_MAX, Kind, TILE_WIDTH, Tile, push_entry};
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{Batch, HotStore, Space, Table};
use crate::log::files::Files;
use crate::shelf::Shelf;

pub use view::LogView;

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
    /// The end of what is in files.
    rolled: Frontier,
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
    /// [`StoreError::Corrupt`] when an entry is missing, else what the disk says.
    pub fn end(&self) -> Result<Frontier, StoreError> {
        let Tail { rolled: mut end, entries } = self.tail(0, u64::MAX)?;
        for (index, entry) in entries {
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
        while at < end.min(rolled.size()) {
            let bundle = self.files.entries(at / TILE_WIDTH, &rolled)?;
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

    /// The log as it is now: its root, and proofs.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn view(&self) -> Result<LogView<'_>, StoreError> {
        let Tail { rolled, entries } = self.tail(0, u64::MAX)?;
        let hot = entries.iter().map(|(_, entry)| leaf_hash(entry)).collect();
        Ok(LogView::new(&self.files, rolled, hot))
    }

    /// A tile or bundle of the log as it was at `size`; `None` when it has no such piece.
    ///
    /// # Errors
    ///
    /// As [`Self::view`].
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
                let hashes = self.view()?.hashes(level, tile.index, u64::from(tile.width))?;
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

    /// Reads the whole log, checks its files against what is hot and the indexes for gaps. Returns how many entries it has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub(crate) fn check(&self) -> Result<u64, StoreError> {
        let rolled = self.tail(0, 0)?.rolled;
        for index in 0..rolled.size() / TILE_WIDTH {
            self.files.entries(index, &rolled)?;
        }
        Ok(self.end()?.size())
    }

    /// Moves the entries of full bundles into files. What is moved stays readable throughout.
    ///
    /// # Errors
    ///
    /// What the disk says; the entries are where they were.
    pub fn roll(&self) -> Result<u64, StoreError> {
        let Tail { mut rolled, entries } = self.tail(0, u64::MAX)?;
        let before = rolled.size();
        for entries in entries.chunks_exact(256) {
            let mut batch = Batch::new();
            for (index, _) in entries {
                batch.delete(Space::Log, entry_key(&self.tenant, *index));
            }
            self.files.write_bundle(&mut rolled, entries.iter().map(|(_, entry)| entry.as_slice()))?;
            batch.put(Space::Log, rolled_key(&self.tenant), encode(&rolled));
            self.hot.commit(batch)?;
        }
        Ok(rolled.size() - before)
    }

    /// What is in no file, at one moment: entries from `first` to before `end`.
    fn tail(&self, first: u64, end: u64) -> Result<Tail, StoreError> {
        let (snapshot, table) = (self.hot.snapshot(), Table::Owner(Space::Log));
        let rolled = match snapshot.get(table, &rolled_key(&self.tenant))? {
            None => Frontier::default(),
            Some(value) => decode(&value).ok_or_else(|| self.corrupt())?,
        };
        let prefix = entries_prefix(&self.tenant);
        let from = entry_key(&self.tenant, first.max(rolled.size()));
        let mut entries = Vec::new();
        for pair in snapshot.scan_from(table, &prefix, &from) {
            let (key, entry) = pair?;
            let index = key.strip_prefix(prefix.as_slice()).and_then(|k| k.try_into().ok());
            let index = index.map(u64::from_be_bytes).ok_or_else(|| self.corrupt())?;
            if index >= end {
                break;
            }
            entries.push((index, entry));
        }
        Ok(Tail { rolled, entries })
    }

    fn corrupt(&self) -> StoreError {
        StoreError::corrupt(format!("the log of {}", self.tenant))
    }
}

fn encode(rolled: &Frontier) -> Vec<u8> {
    let hashes = rolled.partial().flat_map(|(_, hashes)| hashes.concat());
    rolled.size().to_be_bytes().into_iter().chain(hashes).collect()
}

fn decode(value: &[u8]) -> Option<Frontier> {
    let (size, hashes) = value.split_first_chunk()?;
    let (hashes, []) = hashes.as_chunks() else { return None };
    let (size, mut hashes) = (u64::from_be_bytes(*size), hashes.iter().copied());
    let widths = partial_tiles(size).into_iter();
    let levels = widths.map(|width| hashes.by_ref().take(width.into()).collect()).collect();
    let rolled = Frontier::restore(size, levels).ok()?;
    hashes.next().is_none().then_some(rolled)
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
