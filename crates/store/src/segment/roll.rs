//! From hot to history, without losing or doubling a row wherever it stops.
//!
//! ```text
//! select   hot rows that are due                          nothing changed yet
//! write    into <id>.parquet.tmp, synced                  a stop leaves a file that the next start removes
//! place    renamed, folder synced                         a stop leaves a file that `fsck` names
//! commit   manifest entry in, hot blocks out, one batch   done
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use thingward_model::{Assurance, TenantName, Timestamp};

use crate::error::StoreError;
use crate::hot::{Batch, HotSnapshot, HotStore, Table, open_block, scope_prefix};
use crate::keys::TenantKeyRing;
use crate::query::Signed;
use crate::row::{Record, Row};
use crate::segment::file::{digest, unfinished_path_of, write_segment};
use crate::segment::{SegmentId, SegmentInfo, folder_of, path_of};

/// Which hot rows go to history.
#[derive(Debug, Clone, Copy)]
pub struct RollPolicy {
    /// Rows that were received before this go even when no checkpoint covers them.
    pub unsigned_before: Timestamp,
    /// Fewer due rows than this stay hot, so that segments do not become tiny. 0 and 1 roll anything.
    pub rows_min: usize,
    /// Most rows of one segment, or those of its one block. Bounds the memory of a roll: about 400 bytes per row.
    pub rows_max: usize,
}

/// Rows that are due, with the blocks that hold them.
pub(crate) struct Selected {
    rows: Vec<Row>,
    blocks: Vec<Vec<u8>>,
}

/// A synced file that nothing refers to.
pub(crate) struct Written {
    info: SegmentInfo,
    temporary: PathBuf,
    blocks: Vec<Vec<u8>>,
}

/// A file under its last name that nothing refers to.
pub(crate) struct Placed {
    info: SegmentInfo,
    blocks: Vec<Vec<u8>>,
}

/// The rows of `tenant` that `policy` wants in history; `None` when there are too few.
pub(crate) fn select(
    snapshot: &dyn HotSnapshot,
    tenant: &TenantName,
    keys: &TenantKeyRing,
    policy: &RollPolicy,
) -> Result<Option<Selected>, StoreError> {
    let mut signed = Signed::new(snapshot, tenant);
    let mut selected = Selected { rows: vec![], blocks: vec![] };
    for pair in snapshot.scan(Table::Records, &scope_prefix(tenant, None, None)) {
        let (key, value) = pair?;
        let records = open_block(keys, &key, &value)?;
        let mut rows: Vec<Row> = records.into_iter().flat_map(Record::into_rows).collect();
        for row in &mut rows {
            row.assurance = signed.assurance(row)?;
        }
        let is_due = |r: &Row| r.received < policy.unsigned_before || r.assurance >= Assurance::DeviceSigned;
        // A block goes as a whole, once all of it is due.
        if rows.iter().all(is_due) {
            let is_too_many = selected.rows.len() + rows.len() > policy.rows_max;
            if is_too_many && !selected.rows.is_empty() {
                break;
            }
            selected.rows.append(&mut rows);
            selected.blocks.push(key);
        }
    }
    let enough = selected.rows.len() >= policy.rows_min.max(1);
    Ok(enough.then_some(selected))
}

impl Selected {
    /// Writes the rows into a synced file under a temporary name.
    pub(crate) fn write(
        mut self,
        segments: &Path,
        tenant: &TenantName,
        keys: &TenantKeyRing,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let Self { rows, .. } = &mut self;
        rows.sort_by_cached_key(|r| (r.device, r.stream, r.field, r.time, r.chain, r.seq, r.item));
        let nothing = || StoreError::Invalid { what: "a segment has at least one row" };
        let (device_min, device_max) =
            rows.first().zip(rows.last()).map(|(f, l)| (f.device, l.device)).ok_or_else(nothing)?;
        let times = || rows.iter().map(|r| r.time);
        let (time_min, time_max) = times().min().zip(times().max()).ok_or_else(nothing)?;

        let folder = folder_of(segments, tenant);
        fs::create_dir_all(&folder).map_err(StoreError::io("create a segment folder"))?;
        sync(segments)?;
        let id = SegmentId::random()?;
        let temporary = unfinished_path_of(segments, tenant, id);
        let file = write_segment(&temporary, tenant, id, keys, rows)?;
        let bytes = file.metadata().map_err(StoreError::io("write a segment"))?.len();
        let digest = digest(&file, bytes).map_err(StoreError::io("read a segment"))?;
        let info = SegmentInfo {
            id,
            rows: rows.len() as u64,
            bytes,
            time_min,
            time_max,
            device_min,
            device_max,
            created: now,
            digest: digest.ok_or_else(|| StoreError::corrupt("a segment just written"))?,
        };
        Ok(Written { info, temporary, blocks: self.blocks })
    }
}

impl Written {
    /// Gives the file its last name.
    pub(crate) fn place(self, segments: &Path, tenant: &TenantName) -> Result<Placed, StoreError> {
        fs::rename(&self.temporary, path_of(segments, tenant, self.info.id))
            .map_err(StoreError::io("rename a segment"))?;
        sync(&folder_of(segments, tenant))?;
        Ok(Placed { info: self.info, blocks: self.blocks })
    }
}

impl Placed {
    /// Which segment it is.
    pub(crate) const fn id(&self) -> SegmentId {
        self.info.id
    }

    /// Makes the segment the place of its rows.
    pub(crate) fn commit(self, hot: &dyn HotStore, tenant: &TenantName) -> Result<SegmentInfo, StoreError> {
        let mut batch = Batch::new();
        batch.push(Table::Manifest, self.info.key(tenant), Some(self.info.encode()?));
        for block in self.blocks {
            batch.push(Table::Records, block, None);
        }
        hot.commit(batch)?;
        Ok(self.info)
    }
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync a segment folder"))
}
