//! Full tiles and bundles as files: written once, whole, and never changed. Whoever has the files cannot make another log of
//! them: each is held against the hashes above it, up to those that are in the hot store.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use thingward_audit::frontier::{Frontier, root_over};
use thingward_audit::tile::{self, Kind, TILE_WIDTH, Tile, push_entry};
use thingward_audit::{Hash, leaf_hash};
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::shelf::Shelf;

/// The tile files of one tenant.
pub(crate) struct Files {
    shelf: Shelf,
    tenant: TenantName,
}

impl Files {
    pub(crate) const fn new(shelf: Shelf, tenant: TenantName) -> Self {
        Self { shelf, tenant }
    }

    fn name(&self, tile: Tile) -> String {
        format!("{}/{tile}", self.tenant)
    }

    /// The entries of a full bundle. `rolled` is the end of what is in files, here and below.
    pub(crate) fn entries(&self, index: u64, rolled: &Frontier) -> Result<Vec<Vec<u8>>, StoreError> {
        let tile = full(Kind::Entries, index);
        let leaves = self.hashes(0, index, rolled)?;
        let bytes = self.read(tile)?;
        let entries = tile::entries(&bytes).unwrap_or_default();
        if !entries.iter().map(|entry| leaf_hash(entry)).eq(leaves) {
            return Err(self.wrong(tile));
        }
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The hashes of a full tile.
    pub(crate) fn hashes(&self, level: u8, index: u64, rolled: &Frontier) -> Result<Vec<Hash>, StoreError> {
        let tile = full(Kind::Hashes { level }, index);
        let hashes = tile::hashes(&self.read(tile)?).unwrap_or_default();
        if hashes.len() == 256 && root_over(&hashes) == self.hash(level + 1, index, rolled)? {
            Ok(hashes)
        } else {
            Err(self.wrong(tile))
        }
    }

    /// Hash `index` of a level that has it: from the hot store, or from the full tile that it is in.
    pub(crate) fn hash(&self, level: u8, index: u64, rolled: &Frontier) -> Result<Hash, StoreError> {
        let of = (Kind::Hashes { level }, index / TILE_WIDTH);
        let at = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
        let found = match rolled.partial().find(|(tile, _)| (tile.kind, tile.index) == of) {
            Some((_, hashes)) => hashes.get(at).copied(),
            None => self.hashes(level, of.1, rolled)?.get(at).copied(),
        };
        found.ok_or_else(|| damaged(full(of.0, of.1)))
    }

    /// Writes a full bundle behind `rolled` with its tile, and the tiles above that it fills.
    pub(crate) fn write_bundle<'a>(
        &self,
        rolled: &mut Frontier,
        entries: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), StoreError> {
        let tile = full(Kind::Entries, rolled.size() / TILE_WIDTH);
        let mut bundle = Vec::new();
        for entry in entries.clone() {
            push_entry(&mut bundle, entry).ok_or_else(|| damaged(tile))?;
        }
        self.write(tile, &bundle)?;
        let mut tiles = Vec::new();
        for entry in entries {
            rolled.push(leaf_hash(entry), |tile, hashes| tiles.push((tile, hashes.concat())));
        }
        tiles.into_iter().try_for_each(|(tile, hashes)| self.write(tile, &hashes))
    }

    /// A file that is not what the log has. One that came from other nodes is not kept, and so comes anew.
    fn wrong(&self, tile: Tile) -> StoreError {
        self.shelf.forget(&self.name(tile));
        damaged(tile)
    }

    fn read(&self, tile: Tile) -> Result<Vec<u8>, StoreError> {
        let path = self.shelf.fetch(&self.name(tile)).map_err(|e| match e {
            StoreError::NotFound { .. } => damaged(tile),
            other => other,
        })?;
        fs::read(path).map_err(|e| StoreError::from_io("read a tile of the log", e))
    }

    /// In place in one step and durable, or not there. A piece that is there already is never another.
    fn write(&self, tile: Tile, bytes: &[u8]) -> Result<(), StoreError> {
        let name = self.name(tile);
        let path = self.shelf.folder().join(&name);
        if path.exists() {
            if self.read(tile)? != bytes {
                return Err(damaged(tile));
            }
        } else {
            let folder = path.parent().unwrap_or(self.shelf.folder());
            write_whole(folder, &path, bytes)
                .map_err(|e| StoreError::from_io("write a tile of the log", e))?;
        }
        self.shelf.keep(&name)
    }
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_all(folder)?;
    let unfinished = path.with_extension("tmp");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder and those above it, each durable in the one it is in.
fn create_all(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    create_all(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => File::open(parent)?.sync_all(),
    }
}

const fn full(kind: Kind, index: u64) -> Tile {
    Tile { kind, index, width: 256 }
}

fn damaged(tile: Tile) -> StoreError {
    StoreError::corrupt(format!("log piece {tile}"))
}
