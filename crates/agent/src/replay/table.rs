//! Rows of a CSV file as readings.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use thingward_crypto::sha256;
use thingward_model::Timestamp;

use super::map::{Columns, ReplayMap, TimeColumns};
use super::{ReplayError, Row};
use crate::reading::{OwnedReading, OwnedValue};

type Source = csv::Reader<Box<dyn Read + Send>>;

/// So many rows behind the header tell a file from others.
const HEAD_ROWS: usize = 256;

/// An open file.
pub struct Table {
    rows: Source,
    columns: Columns,
    record: StringRecord,
    /// Already in `record`.
    has_first: bool,
    number: u64,
}

impl Table {
    /// Opens a `.csv` or `.csv.gz` file and finds the map's columns in its header.
    ///
    /// # Errors
    ///
    /// [`ReplayError`].
    pub fn open(path: &Path, map: &ReplayMap) -> Result<Self, ReplayError> {
        let mut rows = reader(path, map.delimiter)?;
        let mut record = StringRecord::new();
        let header = if rows.read_record(&mut record)? { header(&record) } else { Vec::new() };
        let has_first = rows.read_record(&mut record)?;
        let count = if has_first { record.len() } else { header.len() };
        let columns = Columns::resolve(map, &header, count)?;
        Ok(Self { rows, columns, record, has_first, number: 0 })
    }

    /// The next row with values; `None` at the end. A row without any is counted and left out.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] names the row.
    pub fn next_row(&mut self) -> Result<Option<Row>, ReplayError> {
        loop {
            if !std::mem::take(&mut self.has_first) && !self.rows.read_record(&mut self.record)? {
                return Ok(None);
            }
            self.number += 1;
            if let Some(row) = self.row()? {
                return Ok(Some(row));
            }
        }
    }

    /// Passes over rows without reading what is in them.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when the file ends before.
    pub fn skip(&mut self, rows: u64) -> Result<(), ReplayError> {
        while self.number < rows {
            if !std::mem::take(&mut self.has_first) && !self.rows.read_record(&mut self.record)? {
                return Err(ReplayError::Shorter { rows: self.number, wanted: rows });
            }
            self.number += 1;
        }
        Ok(())
    }

    fn row(&self) -> Result<Option<Row>, ReplayError> {
        let (record, number) = (&self.record, self.number);
        if record.iter().all(|text| text.trim().is_empty()) {
            return Ok(None);
        }
        if record.len() != self.columns.count {
            return Err(ReplayError::Columns { row: number, has: record.len(), wanted: self.columns.count });
        }
        let text = |at: usize| record.get(at).unwrap_or_default().trim();
        let time = match &self.columns.time {
            TimeColumns::One(at) => Timestamp::parse_rfc3339(text(*at)),
            TimeColumns::Two(date, time) => date_and_time(text(*date), text(*time)),
            TimeColumns::Rows { start, step } => {
                let micros = step.as_micros().saturating_mul(u128::from(number - 1));
                i64::try_from(micros).ok().map(|m| start.plus_micros(m))
            }
        };
        let time = time.ok_or(ReplayError::Time { row: number })?;
        let values = self.columns.fields.iter().filter_map(|column| {
            let value = value(text(column.at))?;
            Some(OwnedReading { field: Some(column.field), unit: column.unit.to_owned(), time, value })
        });
        let readings: Vec<_> = values.collect();
        Ok((!readings.is_empty()).then_some(Row { number, time, readings }))
    }
}

/// How many rows the file has, and for each count of rows at its head a short name of them that the heads of other
/// files are unlikely to have. A file that grows keeps those that it had.
pub(super) fn measure(path: &Path, delimiter: u8) -> Result<(u64, Vec<[u8; 3]>), ReplayError> {
    let mut rows = reader(path, delimiter)?;
    let (mut record, mut count) = (StringRecord::new(), 0_u64);
    let (mut hash, mut heads) = ([0; 32], Vec::new());
    while rows.read_record(&mut record)? {
        count += 1;
        if heads.len() <= HEAD_ROWS {
            hash = sha256(&[&hash, record.as_slice().as_bytes()]);
            let [a, b, c, ..] = hash;
            heads.push([a, b, c]);
        }
    }
    Ok((count.saturating_sub(1), heads))
}

fn reader(path: &Path, delimiter: u8) -> Result<Source, ReplayError> {
    let file = BufReader::new(File::open(path).map_err(io(path))?);
    let is_gzip = path.extension().is_some_and(|e| e == "gz");
    let bytes: Box<dyn Read + Send> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ReplayError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| ReplayError::File { path: path.clone(), source }
}

fn header(record: &StringRecord) -> Vec<String> {
    let mut names: Vec<String> = record.iter().map(str::to_owned).collect();
    if let Some(first) = names.first_mut()
        && let Some(rest) = first.strip_prefix('\u{feff}')
    {
        *first = rest.to_owned();
    }
    names
}

/// A finite number where the text is one, else the text; nothing where there is none.
fn value(text: &str) -> Option<OwnedValue> {
    if text.is_empty() {
        return None;
    }
    Some(match text.parse::<f64>() {
        Ok(number) if number.is_finite() => OwnedValue::Number(number),
        _ => OwnedValue::Text(text.to_owned()),
    })
}

/// `10/3/2004` and `18:00:00`: day, month, year; the parts may have one digit.
fn date_and_time(date: &str, time: &str) -> Option<Timestamp> {
    let three = |text: &str, between: char| {
        let mut parts = text.split(between).map(|p| {
            let is_number = (1..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| p.parse::<u16>().ok()).flatten()
        });
        let three = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(three)
    };
    let (day, month, year) = three(date, '/')?;
    let (hour, minute, second) = three(time, ':')?;
    Timestamp::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(date: &str, time: &str, want: Option<&str>) {
        assert_eq!(date_and_time(date, time).map(|t| t.to_string()).as_deref(), want, "{date} {time}");
    }

    #[test]
    fn a_date_and_a_time_in_two_columns_are_one_moment() {
        check("10/3/2004", "18:00:00", Some("2004-03-10T18:00:00Z"));
        check("13/12/2004", "8:5:0", Some("2004-12-13T08:05:00Z"));
        for (date, time) in [
            ("3/13/2004", "0:0:0"),
            ("10/3", "0:0:0"),
            ("1/1/2004/5", "0:0:0"),
            ("1/1/2004", "24:0:0"),
            ("", ""),
        ] {
            check(date, time, None);
        }
        check("+1/1/2004", "0:0:0", None);
    }

    #[test]
    fn a_text_is_a_number_where_it_is_a_finite_one() {
        assert_eq!(value("50"), Some(OwnedValue::Number(50.0)));
        assert_eq!(value("5.9000000000000004e+00"), Some(OwnedValue::Number(5.9)));
        assert_eq!(value("Weekday"), Some(OwnedValue::Text("Weekday".to_owned())));
        assert_eq!(value("nan"), Some(OwnedValue::Text("nan".to_owned())));
        assert_eq!(value("1e999"), Some(OwnedValue::Text("1e999".to_owned())));
        assert_eq!(value(""), None);
    }
}
