//! All of it together, in one data directory.

mod check;

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use thingward_model::{DeviceName, StreamName, TenantName, Timestamp};
use tokio::task::{JoinHandle, spawn_blocking};

pub use check::{Problem, Report};

use crate::error::StoreError;
use crate::hot::{Batch, Block, FjallHot, HotStore, Opened, Pair, Space, Table, block_key};
use crate::keys::TenantKeys;
use crate::log::TenantLog;
use crate::query::{
    Answer, Cursor, Filter, Format, Latest, Limits, Page, ReadingPage, Scan, Window, WindowSpec, Windows,
    export,
};
use crate::registry::Registry;
use crate::row::{Record, RecordKey, Row};
use crate::segment::{RollPolicy, SegmentInfo, file_of, orphans, remove_unfinished, segments_of, select};
use crate::shelf::{Depot, Shelf};

/// Rows that an export holds in memory at a time.
const EXPORT_PAGE_ROWS: usize = 50_000;
/// Mode bits that let anyone but the owner in.
const OTHERS_MASK: u32 = 0o077;

fn registry_in(data_dir: &Path) -> PathBuf {
    data_dir.join("registry.sqlite")
}

/// Keys, names and hashes of tokens are for the service's own user.
fn closed_to_others(data_dir: &Path) -> Result<(), StoreError> {
    let metadata = std::fs::metadata(data_dir).map_err(StoreError::io("look at the data directory"))?;
    if metadata.mode() & OTHERS_MASK == 0 {
        Ok(())
    } else {
        Err(StoreError::Exposed { path: data_dir.to_owned() })
    }
}

/// Everything that the service keeps. Calls that are not `async` block on the disk.
pub struct Store {
    registry: Registry,
    keys: TenantKeys,
    hot: Box<dyn HotStore>,
    segments: Shelf,
    logs: Shelf,
    /// Held by a roll, so that no two take the same rows.
    rolling: Mutex<()>,
}

/// A data directory that is being opened: hot readings are read while the registry is asked.
pub struct Opening {
    registry: Registry,
    hot: JoinHandle<Result<FjallHot, StoreError>>,
    data_dir: PathBuf,
}

impl Opening {
    /// The registry of it, which is open.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn finish(self) -> Result<Store, StoreError> {
        let Self { registry, hot, data_dir } = self;
        let hot = hot.await.map_err(|e| StoreError::database("open hot readings", e))??;
        let store = Store::over(Box::new(hot), registry, &data_dir, None).await?;
        store.agrees_with_files(&data_dir)?;
        Ok(store)
    }
}

