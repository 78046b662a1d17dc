//! Numbers over stretches of time.

use std::collections::BTreeMap;
use std::time::Duration;

use thingward_model::Timestamp;

use crate::error::StoreError;
use crate::query::Limits;
use crate::row::{Series, SeriesRef};

/// A percentile to compute: 0 is the least value, 100 the greatest.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percentile(f64);

impl Percentile {
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when `percent` is not from 0 to 100.
    pub fn new(percent: f64) -> Result<Self, StoreError> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(StoreError::Invalid { what: "a percentile is from 0 to 100" })
        }
    }

    /// From 0 to 100.
    #[must_use]
    pub const fn percent(self) -> f64 {
        self.0
    }
}

/// What to compute.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpec {
    /// Length of a window. Windows start at multiples of it since 1970-01-01T00:00:00Z.
    pub every: Duration,
    /// Percentiles of each window; none cost no memory.
    pub percentiles: Vec<Percentile>,
}

/// The numbers of one series in one stretch of time. Rows that are not numbers do not count.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Which series.
    pub series: Series,
    /// When it starts; it ends before the start of the next one.
    pub start: Timestamp,
    /// How many numbers. Never 0: a window without numbers is left out.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Percentiles in the order asked for, linear between neighbours as `quantile_cont` of SQL.
    pub percentiles: Vec<f64>,
}

/// Collects numbers into windows.
pub(crate) struct Windows {
    every_micros: i64,
    percentiles: Vec<Percentile>,
    limits: Limits,
    values_kept: usize,
    windows: BTreeMap<(Series, Timestamp), usize>,
    numbers: Vec<Numbers>,
    /// The window of the row before: rows of a series come together.
    last: Option<(Series, Timestamp, usize)>,
}

impl Windows {
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when windows are shorter than a microsecond or longer than time itself.
    pub(crate) fn new(spec: &WindowSpec, limits: Limits) -> Result<Self, StoreError> {
        let every_micros = i64::try_from(spec.every.as_micros()).unwrap_or_default();
        if every_micros == 0 {
            return Err(StoreError::Invalid { what: "a window lasts from 1 microsecond to 292,000 years" });
        }
        let (percentiles, windows) = (spec.percentiles.clone(), BTreeMap::new());
        Ok(Self {
            every_micros,
            percentiles,
            limits,
            values_kept: 0,
            windows,
            numbers: Vec::new(),
            last: None,
        })
    }

    /// The windows by series and time.
    pub(crate) fn finish(self) -> Vec<Window> {
        let Self { percentiles, windows, mut numbers, .. } = self;
        let mut of = |at: usize| numbers.get_mut(at).map(std::mem::take).unwrap_or_default();
        windows.into_iter().map(|((series, start), at)| of(at).finish(series, start, &percentiles)).collect()
    }

    /// Where the numbers of a window are.
    fn place(&mut self, series: SeriesRef<'_>, start: Timestamp) -> usize {
        if let Some((last, since, at)) = &self.last
            && *since == start
            && *last == series
        {
            return *at;
        }
        let series = Series::from(series);
        let at = *self.windows.entry((series.clone(), start)).or_insert(self.numbers.len());
        if at == self.numbers.len() {
            self.numbers.push(Numbers::default());
        }
        self.last = Some((series, start, at));
        at
    }

    /// Takes a number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Limit`].
    pub(crate) fn take(&mut self, of: SeriesRef<'_>, time: Timestamp, value: f64) -> Result<(), StoreError> {
        if value.is_nan() {
            return Ok(());
        }
        let micros = time.as_micros();
        let start = Timestamp::from_micros(micros.saturating_sub(micros.rem_euclid(self.every_micros)));
        let at = self.place(of, start);
        let Some(numbers) = self.numbers.get_mut(at) else { return Ok(()) };
        numbers.add(value);
        if !self.percentiles.is_empty() {
            numbers.values.push(value);
            self.values_kept += 1;
        }
        let Limits { results_max, percentile_values_max, .. } = self.limits;
        if self.windows.len() > results_max {
            return Err(StoreError::Limit { what: "windows", max: results_max as u64 });
        }
        if self.values_kept > percentile_values_max {
            let max = percentile_values_max as u64;
            return Err(StoreError::Limit { what: "numbers to take percentiles of", max });
        }
        Ok(())
    }
}

/// What is kept of the numbers of one window.
struct Numbers {
    count: u64,
    sum: f64,
    /// What rounding took from `sum` so far (Neumaier's summation), so that the order of rows hardly matters.
    lost: f64,
    min: f64,
    max: f64,
    values: Vec<f64>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, lost: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, values: vec![] }
    }
}

impl Numbers {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of rows is far below 2^53")]
    fn finish(mut self, series: Series, start: Timestamp, percentiles: &[Percentile]) -> Window {
        self.values.sort_by(f64::total_cmp);
        let total = if self.sum.is_finite() { self.sum + self.lost } else { self.sum };
        Window {
            series,
            start,
            count: self.count,
            mean: total / self.count as f64,
            min: self.min,
            max: self.max,
            percentiles: percentiles.iter().map(|p| quantile(&self.values, *p)).collect(),
        }
    }
}

/// The value at a percentile of sorted values, linear between the two next to it.
#[expect(clippy::cast_precision_loss, reason = "the number of values is far below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the number of values")]
fn quantile(sorted: &[f64], percentile: Percentile) -> f64 {
    let place = percentile.0 / 100.0 * sorted.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    let at = |place: usize| sorted.get(place).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(below), at(below + 1));
    if low == high { low } else { low + (high - low) * place.fract() }
}
