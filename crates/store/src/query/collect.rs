//! Answers made of rows: pages in the order of time, and the latest row of each field.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use thingward_model::{DeviceName, FieldName, StreamName, Timestamp};

use crate::error::StoreError;
use crate::query::{Collect, Cursor, FieldFilter, Filter, ReadingPage};
use crate::row::{Row, RowKey};

/// The first rows after a cursor. Holds no more of them than the page takes.
pub(crate) struct Page {
    after: Option<RowKey>,
    rows_max: usize,
    /// The last row on top.
    rows: BinaryHeap<ByKey>,
}

struct ByKey(Row);

impl Page {
    pub(crate) fn new(after: Option<Cursor>, rows_max: usize) -> Self {
        Self { after: after.map(|c| c.0), rows_max: rows_max.max(1), rows: BinaryHeap::new() }
    }

    pub(crate) fn finish(self) -> ReadingPage {
        let full = self.rows.len() == self.rows_max;
        let rows: Vec<Row> = self.rows.into_sorted_vec().into_iter().map(|r| r.0).collect();
        let next = rows.last().filter(|_| full).map(|r| Cursor(r.key()));
        ReadingPage { rows, next }
    }
}

impl Collect for Page {
    fn take(&mut self, row: Row) -> Result<(), StoreError> {
        if self.after.as_ref().is_some_and(|after| row.key() <= *after) {
            return Ok(());
        }
        self.rows.push(ByKey(row));
        if self.rows.len() > self.rows_max {
            self.rows.pop();
        }
        Ok(())
    }

    fn useful_until(&self) -> Option<Timestamp> {
        self.rows.peek().filter(|_| self.rows.len() == self.rows_max).map(|r| r.0.time)
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key().cmp(&other.0.key())
    }
}
impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for ByKey {}

/// The row with the latest time of each field of each stream.
pub(crate) struct Latest {
    fields_max: usize,
    /// The filter leaves one field, so older rows than one found change nothing.
    one_field: bool,
    rows: BTreeMap<Place, Row>,
}

type Place = (DeviceName, StreamName, Option<FieldName>);

impl Latest {
    pub(crate) fn new(filter: &Filter, fields_max: usize) -> Self {
        let one_field =
            filter.device.is_some() && filter.stream.is_some() && filter.field != FieldFilter::Any;
        Self { fields_max, one_field, rows: BTreeMap::new() }
    }

    pub(crate) fn finish(self) -> Vec<Row> {
        self.rows.into_values().collect()
    }
}

impl Collect for Latest {
    fn take(&mut self, row: Row) -> Result<(), StoreError> {
        let place = (row.device, row.stream, row.field);
        match self.rows.get_mut(&place) {
            Some(latest) if latest.key() < row.key() => *latest = row,
            Some(_) => {}
            None => {
                self.rows.insert(place, row);
            }
        }
        if self.rows.len() > self.fields_max {
            return Err(StoreError::Limit { what: "fields", max: self.fields_max as u64 });
        }
        Ok(())
    }

    fn useful_from(&self) -> Option<Timestamp> {
        self.rows.values().next().filter(|_| self.one_field).map(|r| r.time)
    }

    fn newest_first(&self) -> bool {
        true
    }
}