impl Store {
    /// Begins to open a data directory, making it when it is not there.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn begin(data_dir: &Path) -> Result<Opening, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir.join("segments"))
            .map_err(StoreError::io("create the data directory"))?;
        closed_to_others(data_dir)?;
        let registry = Registry::open(&registry_in(data_dir)).await?;
        let hot = data_dir.join("hot");
        let hot = spawn_blocking(move || FjallHot::open(&hot));
        Ok(Opening { registry, hot, data_dir: data_dir.to_owned() })
    }

    /// Opens a data directory, making it when it is not there. The keys of all tenants that are not withdrawn are
    /// unwrapped. Segments that a crash left half written are removed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exposed`] when others may look into the directory, [`StoreError::Conflict`] when another process
    /// has it open or when there is history without the log that belongs to it, else what the disk or the databases
    /// say.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::begin(data_dir).await?.finish().await
    }

    /// Whether what `hot` knows of is there, and what is there is known; what a crash left half written is removed.
    fn agrees_with_files(&self, data_dir: &Path) -> Result<(), StoreError> {
        let segments = data_dir.join("segments");
        let known = segments_of(&*self.hot.snapshot(), None)?;
        if known.is_empty() && self.hot_is_empty()? && !orphans(&segments, &[])?.is_empty() {
            return Err(StoreError::Conflict {
                what: "`segments` has history and `hot` knows of none; put both of one backup in place, or move \
                       `segments` away",
            });
        }
        if self.logs.folder().is_dir() && self.log_is_empty()? {
            return Err(StoreError::Conflict {
                what: "`logs` has audit logs and `hot` knows of none; put both of one backup in place",
            });
        }
        remove_unfinished(&segments, &known)
    }

    /// Opens a data directory that is there and that no service has open, and changes nothing in it that was written;
    /// the databases may tidy up their journals.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when a part of it is missing, [`StoreError::Conflict`] when it is open elsewhere or another release
    /// wrote it.
    pub async fn open_to_look(data_dir: &Path) -> Result<Self, StoreError> {
        for part in ["hot", "segments"] {
            if !data_dir.join(part).is_dir() {
                return Err(StoreError::NotFound { what: "`hot` and `segments` of a data directory" });
            }
        }
        let registry = Registry::open_as_it_is(&registry_in(data_dir)).await?;
        Self::over(Box::new(FjallHot::open(&data_dir.join("hot"))?), registry, data_dir, None).await
    }

    /// Everything over another hot store than that of the data directory, which has `segments` and `logs` only; and, where
    /// nodes share these, over the depot that has all of them.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub async fn over(
        hot: Box<dyn HotStore>,
        registry: Registry,
        data_dir: &Path,
        depot: Option<Arc<dyn Depot>>,
    ) -> Result<Self, StoreError> {
        let keys = TenantKeys::load(registry.clone()).await?;
        let segments = Shelf::new(data_dir, "segments", depot.clone());
        let logs = Shelf::new(data_dir, "logs", depot);
        Ok(Self { registry, keys, hot, segments, logs, rolling: Mutex::new(()) })
    }

    fn log_is_empty(&self) -> Result<bool, StoreError> {
        let snapshot = self.hot.snapshot();
        snapshot.scan(Table::Owner(Space::Log), b"").next().transpose().map(|first| first.is_none())
    }

    fn hot_is_empty(&self) -> Result<bool, StoreError> {
        let snapshot = self.hot.snapshot();
        snapshot.scan(Table::Records, b"").next().transpose().map(|first| first.is_none())
    }

    /// Who is who.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The tenants' keys.
    #[must_use]
    pub const fn keys(&self) -> &TenantKeys {
        &self.keys
    }

    /// The audit log of a tenant.
    #[must_use]
    pub fn log(&self, tenant: TenantName) -> TenantLog<'_> {
        TenantLog::new(tenant, &*self.hot, self.logs.clone())
    }

    /// Begins a block of records with this one. Touches no disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyWithdrawn`] or [`StoreError::KeyUnusable`]; [`StoreError::Invalid`] when the record breaks
    /// a bound.
    pub fn block(&self, tenant: &TenantName, record: &Record) -> Result<Block, StoreError> {
        Block::new(tenant, self.keys.get(tenant)?, record)
    }

    /// A record that is not in history yet; `None` also when it never was. Its block stays `opened` for the next ones.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyWithdrawn`], [`StoreError::Corrupt`], or what the disk says.
    pub fn hot_record<'a>(
        &self,
        tenant: &TenantName,
        device: DeviceName,
        stream: StreamName,
        chain: [u8; 8],
        seq: u64,
        opened: &'a mut Opened,
    ) -> Result<Option<&'a Record>, StoreError> {
        let at = |seq| RecordKey { device, stream, chain, seq };
        if opened.find(tenant, &at(seq)).is_none() {
            let (from, to) = (block_key(tenant, &at(0)), block_key(tenant, &at(seq)));
            let Some((key, value)) = self.hot.snapshot().last(Table::Records, &from, &to)? else {
                return Ok(None);
            };
            opened.open(&*self.keys.get(tenant)?, key, &value)?;
        }
        Ok(opened.find(tenant, &at(seq)))
    }

    /// Makes all changes of `batch` durable in one step: see [`HotStore::commit`].
    ///
    /// # Errors
    ///
    /// As [`HotStore::commit`].
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.hot.commit(batch)
    }

    /// The value at `key` of another owner's table.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.hot.snapshot().get(Table::Owner(space), key)
    }

    /// The pairs of another owner's table whose key starts with `prefix`, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Limit`] when there are more than `pairs_max`, else what the disk says.
    pub fn scan(&self, space: Space, prefix: &[u8], pairs_max: usize) -> Result<Vec<Pair>, StoreError> {
        let snapshot = self.hot.snapshot();
        let pairs: Vec<Pair> = snapshot
            .scan(Table::Owner(space), prefix)
            .take(pairs_max.saturating_add(1))
            .collect::<Result<_, _>>()?;
        if pairs.len() > pairs_max {
            return Err(StoreError::Limit { what: "entries", max: pairs_max as u64 });
        }
        Ok(pairs)
    }

    /// Up to `pairs_max` pairs of another owner's table whose key starts with `prefix`, in the order of their keys,
    /// from the first after `after` on.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn page(
        &self,
        space: Space,
        prefix: &[u8],
        after: &[u8],
        pairs_max: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let snapshot = self.hot.snapshot();
        let before = |pair: &Result<Pair, _>| matches!(pair, Ok((key, _)) if key.as_slice() <= after);
        let pairs = snapshot.scan_from(Table::Owner(space), prefix, prefix.max(after));
        pairs.skip_while(before).take(pairs_max).collect()
    }

    /// Moves rows of the tenant that are due from hot to a new segment. A crash at any point neither loses nor
    /// doubles a row. `None` when too few are due.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyWithdrawn`], [`StoreError::Corrupt`], or what the disk says; the rows are hot then.
    pub fn roll(
        &self,
        tenant: &TenantName,
        policy: &RollPolicy,
        now: Timestamp,
    ) -> Result<Option<SegmentInfo>, StoreError> {
        let _turn = self.rolling.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.get(tenant)?;
        let Some(selected) = select(&*self.hot.snapshot(), tenant, &keys, policy)? else { return Ok(None) };
        let folder = self.segments.folder();
        let placed = selected.write(folder, tenant, &keys, now)?.place(folder, tenant)?;
        let file = file_of(tenant, placed.id());
        if let Err(error) = self.segments.keep(&file) {
            // The next try writes another; without this each leaves one while the depot does not answer.
            let _ = std::fs::remove_file(folder.join(file));
            return Err(error);
        }
        placed.commit(&*self.hot, tenant).map(Some)
    }

    /// The tenant's segments, in no particular order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], or what the disk says.
    pub fn segments(&self, tenant: &TenantName) -> Result<Vec<SegmentInfo>, StoreError> {
        let found = segments_of(&*self.hot.snapshot(), Some(tenant))?;
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    /// Keeps every segment and every tile of this data directory in a depot, and no file that belongs to nothing. Returns how many
    /// files that are. Blocks.
    ///
    /// # Errors
    ///
    /// What disk or depot say.
    pub fn keep_files(&self, depot: &dyn Depot) -> Result<u64, StoreError> {
        let known = segments_of(&*self.hot.snapshot(), None)?;
        let useless = orphans(self.segments.folder(), &known)?.into_iter().collect();
        Ok(self.segments.keep_all(depot, &useless)? + self.logs.keep_all(depot, &HashSet::new())?)
    }

    /// What is hot, to take a snapshot of.
    #[must_use]
    pub fn hot(&self) -> &dyn HotStore {
        &*self.hot
    }

    /// The file of a segment, for the customer's own tools. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is gone.
    pub fn segment_file(&self, tenant: &TenantName, info: &SegmentInfo) -> Result<PathBuf, StoreError> {
        self.segments.fetch(&file_of(tenant, info.id))
    }

    /// Up to `rows_max` matching rows in the order of their times, from the first after a cursor on.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyWithdrawn`], [`StoreError::Limit`], [`StoreError::WrongKey`], [`StoreError::Corrupt`], or
    /// what the disk says. Never a part of an answer.
    pub fn readings(
        &self,
        tenant: &TenantName,
        filter: &Filter,
        after: Option<Cursor>,
        rows_max: usize,
        limits: &Limits,
    ) -> Result<ReadingPage, StoreError> {
        if rows_max > limits.results_max {
            return Err(StoreError::Limit { what: "rows in a page", max: limits.results_max as u64 });
        }
        let mut filter = filter.clone();
        if let Some(Cursor((time, ..))) = &after {
            filter.from = filter.from.max(Some(*time));
        }
        let mut page = Page::new(after, rows_max);
        self.run(tenant, filter, *limits, Answer::Rows(&mut page))?;
        Ok(page.finish())
    }

    /// The latest matching row of each field of each stream. Cheap when the filter names device, stream and field;
    /// else it looks at all of history, or at what `from` leaves of it.
    ///
    /// # Errors
    ///
    /// As [`Self::readings`].
    pub fn latest(
        &self,
        tenant: &TenantName,
        filter: &Filter,
        limits: &Limits,
    ) -> Result<Vec<Row>, StoreError> {
        let mut latest = Latest::new(filter, limits.results_max);
        self.run(tenant, filter.clone(), *limits, Answer::Rows(&mut latest))?;
        Ok(latest.finish())
    }

    /// Count, mean, least, greatest and percentiles of the matching numbers, by series and window.
    ///
    /// # Errors
    ///
    /// As [`Self::readings`], and [`StoreError::Invalid`] for windows of no length.
    pub fn windows(
        &self,
        tenant: &TenantName,
        filter: &Filter,
        spec: &WindowSpec,
        limits: &Limits,
    ) -> Result<Vec<Window>, StoreError> {
        let mut windows = Windows::new(spec, *limits)?;
        self.run(tenant, filter.clone(), *limits, Answer::Windows(&mut windows))?;
        Ok(windows.finish())
    }

    /// Writes all matching rows in the order of their times, and returns how many there were. What is measured
    /// while it runs may be in it. What `turn` gives is held while rows are read, and not while they are written.
    ///
    /// # Errors
    ///
    /// As [`Self::readings`], and what `out` says; some rows may be written then.
    pub fn export<T>(
        &self,
        tenant: &TenantName,
        filter: &Filter,
        format: Format,
        out: impl Write + Send,
        turn: impl Fn() -> T,
    ) -> Result<u64, StoreError> {
        let limits = Limits { rows_scanned_max: u64::MAX, ..Limits::default() };
        export(format, out, |after| {
            let _turn = turn();
            self.readings(tenant, filter, after, EXPORT_PAGE_ROWS, &limits)
        })
    }

    fn run(
        &self,
        tenant: &TenantName,
        filter: Filter,
        limits: Limits,
        into: Answer<'_>,
    ) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.keys.get(tenant)?);
        let snapshot = self.hot.snapshot();
        Scan { snapshot: &*snapshot, segments: &self.segments, tenant, keys, filter, limits }.run(into)
    }
}
