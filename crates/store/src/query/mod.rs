//! Questions over hot readings and history together, answered exactly and in bounded memory.
//!
//! A question sees one moment: a roll or a commit that happens meanwhile neither hides nor doubles a row.

mod collect;
mod cursor;
mod export;
mod scan;
mod signed;
mod windows;

use thingward_model::{Assurance, DeviceName, FieldName, StreamName, Timestamp};

pub use cursor::{Cursor, CursorError};
pub use export::{Format, senml};
pub use windows::{Percentile, Window, WindowSpec};

pub(crate) use collect::{Latest, Page};
pub(crate) use export::export;
pub(crate) use scan::{Answer, Collect, Scan};
pub(crate) use signed::Signed;
pub(crate) use windows::Windows;

use thingward_policy::Reader;

use crate::row::{Row, SeriesRef};

/// Which of the values of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldFilter {
    /// All of them.
    #[default]
    Any,
    /// The only value of a stream that has one.
    Unnamed,
    /// This one.
    Named(FieldName),
}

/// Which rows. The default is all of them.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of one device.
    pub device: Option<DeviceName>,
    /// Of one stream; with no device, of the streams of this name of all devices.
    pub stream: Option<StreamName>,
    /// Of one field.
    pub field: FieldFilter,
    /// Measured at or after.
    pub from: Option<Timestamp>,
    /// Measured before.
    pub to: Option<Timestamp>,
    /// With at least this standing behind them now.
    pub assurance_min: Assurance,
    /// That they may see; `None` is for the service's own work.
    pub reader: Option<Reader>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            device: None,
            stream: None,
            field: FieldFilter::Any,
            from: None,
            to: None,
            assurance_min: Assurance::None,
            reader: None,
        }
    }
}

impl Filter {
    /// Whether a row, with the assurance that it has, is wanted.
    #[must_use]
    pub fn takes(&self, row: &Row) -> bool {
        self.takes_names(&row.device, &row.stream, row.field.as_ref())
            && self.takes_time(row.time)
            && row.assurance >= self.assurance_min
            && self.shows(row.series())
    }

    /// Whether they who ask may see rows of the series.
    fn shows(&self, SeriesRef { device, stream, field, unit }: SeriesRef<'_>) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.sees(device, stream, field, unit))
    }

    fn takes_names(&self, device: &DeviceName, stream: &StreamName, field: Option<&FieldName>) -> bool {
        self.device.is_none_or(|d| d == *device)
            && self.stream.is_none_or(|s| s == *stream)
            && match self.field {
                FieldFilter::Any => true,
                FieldFilter::Unnamed => field.is_none(),
                FieldFilter::Named(wanted) => field == Some(&wanted),
            }
    }

    fn takes_time(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }

    /// True when some time from `min` to `max`, both included, is wanted.
    fn takes_span(&self, min: Timestamp, max: Timestamp) -> bool {
        self.from.is_none_or(|from| max >= from) && self.to.is_none_or(|to| min < to)
    }
}

/// How much one question may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rows that are looked at.
    pub rows_scanned_max: u64,
    /// Most rows, series or windows in an answer. About 400 bytes each.
    pub results_max: usize,
    /// Most numbers kept for percentiles. 8 bytes each.
    pub percentile_values_max: usize,
}

impl Default for Limits {
    /// Under 200 MB and a few seconds.
    fn default() -> Self {
        Self { rows_scanned_max: 50_000_000, results_max: 100_000, percentile_values_max: 10_000_000 }
    }
}

/// Some rows in the order of their times, and where the next ones start.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where to go on; none when these were the last.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests;
