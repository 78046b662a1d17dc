//! One pass over everything a filter may match: hot blocks first, then segments by time.

use std::cmp::Reverse;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use thingward_model::{TenantName, Timestamp};

use crate::error::StoreError;
use crate::hot::{HotSnapshot, Table, open_block, scope_prefix};
use crate::keys::TenantKeyRing;
use crate::query::{Filter, Limits, Signed, Windows};
use crate::row::{Record, Row, SeriesRef, Value};
use crate::segment::{Columns, NUMBERS, SegmentInfo, damaged, open_segment, schema, segments_of};
use crate::shelf::Shelf;

/// Rows that are read from a segment at a time.
const READ_ROWS: usize = 8192;

/// Takes the rows of a scan.
pub(crate) trait Collect {
    /// Takes one row that the filter matches. Rows come in no particular order.
    fn take(&mut self, row: Row) -> Result<(), StoreError>;

    /// Rows after this time change nothing any more.
    fn useful_until(&self) -> Option<Timestamp> {
        None
    }

    /// Rows before this time change nothing any more.
    fn useful_from(&self) -> Option<Timestamp> {
        None
    }

    /// True when the newest segments should come first.
    fn newest_first(&self) -> bool {
        false
    }
}

/// What a scan is for.
pub(crate) enum Answer<'a> {
    Rows(&'a mut (dyn Collect + 'static)),
    /// Numbers alone, of which there are many: nothing else is read of their rows.
    Windows(&'a mut Windows),
}

impl Answer<'_> {
    fn newest_first(&self) -> bool {
        matches!(self, Self::Rows(collect) if collect.newest_first())
    }

    const fn takes(&self, value: &Value) -> bool {
        matches!((self, value), (Self::Rows(_), _) | (Self::Windows(_), Value::Number(_)))
    }

    /// True when no row from `min` to `max` can change the answer any more.
    fn is_useless(&self, min: Timestamp, max: Timestamp) -> bool {
        let Self::Rows(collect) = self else { return false };
        collect.useful_until().is_some_and(|until| min > until)
            || collect.useful_from().is_some_and(|from| max < from)
    }
}

/// A question at one moment.
pub(crate) struct Scan<'a> {
    pub(crate) snapshot: &'a dyn HotSnapshot,
    pub(crate) segments: &'a Shelf,
    pub(crate) tenant: &'a TenantName,
    pub(crate) keys: Arc<TenantKeyRing>,
    pub(crate) filter: Filter,
    pub(crate) limits: Limits,
}

impl Scan<'_> {
    /// Gives every matching row to `into`, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Limit`] when too many rows must be looked at, [`StoreError::Corrupt`] or
    /// [`StoreError::WrongKey`] when something stored does not open, and what `into` says.
    pub(crate) fn run(&self, into: Answer<'_>) -> Result<(), StoreError> {
        let mut pass =
            Pass { scan: self, signed: Signed::new(self.snapshot, self.tenant), looked_at: 0, into };
        pass.hot()?;
        let mut segments = segments_of(self.snapshot, Some(self.tenant))?;
        segments.sort_by_key(|(_, s)| s.time_min);
        if pass.into.newest_first() {
            segments.sort_by_key(|(_, s)| Reverse(s.time_max));
        }
        segments.iter().try_for_each(|(_, info)| pass.segment(info))
    }

    fn may_have(&self, info: &SegmentInfo) -> bool {
        self.filter.takes_span(info.time_min, info.time_max)
            && self.filter.device.is_none_or(|d| info.device_min <= d && d <= info.device_max)
    }
}

struct Pass<'a> {
    scan: &'a Scan<'a>,
    signed: Signed<'a>,
    looked_at: u64,
    into: Answer<'a>,
}

