//! Sends a CSV file through the device: each row one record, with the row's own time.
//!
//! Where a replay stands is a note that becomes durable with the rows themselves, so that one that was killed
//! goes on behind the last durable row and no row comes twice.

mod map;
mod table;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thingward_model::{StreamName, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::agent::{AgentHandle, NewRecord, RecordError, StreamState};
use crate::reading::OwnedReading;
use table::measure;

pub use map::{MapError, ReplayMap, TimeSource};
pub use table::Table;

/// Why a replay does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no CSV.
    #[error("not CSV: {0}")]
    Csv(#[from] csv::Error),
    /// The header does not fit the rows.
    #[error("the header has {names} names, and the first row {columns} columns")]
    Header {
        /// In the header.
        names: usize,
        /// In the row.
        columns: usize,
    },
    /// The map names a column that there is not.
    #[error("there is no column {wanted:?}; there are {names}")]
    NoColumn {
        /// What the map names.
        wanted: String,
        /// All names.
        names: String,
    },
    /// No field name can be made of a column's.
    #[error("column {column:?} cannot be given a field name")]
    NoFieldName {
        /// Its name.
        column: String,
    },
    /// A row has another number of columns.
    #[error("row {row} has {has} columns, and the first has {wanted}")]
    Columns {
        /// From 1, the header not counted.
        row: u64,
        /// Its columns.
        has: usize,
        /// Those of the first row.
        wanted: usize,
    },
    /// A row's time cannot be read.
    #[error("row {row} has no time that can be read")]
    Time {
        /// From 1, the header not counted.
        row: u64,
    },
    /// The file has become shorter since a part of it was sent.
    #[error("{wanted} rows were sent already, and the file has {rows}")]
    Shorter {
        /// In the file.
        rows: u64,
        /// Sent before.
        wanted: u64,
    },
    /// The agent did not take the rows.
    #[error("up to row {row}: {error}")]
    Record {
        /// The last row that was tried.
        row: u64,
        /// Why.
        error: RecordError,
    },
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// From 1, the header not counted.
    pub number: u64,
    /// Its time.
    pub time: Timestamp,
    /// Its values.
    pub readings: Vec<OwnedReading>,
}

/// How fast rows are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as they are taken.
    Full,
    /// So many times as fast as their times say; greater than 0.
    Times(f64),
}

/// What is replayed, and how.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The file: `.csv`, or `.csv.gz`.
    pub file: PathBuf,
    /// What its columns are.
    pub map: ReplayMap,
    /// The stream. Nobody else should write to it meanwhile.
    pub stream: StreamName,
    /// How fast.
    pub speed: Speed,
    /// From the start, although rows of this file were sent before.
    pub again: bool,
}

/// How far a replay is, in rows of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Durable on the device.
    pub durable: u64,
    /// Delivered.
    pub delivered: u64,
    /// In the file.
    pub total: u64,
}

/// Most rows that are handed to the agent at once.
const BATCH_ROWS: usize = 512;
/// How often progress is shown, and how often a full buffer is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// Rows in a note; the rest names the file.
const ROW_BITS: u32 = 40;

