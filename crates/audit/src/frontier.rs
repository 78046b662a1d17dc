//! The growing end of a log: what is needed to append and to know the root, whatever the size.

use std::vec::Vec;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::tile::{Kind, TILE_WIDTH, Tile};

/// The hashes of the last, partial tile of each level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A partial tile does not have the hashes that the size of the log asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the last tile of level {level} has {has} hashes instead of {wanted}")]
pub struct WrongTile {
    /// Its level.
    pub level: u8,
    /// What it has.
    pub has: usize,
    /// What it has to have.
    pub wanted: usize,
}

impl Frontier {
    /// The end of a log of `size` entries, from the hashes of its last tiles: of levels 0 and up, an empty one where
    /// all tiles of a level are full.
    ///
    /// # Errors
    ///
    /// [`WrongTile`].
    pub fn restore(size: u64, levels: Vec<Vec<Hash>>) -> Result<Self, WrongTile> {
        let wanted = partial_tiles(size);
        for (level, width) in (0_u8..).zip(&wanted) {
            let has = levels.get(usize::from(level)).map_or(0, Vec::len);
            if has != usize::from(*width) {
                return Err(WrongTile { level, has, wanted: usize::from(*width) });
            }
        }
        let mut levels = levels;
        levels.truncate(wanted.len());
        Ok(Self { size, levels })
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends the leaf with this hash. Tiles that it fills go to `full`, with their hashes.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        let (mut hash, mut level) = (leaf, 0_u8);
        self.size += 1;
        loop {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(at) else { return };
            tile.push(hash);
            if tile.len() < 256 {
                return;
            }
            let index = (self.size >> (8 * u32::from(level) + 8)) - 1;
            full(Tile { kind: Kind::Hashes { level }, index, width: 256 }, tile);
            hash = root_over(tile);
            tile.clear();
            level += 1;
        }
    }

    /// The root over all entries.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut rest = Vec::new();
        for level in &self.levels {
            let hashes = [level.as_slice(), &rest].concat();
            rest = if hashes.is_empty() { hashes } else { vec![root_over(&hashes)] };
        }
        root_over(&rest)
    }

    /// The partial tiles, with their hashes.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        let named = (0_u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty());
        named.filter_map(|(level, hashes)| {
            let index = self.size.checked_shr(8 * u32::from(level) + 8).unwrap_or(0);
            let width = u16::try_from(hashes.len()).ok()?;
            Some((Tile { kind: Kind::Hashes { level }, index, width }, hashes.as_slice()))
        })
    }
}

/// How many hashes the last tile of each level has in a log of `size` entries, 0 where all are full.
#[must_use]
pub fn partial_tiles(size: u64) -> Vec<u16> {
    let mut widths = Vec::new();
    let mut nodes = size;
    while nodes > 0 {
        widths.push(u16::try_from(nodes % TILE_WIDTH).unwrap_or(0));
        nodes /= TILE_WIDTH;
    }
    widths
}

/// The root over hashes of one level, the last of which may stand for fewer leaves.
#[must_use]
pub fn root_over(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => EMPTY_ROOT,
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            node_hash(&root_over(left), &root_over(right))
        }
    }
}