impl Pass<'_> {
    fn hot(&mut self) -> Result<(), StoreError> {
        let Scan { snapshot, tenant, keys, filter, .. } = self.scan;
        let prefix = scope_prefix(tenant, filter.device.as_ref(), filter.stream.as_ref());
        for pair in snapshot.scan(Table::Records, &prefix) {
            let (key, value) = pair?;
            for row in open_block(keys, &key, &value)?.into_iter().flat_map(Record::into_rows) {
                self.count(1)?;
                if filter.takes_time(row.time)
                    && filter.takes_names(&row.device, &row.stream, row.field.as_ref())
                    && self.into.takes(&row.value)
                {
                    self.give(row)?;
                }
            }
        }
        Ok(())
    }

    fn segment(&mut self, info: &SegmentInfo) -> Result<(), StoreError> {
        let Scan { segments, tenant, keys, .. } = self.scan;
        if !self.scan.may_have(info) || self.into.is_useless(info.time_min, info.time_max) {
            return Ok(());
        }
        let file = open_segment(segments, tenant, info, Arc::clone(keys))?;
        let groups = file.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, g)| self.group_may_have(g)).map(|(at, _)| at).collect();
        let mask = match self.into {
            Answer::Rows(_) => ProjectionMask::all(),
            Answer::Windows(_) => ProjectionMask::columns(file.parquet_schema(), NUMBERS.iter().copied()),
        };
        let reader = file.with_row_groups(groups).with_projection(mask).with_batch_size(READ_ROWS).build();
        for batch in reader.map_err(|_| damaged(info))? {
            let batch = batch.map_err(|_| damaged(info))?;
            let columns = match self.into {
                Answer::Rows(_) => Columns::whole(&batch),
                Answer::Windows(_) => Columns::of(&batch),
            };
            self.batch(&columns.ok_or_else(|| damaged(info))?)?;
        }
        Ok(())
    }

    fn batch(&mut self, columns: &Columns<'_>) -> Result<(), StoreError> {
        let filter = &self.scan.filter;
        self.count(columns.len as u64)?;
        for at in 0..columns.len {
            let time = columns.time(at);
            if !filter.takes_time(time) || self.into.is_useless(time, time) {
                continue;
            }
            let (device, stream, field) = (columns.device(at)?, columns.stream(at)?, columns.field(at)?);
            if !filter.takes_names(&device, &stream, field.as_ref()) {
                continue;
            }
            match &mut self.into {
                Answer::Rows(_) => columns.row(at)?.map_or(Ok(()), |row| self.give(row))?,
                Answer::Windows(windows) => {
                    let Some(number) = columns.number(at) else { continue };
                    let (chain, seq) = columns.place(at)?;
                    let kept = columns.assurance(at)?;
                    let assurance = self.signed.of_open(kept, (device, stream, chain), seq)?;
                    let (field, unit) = (field.as_ref(), columns.unit(at));
                    let series = SeriesRef { device: &device, stream: &stream, field, unit };
                    if assurance >= filter.assurance_min && filter.shows(series) {
                        windows.take(series, time, number)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn give(&mut self, mut row: Row) -> Result<(), StoreError> {
        row.assurance = self.signed.assurance(&row)?;
        if row.assurance < self.scan.filter.assurance_min || !self.scan.filter.shows(row.series()) {
            return Ok(());
        }
        match (&mut self.into, &row.value) {
            (Answer::Rows(collect), _) => collect.take(row),
            (Answer::Windows(windows), Value::Number(number)) => {
                windows.take(row.series(), row.time, *number)
            }
            (Answer::Windows(_), _) => Ok(()),
        }
    }

    fn count(&mut self, rows: u64) -> Result<(), StoreError> {
        let max = self.scan.limits.rows_scanned_max;
        self.looked_at += rows;
        if self.looked_at > max { Err(StoreError::Limit { what: "rows to look at", max }) } else { Ok(()) }
    }

    /// False when the statistics of a row group exclude the filter. Statistics that are missing exclude nothing.
    fn group_may_have(&self, group: &RowGroupMetaData) -> bool {
        let filter = &self.scan.filter;
        let names = |column, wanted: Option<&str>| match (wanted, statistics(group, column)) {
            (Some(wanted), Some(Statistics::ByteArray(s))) => {
                let above = s.min_opt().is_none_or(|min| min.data() <= wanted.as_bytes());
                above && s.max_opt().is_none_or(|max| wanted.as_bytes() <= max.data())
            }
            _ => true,
        };
        let times = match statistics(group, "time") {
            Some(Statistics::Int64(s)) => match (s.min_opt(), s.max_opt()) {
                (Some(min), Some(max)) => {
                    let (min, max) = (Timestamp::from_micros(*min), Timestamp::from_micros(*max));
                    filter.takes_span(min, max) && !self.into.is_useless(min, max)
                }
                _ => true,
            },
            _ => true,
        };
        times
            && names("device", filter.device.as_ref().map(|d| d.as_str()))
            && names("stream", filter.stream.as_ref().map(|s| s.as_str()))
    }
}

fn statistics<'a>(group: &'a RowGroupMetaData, column: &str) -> Option<&'a Statistics> {
    group.column(schema().index_of(column).ok()?).statistics()
}