impl Replay {
    /// Sends what was not sent yet and comes back when all of it is delivered. `progress` is called now and then.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; a later run goes on where this one ended.
    pub async fn run(
        &self,
        agent: &AgentHandle,
        mut progress: impl FnMut(Progress),
    ) -> Result<Progress, ReplayError> {
        let (path, delimiter) = (self.file.clone(), self.map.delimiter);
        let (total, heads) = blocking(move || measure(&path, delimiter)).await?;
        let file = FileTags::new(heads);
        let state = self.state(agent, 0).await?;
        let done = if self.again { 0 } else { file.row(state.note) };
        let mut now = Progress { durable: done, delivered: 0, total };
        let mut rows = self.rows(done, total);
        let mut pace = Pace::new(self.speed);
        let mut shown = Instant::now();
        while let Some(batch) = rows.recv().await {
            let batch = batch?;
            for part in pace.parts(batch) {
                pace.wait_for(&part).await;
                let Some(last) = part.last().map(|r| r.number) else { continue };
                let record =
                    |row: Row| NewRecord { readings: row.readings, note: Some(file.note(row.number)) };
                let records = part.into_iter().map(record).collect();
                let durable = agent.append(self.stream, records).await;
                let durable = durable.map_err(|error| ReplayError::Record { row: last, error })?;
                now.durable = last;
                let is_full = durable.backlog_bytes > agent.limits().bytes_max / 2;
                if is_full || shown.elapsed() > PAUSE {
                    self.make_room(agent, is_full, &file, &mut now, &mut progress).await?;
                    shown = Instant::now();
                }
            }
        }
        now.durable = total;
        // Nobody may come after us: what is delivered without its signature would stay so.
        let signed = agent.sign(self.stream).await;
        signed.map_err(|error| ReplayError::Record { row: total, error })?;
        loop {
            let state = self.state(agent, total).await?;
            now.delivered = if state.is_delivered { total } else { file.delivered(&state) };
            progress(now);
            if state.is_delivered {
                return Ok(now);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Shows progress; waits while the buffer is more than half full, since what does not fit would be lost.
    async fn make_room(
        &self,
        agent: &AgentHandle,
        is_full: bool,
        file: &FileTags,
        now: &mut Progress,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), ReplayError> {
        loop {
            let state = self.state(agent, now.durable).await?;
            now.delivered = file.delivered(&state);
            progress(*now);
            if !is_full || state.backlog_bytes <= agent.limits().bytes_max / 2 {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn state(&self, agent: &AgentHandle, row: u64) -> Result<StreamState, ReplayError> {
        agent.stream_state(self.stream).await.map_err(|error| ReplayError::Record { row, error })
    }

    /// Reads the rows behind `done` up to `total` on a thread of their own.
    fn rows(&self, done: u64, total: u64) -> mpsc::Receiver<Result<Vec<Row>, ReplayError>> {
        let (sender, receiver) = mpsc::channel(2);
        let (path, map) = (self.file.clone(), self.map.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&path, &map, done, total, &sender) {
                let _replay_gone = sender.blocking_send(Err(error));
            }
        });
        receiver
    }
}

fn read(
    path: &Path,
    map: &ReplayMap,
    done: u64,
    total: u64,
    sender: &mpsc::Sender<Result<Vec<Row>, ReplayError>>,
) -> Result<(), ReplayError> {
    let mut table = Table::open(path, map)?;
    table.skip(done)?;
    loop {
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        while batch.len() < BATCH_ROWS
            && let Some(row) = table.next_row()?.filter(|row| row.number <= total)
        {
            batch.push(row);
        }
        let is_end = batch.len() < BATCH_ROWS;
        if sender.blocking_send(Ok(batch)).is_err() || is_end {
            return Ok(());
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReplayError> + Send + 'static,
) -> Result<T, ReplayError> {
    let stopping = |_| ReplayError::Record { row: 0, error: RecordError::Stopping };
    tokio::task::spawn_blocking(work).await.map_err(stopping)?
}

/// Tells notes about one file from those about others. A note names the head of the file up to its row, so that a file
/// that has grown since is still the same.
struct FileTags(Vec<u64>);

impl FileTags {
    /// For each count of rows at the head of the file its name. Never 0, so that a stream without a note has none of
    /// ours.
    fn new(heads: Vec<[u8; 3]>) -> Self {
        let tag = |[a, b, c]: [u8; 3]| u64::from(u32::from_be_bytes([0, a, b, c]).max(1));
        Self(heads.into_iter().map(tag).collect())
    }

    fn tag(&self, row: u64) -> u64 {
        let at = usize::try_from(row).ok().and_then(|row| self.0.get(row));
        at.or_else(|| self.0.last()).copied().unwrap_or(1)
    }

    fn note(&self, row: u64) -> u64 {
        self.tag(row) << ROW_BITS | row & ((1 << ROW_BITS) - 1)
    }

    /// The row of a note; 0 when it is about another file.
    fn row(&self, note: u64) -> u64 {
        let row = note & ((1 << ROW_BITS) - 1);
        if note >> ROW_BITS == self.tag(row) { row } else { 0 }
    }

    fn delivered(&self, state: &StreamState) -> u64 {
        state.delivered_note.map_or(0, |note| self.row(note))
    }
}

/// Holds rows back until their time has come.
struct Pace {
    speed: Speed,
    start: Option<(Instant, Timestamp)>,
}

impl Pace {
    const fn new(speed: Speed) -> Self {
        Self { speed, start: None }
    }

    /// What may be sent together: everything at full speed, else row by row.
    fn parts(&self, batch: Vec<Row>) -> Vec<Vec<Row>> {
        match self.speed {
            Speed::Full => vec![batch],
            Speed::Times(_) => batch.into_iter().map(|row| vec![row]).collect(),
        }
    }

    async fn wait_for(&mut self, rows: &[Row]) {
        let (Speed::Times(factor), Some(row)) = (self.speed, rows.first()) else { return };
        let (started, first) = *self.start.get_or_insert((Instant::now(), row.time));
        let micros = u64::try_from(row.time.micros_since(first)).unwrap_or_default();
        let scaled = Duration::from_micros(micros).as_secs_f64() / factor;
        // Rows that go back in time, and factors that make no sense, do not wait.
        if let Ok(wait) = Duration::try_from_secs_f64(scaled) {
            tokio::time::sleep_until(started + wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_another_file_is_no_place_in_this_one() {
        let (this, other) =
            (FileTags::new(vec![[0, 0, 0], [0, 0, 9]]), FileTags::new(vec![[1, 2, 3], [1, 2, 4]]));
        assert_eq!(this.row(this.note(77)), 77);
        assert_eq!(this.row(other.note(77)), 0);
        assert_eq!(this.row(0), 0);
    }

    #[test]
    fn a_note_of_a_file_that_has_grown_since_is_a_place_in_it() {
        let short = FileTags::new(vec![[1, 1, 1], [2, 2, 2]]);
        let grown = FileTags::new(vec![[1, 1, 1], [2, 2, 2], [3, 3, 3]]);
        assert_eq!(grown.row(short.note(1)), 1);
        let other = FileTags::new(vec![[1, 1, 1], [4, 4, 4], [3, 3, 3]]);
        assert_eq!(other.row(short.note(1)), 0);
    }
}
