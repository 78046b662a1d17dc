//! Hashes of the tree from tile files and the entries that are in none.

use thingward_audit::Hash;
use thingward_audit::frontier::{Frontier, root_over};
use thingward_audit::tree::Nodes;

use crate::error::StoreError;
use crate::log::files::Files;

/// Levels of the tree in one tile.
const TILE_LEVELS: u8 = 8;

pub(crate) struct TileNodes<'a> {
    files: &'a Files,
    /// The end of what is in files: whole bundles.
    rolled: Frontier,
    /// The leaves behind them.
    hot: Vec<Hash>,
}

impl<'a> TileNodes<'a> {
    pub(crate) const fn new(files: &'a Files, rolled: Frontier, hot: Vec<Hash>) -> Self {
        Self { files, rolled, hot }
    }

    /// The first `width` hashes of a tile, all of which have to be there.
    pub(crate) fn tile(&self, level: u8, index: u64, width: u64) -> Result<Vec<Hash>, StoreError> {
        let first = index * 256;
        if self.is_rolled(level, first + 255) {
            let mut hashes = self.files.hashes(level, index, &self.rolled)?;
            hashes.truncate(usize::try_from(width).unwrap_or(usize::MAX));
            return Ok(hashes);
        }
        (first..first + width).map(|at| self.hash_in_tile(level, at)).collect()
    }

    /// Whether all leaves below hash `at` of a tile level are in files.
    fn is_rolled(&self, level: u8, at: u64) -> bool {
        let leaves_each = 1_u64 << (u32::from(level) * u32::from(TILE_LEVELS));
        (at + 1) * leaves_each <= self.rolled.size()
    }

    /// Hash `at` of a tile level.
    fn hash_in_tile(&self, level: u8, at: u64) -> Result<Hash, StoreError> {
        match level.checked_sub(1) {
            Some(_) if self.is_rolled(level, at) => self.files.hash(level, at, &self.rolled),
            Some(below) => Ok(root_over(&self.tile(below, at, 256)?)),
            None => self.leaf(at),
        }
    }

    fn leaf(&self, index: u64) -> Result<Hash, StoreError> {
        let missing = || StoreError::corrupt(format!("log entry {index}"));
        match index.checked_sub(self.rolled.size()) {
            Some(at) => usize::try_from(at).ok().and_then(|at| self.hot.get(at)).copied().ok_or_else(missing),
            None => {
                let tile = self.files.hashes(0, index / 256, &self.rolled)?;
                usize::try_from(index % 256).ok().and_then(|at| tile.get(at)).copied().ok_or_else(missing)
            }
        }
    }
}

impl Nodes for TileNodes<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        let (tile_level, inside) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let width = 1_u64 << inside;
        let first = index * width;
        let tile = self.tile(tile_level, first / 256, first % 256 + width)?;
        let start = usize::try_from(first % 256).unwrap_or(usize::MAX);
        Ok(root_over(tile.get(start..).unwrap_or_default()))
    }
}
