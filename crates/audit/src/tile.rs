//! The pieces that a log is kept and served in: C2SP tlog-tiles.

use std::fmt;
use std::string::String;
use std::vec::Vec;

use crate::hash::Hash;

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Tile levels that can come: eight levels of the tree each, in trees of up to 2^48 leaves.
const LEVEL_MAX: u8 = 5;
/// Largest entry in bytes.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// What a piece holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Hashes of the tree's level `8 · level`.
    Hashes {
        /// From 0, the leaves.
        level: u8,
    },
    /// The entries themselves.
    Entries,
}

/// Names one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its number, from 0.
    pub index: u64,
    /// How many hashes or entries it has, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// Reads the path of a piece, which has to be written as [`fmt::Display`] writes it.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (kind, rest) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => Kind::Hashes { level: level.parse().ok().filter(|level| *level <= LEVEL_MAX)? },
        };
        let (rest, width) = match rest.split_once(".p/") {
            Some((rest, width)) => (rest, width.parse().ok().filter(|w| (1..256).contains(w))?),
            None => (rest, 256),
        };
        let mut index = 0_u64;
        for part in rest.split('/') {
            let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(digits)?;
        }
        let tile = Self { kind, index, width };
        // One piece has one path: no signs, leading zeros or other splits.
        (tile.to_path() == path).then_some(tile)
    }

    fn to_path(self) -> String {
        std::format!("{self}")
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes { level } => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = Vec::new();
        let mut index = self.index;
        while index >= 1000 {
            groups.push(index % 1000);
            index /= 1000;
        }
        groups.push(index);
        while let Some(group) = groups.pop() {
            if groups.is_empty() {
                write!(f, "{group:03}")?;
            } else {
                write!(f, "x{group:03}/")?;
            }
        }
        if u64::from(self.width) < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Puts an entry behind those of a bundle; `None` when it is too large for one.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    bundle.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// The entries of a bundle; `None` when its bytes do not end with one.
#[must_use]
pub fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        all.push(entry);
        bundle = rest;
    }
    bundle.is_empty().then_some(all)
}

/// The hashes of a tile; `None` when its bytes do not end with one.
#[must_use]
pub fn hashes(tile: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = tile.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}
