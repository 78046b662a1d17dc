//! Which columns of a table are what.

use std::time::Duration;

use thingward_model::{FieldName, Timestamp};

use super::ReplayError;

/// Which column is the time, and which become fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayMap {
    /// Where a row's time comes from.
    pub time: TimeSource,
    /// The columns that become fields, by name; all others than the time when `None`.
    pub fields: Option<Vec<String>>,
    /// What stands between columns.
    pub delimiter: u8,
}

/// Where a row's time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeSource {
    /// A column with RFC 3339, a space allowed for the `T` and no zone for UTC.
    Column(String),
    /// A column with `day/month/year` and one with `hour:minute:second`, in UTC.
    DateAndTime {
        /// The date's column.
        date: String,
        /// The time's column.
        time: String,
    },
    /// The row's number.
    Rows {
        /// Time of the first row.
        start: Timestamp,
        /// From one row to the next.
        step: Duration,
    },
}

/// What is wrong with a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("map {setting:?}: {problem}")]
pub struct MapError {
    setting: String,
    problem: &'static str,
}

impl ReplayMap {
    /// Reads settings such as `time=date`, `time=Date+Time`, `time=row`, `start=2026-01-01T00:00:00Z`, `step=60`,
    /// `fields=T,RH` and `delimiter=;`. Start and step go with `time=row`, seconds as the unit of the step.
    ///
    /// # Errors
    ///
    /// [`MapError`] names the setting.
    pub fn parse<S: AsRef<str>>(settings: &[S]) -> Result<Self, MapError> {
        let (mut time, mut start, mut step) = (None, None, None);
        let (mut fields, mut delimiter) = (None, b',');
        for setting in settings.iter().map(AsRef::as_ref) {
            let fail = |problem| MapError { setting: setting.to_owned(), problem };
            let (key, value) = setting.split_once('=').ok_or(fail("is not KEY=VALUE"))?;
            match key {
                "time" => time = Some(value.to_owned()),
                "start" => {
                    start = Some(Timestamp::parse_rfc3339(value).ok_or(fail("start is not RFC 3339"))?);
                }
                "step" => {
                    let seconds = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                    step = Some(seconds.ok_or(fail("step is not a number of seconds"))?);
                }
                "fields" => fields = Some(value.split(',').map(|f| f.trim().to_owned()).collect()),
                "delimiter" => match value.as_bytes() {
                    [one] => delimiter = *one,
                    _ => return Err(fail("delimiter is not one character")),
                },
                _ => return Err(fail("is not time, start, step, fields or delimiter")),
            }
        }
        let fail = |setting: &str, problem| MapError { setting: setting.to_owned(), problem };
        let time = match time.as_deref() {
            None => return Err(fail("time", "is missing; name the time's column, or time=row")),
            Some("row") => TimeSource::Rows {
                start: start.ok_or(fail("time=row", "needs start="))?,
                step: step.ok_or(fail("time=row", "needs step="))?,
            },
            Some(_) if start.is_some() || step.is_some() => {
                return Err(fail("start, step", "go with time=row only"));
            }
            Some(column) => match column.split_once('+') {
                Some((date, time)) => {
                    TimeSource::DateAndTime { date: date.to_owned(), time: time.to_owned() }
                }
                None => TimeSource::Column(column.to_owned()),
            },
        };
        Ok(Self { time, fields, delimiter })
    }
}

/// A column that becomes a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldColumn {
    pub(super) at: usize,
    pub(super) field: FieldName,
    pub(super) unit: &'static str,
}

/// A map with the places of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) count: usize,
    pub(super) time: TimeColumns,
    pub(super) fields: Vec<FieldColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeColumns {
    One(usize),
    Two(usize, usize),
    Rows { start: Timestamp, step: Duration },
}

