//! Full tiles and bundles as files: written once, whole, and never changed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use thingward_audit::frontier::root_over;
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

    /// The entries of a full bundle.
    pub(crate) fn entries(&self, index: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let tile = full(Kind::Entries, index);
        let bytes = self.read(tile)?;
        let entries = tile::entries(&bytes).filter(|all| all.len() == 256);
        Ok(entries.ok_or_else(|| damaged(tile))?.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The hashes of a full tile.
    pub(crate) fn hashes(&self, level: u8, index: u64) -> Result<Vec<Hash>, StoreError> {
        let tile = full(Kind::Hashes { level }, index);
        let hashes = tile::hashes(&self.read(tile)?).filter(|all| all.len() == 256);
        hashes.ok_or_else(|| damaged(tile))
    }

    /// Whether a full tile has these hashes.
    pub(crate) fn check(&self, tile: Tile, hashes: &[Hash]) -> Result<(), StoreError> {
        if self.read(tile)? == hashes.concat() { Ok(()) } else { Err(damaged(tile)) }
    }

    /// The root over a full tile.
    pub(crate) fn root_of(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        Ok(root_over(&self.hashes(level, index)?))
    }

    /// Writes the full bundle `index` with its tile, and the tiles above that it fills.
    pub(crate) fn write_bundle(&self, index: u64, entries: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
        let mut bundle = Vec::new();
        for (_, entry) in entries {
            push_entry(&mut bundle, entry).ok_or_else(|| damaged(full(Kind::Entries, index)))?;
        }
        self.write(full(Kind::Entries, index), &bundle)?;
        let leaves: Vec<Hash> = entries.iter().map(|(_, entry)| leaf_hash(entry)).collect();
        self.write(full(Kind::Hashes { level: 0 }, index), &leaves.concat())?;
        let (mut level, mut last) = (1, index);
        while last % TILE_WIDTH == TILE_WIDTH - 1 {
            let above = last / TILE_WIDTH;
            let first = above * TILE_WIDTH;
            let hashes: Vec<Hash> =
                (first..=last).map(|index| self.root_of(level - 1, index)).collect::<Result<_, _>>()?;
            self.write(full(Kind::Hashes { level }, above), &hashes.concat())?;
            (level, last) = (level + 1, above);
        }
        Ok(())
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
