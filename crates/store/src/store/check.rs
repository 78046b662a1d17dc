//! Looks at everything stored, and says what is wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use thingward_model::TenantName;

use crate::error::StoreError;
use crate::hot::{HotSnapshot, Space, Table, open_block, parse_tenant};
use crate::segment::{Columns, SegmentId, SegmentInfo, damaged, open_segment, orphans, segments_of};
use crate::store::Store;

/// What a check of a data directory found.
#[derive(Debug, Default)]
pub struct Report {
    /// Hot blocks that opened.
    pub blocks: u64,
    /// Segments that opened, to the last row.
    pub segments: u64,
    /// Rows in them together.
    pub rows: u64,
    /// Entries of audit logs that are in their place.
    pub log_entries: u64,
    /// Hot blocks and segments of tenants whose keys are withdrawn or unusable: nobody can say.
    pub locked: u64,
    /// What is wrong. Empty when all is well.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub enum Problem {
    /// A hot block does not open.
    Block {
        /// Whose, when the block says so.
        tenant: Option<TenantName>,
        /// Why.
        error: StoreError,
    },
    /// A segment of the manifest is missing or does not open.
    Segment {
        /// Whose.
        tenant: TenantName,
        /// Which one.
        segment: SegmentId,
        /// Why.
        error: StoreError,
    },
    /// An audit log has a gap, or its pieces do not fit together.
    Log {
        /// Whose.
        tenant: TenantName,
        /// Why.
        error: StoreError,
    },
    /// A file that no manifest entry names. The next start removes it when it is half written.
    Orphan(PathBuf),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { tenant: Some(tenant), error } => write!(f, "tenant `{tenant}`: {error}"),
            Self::Block { tenant: None, error } => write!(f, "{error}"),
            Self::Segment { tenant, segment, error } => {
                write!(f, "tenant `{tenant}`, segment {segment}: {error}")
            }
            Self::Log { tenant, error } => write!(f, "tenant `{tenant}`, audit log: {error}"),
            Self::Orphan(path) => write!(f, "`{}` belongs to nothing", path.display()),
        }
    }
}

impl Store {
    /// Opens every hot block and reads every segment and audit log to the end. Repairs and removes nothing.
    ///
    /// # Errors
    ///
    /// What keeps it from being read at all.
    pub fn check(&self) -> Result<Report, StoreError> {
        let snapshot = self.hot.snapshot();
        let mut report = Report::default();
        self.check_blocks(&*snapshot, &mut report)?;
        let segments = segments_of(&*snapshot, None)?;
        for (tenant, segment) in &segments {
            match self.read_through(tenant, segment) {
                Ok(rows) => {
                    report.segments += 1;
                    report.rows += rows;
                }
                Err(StoreError::KeyWithdrawn { .. } | StoreError::KeyUnusable { .. }) => report.locked += 1,
                Err(error) => {
                    let (tenant, segment) = (*tenant, segment.id);
                    report.problems.push(Problem::Segment { tenant, segment, error });
                }
            }
        }
        self.check_logs(&*snapshot, &mut report)?;
        report.problems.extend(orphans(self.segments.folder(), &segments)?.into_iter().map(Problem::Orphan));
        Ok(report)
    }

    fn check_logs(&self, snapshot: &dyn HotSnapshot, report: &mut Report) -> Result<(), StoreError> {
        let mut tenants = BTreeSet::new();
        for pair in snapshot.scan(Table::Owner(Space::Log), b"") {
            let (key, _) = pair?;
            let (tenant, _) =
                parse_tenant(&key).ok_or_else(|| StoreError::corrupt("the key of a log entry"))?;
            tenants.insert(tenant);
        }
        for tenant in tenants {
            match self.log(tenant).check() {
                Ok(entries) => report.log_entries += entries,
                Err(error) => report.problems.push(Problem::Log { tenant, error }),
            }
        }
        Ok(())
    }

    fn check_blocks(&self, snapshot: &dyn HotSnapshot, report: &mut Report) -> Result<(), StoreError> {
        // The chain of the block before, and where that ended.
        let mut before: Option<(Vec<u8>, u64)> = None;
        for pair in snapshot.scan(Table::Records, b"") {
            let (key, value) = pair?;
            let tenant = parse_tenant(&key).map(|(tenant, _)| tenant);
            let chain = key.split_last_chunk::<8>().map(|(chain, _)| chain.to_vec()).unwrap_or_default();
            let keys = tenant.ok_or_else(|| StoreError::corrupt("the key of a hot block"));
            match keys.and_then(|t| self.keys.get(&t)).and_then(|keys| open_block(&keys, &key, &value)) {
                Ok(records) => {
                    let (first, last) = (records.first().map(|r| r.seq), records.last().map(|r| r.seq));
                    if before.is_some_and(|(other, end)| other == chain && first <= Some(end)) {
                        let error = StoreError::corrupt("a record that is in two hot blocks");
                        report.problems.push(Problem::Block { tenant, error });
                    }
                    before = last.map(|last| (chain, last));
                    report.blocks += 1;
                    report.rows += records.iter().map(|record| record.readings.len() as u64).sum::<u64>();
                }
                Err(StoreError::KeyWithdrawn { .. } | StoreError::KeyUnusable { .. }) => report.locked += 1,
                Err(error) => report.problems.push(Problem::Block { tenant, error }),
            }
        }
        Ok(())
    }

    /// Reads every value of a segment, and returns how many rows it has.
    fn read_through(&self, tenant: &TenantName, segment: &SegmentInfo) -> Result<u64, StoreError> {
        let damaged = || damaged(segment);
        let file = open_segment(&self.segments, tenant, segment, self.keys.get(tenant)?)?;
        let mut rows = 0;
        for batch in file.build().map_err(|_| damaged())? {
            let batch = batch.map_err(|_| damaged())?;
            let columns = Columns::whole(&batch).ok_or_else(damaged)?;
            for at in 0..columns.len {
                columns.row(at)?.ok_or_else(damaged)?;
                rows += 1;
            }
        }
        if rows == segment.rows { Ok(rows) } else { Err(damaged()) }
    }
}