impl Columns {
    /// Finds the columns by the header. A table may have one column more than names: an unnamed row number in
    /// front, which becomes the field `row`.
    pub(super) fn resolve(map: &ReplayMap, header: &[String], count: usize) -> Result<Self, ReplayError> {
        let mut names: Vec<String> = header.iter().map(|h| h.trim().to_owned()).collect();
        if names.len() + 1 == count {
            names.insert(0, "row".to_owned());
        }
        if names.len() != count {
            return Err(ReplayError::Header { names: names.len(), columns: count });
        }
        let fields = field_names(&names)?;
        let find = |wanted: &str| {
            let by_name = names.iter().position(|n| n == wanted);
            let found = by_name.or_else(|| fields.iter().position(|f| f.as_str() == wanted));
            found.ok_or_else(|| ReplayError::NoColumn { wanted: wanted.to_owned(), names: names.join(", ") })
        };
        let time = match &map.time {
            TimeSource::Column(column) => TimeColumns::One(find(column)?),
            TimeSource::DateAndTime { date, time } => TimeColumns::Two(find(date)?, find(time)?),
            TimeSource::Rows { start, step } => TimeColumns::Rows { start: *start, step: *step },
        };
        let chosen: Vec<usize> = match &map.fields {
            Some(wanted) => wanted.iter().map(|w| find(w)).collect::<Result<_, _>>()?,
            None => (0..count).filter(|at| !time.has(*at)).collect(),
        };
        let column = |at: usize| {
            let (name, field) = (names.get(at)?, fields.get(at)?);
            Some(FieldColumn { at, field: *field, unit: unit_in(name) })
        };
        Ok(Self { count, time, fields: chosen.into_iter().filter_map(column).collect() })
    }
}

impl TimeColumns {
    fn has(&self, at: usize) -> bool {
        match self {
            Self::One(one) => *one == at,
            Self::Two(date, time) => *date == at || *time == at,
            Self::Rows { .. } => false,
        }
    }
}

/// Field names made of column names, each different from the others.
fn field_names(names: &[String]) -> Result<Vec<FieldName>, ReplayError> {
    let mut fields: Vec<FieldName> = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let plain = sanitise(name).unwrap_or_else(|| format!("column-{}", at + 1));
        let candidates = std::iter::once(plain.clone()).chain((2..).map(|n| format!("{plain}-{n}")));
        let mut free = candidates
            .take(names.len() + 1)
            .filter_map(|c| c.parse::<FieldName>().ok())
            .filter(|c| !fields.contains(c));
        let no_name = || ReplayError::NoFieldName { column: name.clone() };
        let field = free.next().ok_or_else(no_name)?;
        drop(free);
        fields.push(field);
    }
    Ok(fields)
}

/// Longest part of a column's name that becomes part of a field's, with room for a number behind it.
const FIELD_CHARS_MAX: usize = 58;

/// The letters, digits and `. _` of a name, with one `-` for whatever stands between them.
fn sanitise(name: &str) -> Option<String> {
    let mut plain = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || (matches!(c, '.' | '_') && !plain.is_empty()) {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push('-');
        }
    }
    plain.truncate(FIELD_CHARS_MAX);
    let plain = plain.trim_end_matches('-');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// The unit in a name's brackets, when SenML has it.
fn unit_in(name: &str) -> &'static str {
    let inside = |open, close| {
        let (_, rest) = name.rsplit_once(open)?;
        let (inside, behind) = rest.split_once(close)?;
        behind.trim().is_empty().then(|| inside.trim())
    };
    let Some(text) = inside('[', ']').or_else(|| inside('(', ')')) else { return "" };
    UNITS.iter().find(|unit| **unit == text).copied().unwrap_or_default()
}

