//! One moment of a log: its root and its proofs, out of tile files and the entries that are in none.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use thingward_audit::frontier::Frontier;
use thingward_audit::tree::{Nodes, consistency_proof, inclusion_proof, root};
use thingward_audit::{Hash, Subtree, node_hash};

use crate::error::StoreError;
use crate::log::files::Files;

/// Levels of the tree in one tile.
const TILE_LEVELS: u8 = 8;
/// Most tiles that are remembered, of 16 KiB each.
const KNOWN_MAX: usize = 1024;

/// A log as it was when it was asked for. Many proofs of one view are cheap, for it remembers the tiles that they go through.
pub struct LogView<'a> {
    files: &'a Files,
    /// The end of what is in files: whole bundles.
    rolled: Frontier,
    /// The leaves behind them.
    hot: Vec<Hash>,
    known: RefCell<HashMap<(u8, u64), Rc<TileTree>>>,
}

impl<'a> LogView<'a> {
    pub(crate) fn new(files: &'a Files, rolled: Frontier, hot: Vec<Hash>) -> Self {
        Self { files, rolled, hot, known: RefCell::default() }
    }

    /// The root over the first `size` entries, which have to be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn root(&self, size: u64) -> Result<Hash, StoreError> {
        root(self, size)
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
        inclusion_proof(self, index, Subtree::first(size))
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
        consistency_proof(self, Subtree::first(earlier), size)
    }

    /// The first `width` hashes of a tile, all of which have to be there.
    pub(crate) fn hashes(&self, level: u8, index: u64, width: u64) -> Result<Vec<Hash>, StoreError> {
        let mut hashes = self.tile(level, index)?.hashes().to_vec();
        hashes.truncate(usize::try_from(width).unwrap_or(usize::MAX));
        Ok(hashes)
    }

    /// As much as there is of a tile.
    fn tile(&self, level: u8, index: u64) -> Result<Rc<TileTree>, StoreError> {
        if let Some(known) = self.known.borrow().get(&(level, index)) {
            return Ok(Rc::clone(known));
        }
        let first = index * 256;
        let hashes = if first + 256 <= complete(level, self.rolled.size()) {
            self.files.hashes(level, index, &self.rolled)?
        } else {
            let there = complete(level, self.rolled.size() + self.hot.len() as u64);
            (first..there.min(first + 256)).map(|at| self.hash(level, at)).collect::<Result<_, _>>()?
        };
        let tile = Rc::new(TileTree::new(hashes));
        let mut known = self.known.borrow_mut();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((level, index), Rc::clone(&tile));
        Ok(tile)
    }

    /// Hash `at` of a tile level, of a tile that is in no file.
    fn hash(&self, level: u8, at: u64) -> Result<Hash, StoreError> {
        if at < complete(level, self.rolled.size()) {
            return self.files.hash(level, at, &self.rolled);
        }
        let missing = || StoreError::corrupt(format!("log node {at} of level {level}"));
        match level.checked_sub(1) {
            Some(below) => self.tile(below, at)?.node(TILE_LEVELS, 0).ok_or_else(missing),
            None => {
                let at = usize::try_from(at - self.rolled.size()).ok();
                at.and_then(|at| self.hot.get(at)).copied().ok_or_else(missing)
            }
        }
    }
}

/// How many hashes of a tile level are complete in a log of `size` entries.
const fn complete(level: u8, size: u64) -> u64 {
    match size.checked_shr(TILE_LEVELS as u32 * level as u32) {
        Some(complete) => complete,
        None => 0,
    }
}

impl Nodes for LogView<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        let (tile_level, inside) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let in_tile = 256_u64 >> inside;
        let node = self.tile(tile_level, index / in_tile)?.node(inside, index % in_tile);
        node.ok_or_else(|| StoreError::corrupt(format!("log node {index} of level {level}")))
    }
}

/// The hashes of a tile, and over them those of every complete node up to its root.
struct TileTree(Vec<Vec<Hash>>);

impl TileTree {
    fn new(hashes: Vec<Hash>) -> Self {
        let mut levels = vec![hashes];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let (pairs, _) = below.as_chunks();
            levels.push(pairs.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Self(levels)
    }

    fn hashes(&self) -> &[Hash] {
        self.0.first().map_or(&[], Vec::as_slice)
    }

    fn node(&self, level: u8, at: u64) -> Option<Hash> {
        self.0.get(usize::from(level))?.get(usize::try_from(at).ok()?).copied()
    }
}