/// The SenML units registry: RFC 8428 §12.1, RFC 8798 for the secondary units. Single letters in round brackets
/// are as likely to be something else, and are units all the same: `(C)` is coulomb.
const UNITS: &[&str] = &[
    "m", "kg", "g", "s", "A", "K", "cd", "mol", "Hz", "rad", "sr", "N", "Pa", "J", "W", "C", "V", "F", "Ohm",
    "S", "Wb", "T", "H", "Cel", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m2", "m3", "l", "m/s", "m/s2", "m3/s",
    "l/s", "W/m2", "cd/m2", "bit", "bit/s", "lat", "lon", "pH", "dB", "dBW", "Bspl", "count", "/", "%",
    "%RH", "%EL", "EL", "1/s", "1/min", "beat/min", "beats", "S/m", "B", "VA", "VAs", "var", "vars", "J/m",
    "kg/m3", "deg", "NTU", "ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "varh", "kvarh",
    "kVAh", "Wh/km", "KiB", "GB", "Mbit/s", "B/s", "MB/s", "mV", "mA", "dBm", "ug/m3", "mm/h", "m/h", "ppm",
    "/100", "/1000", "hPa", "mm", "cm", "km", "km/h",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(
        header: &[&str],
        count: usize,
        map: &[&str],
    ) -> Result<Vec<(String, &'static str)>, ReplayError> {
        let header: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
        let columns = Columns::resolve(&ReplayMap::parse(map).unwrap(), &header, count)?;
        Ok(columns.fields.iter().map(|f| (f.field.to_string(), f.unit)).collect())
    }

    #[track_caller]
    fn check(header: &str, field: &str, unit: &str) {
        let got = names(&["time", header], 2, &["time=time"]).unwrap();
        assert_eq!(got, [(field.to_owned(), UNITS.iter().find(|u| **u == unit).copied().unwrap_or(""))]);
    }

    #[test]
    fn a_column_name_becomes_a_field_name_and_keeps_its_unit() {
        check("Temperature", "Temperature", "");
        check("CO(GT)", "CO-GT", "");
        check("PT08.S1(CO)", "PT08.S1-CO", "");
        check("Air temperature [K]", "Air-temperature-K", "K");
        check("Tool wear [min]", "Tool-wear-min", "min");
        check("Torque [Nm]", "Torque-Nm", "");
        check("  _x ", "x", "");
        check("温度", "column-2", "");
        check(&"x".repeat(100), &"x".repeat(58), "");
    }

    #[test]
    fn equal_names_are_told_apart_and_an_unnamed_first_column_is_the_row() {
        let got = names(&["t", "a", "a", "a!"], 4, &["time=t"]).unwrap();
        assert_eq!(got.iter().map(|g| g.0.as_str()).collect::<Vec<_>>(), ["a", "a-2", "a-3"]);
        let got = names(&["date", "T"], 3, &["time=date"]).unwrap();
        assert_eq!(got.iter().map(|g| g.0.as_str()).collect::<Vec<_>>(), ["row", "T"]);
        assert!(matches!(names(&["a"], 3, &["time=a"]), Err(ReplayError::Header { .. })));
    }

    #[test]
    fn chosen_columns_are_found_by_either_name() {
        let map = ["time=Date+Time", "fields=CO(GT),T-K"];
        let got = names(&["Date", "Time", "CO(GT)", "T [K]", "RH"], 5, &map).unwrap();
        assert_eq!(got, [("CO-GT".to_owned(), ""), ("T-K".to_owned(), "K")]);
        assert!(matches!(names(&["Date"], 1, &["time=date"]), Err(ReplayError::NoColumn { .. })));
    }

    #[test]
    fn a_map_that_says_nothing_or_too_much_is_refused() {
        for map in [
            &[] as &[&str],
            &["fields=a"],
            &["time"],
            &["time=row"],
            &["time=row", "start=now", "step=1"],
            &["time=row", "start=2026-01-01T00:00:00Z", "step=-1"],
            &["time=a", "step=1"],
            &["time=a", "delimiter=;;"],
            &["colour=red"],
        ] {
            assert!(ReplayMap::parse(map).is_err(), "{map:?}");
        }
    }
}
