//! Questions about readings, and exports of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use thingward_model::Assurance;
use thingward_policy::Reader;
use thingward_store::query::{Cursor, FieldFilter, Filter, Format, Limits, Percentile, WindowSpec};
use utoipa::IntoParams;

use super::super::app::App;
use super::super::body::streamed;
use super::super::caller::{Params, Reading};
use super::super::error::{ApiError, ErrorBody};
use super::view::{ReadingPageView, ReadingView, WindowView};
use super::{List, time, word};
use crate::audit::Deed;

/// Readings of a page when nothing is said.
const PAGE_DEFAULT: usize = 1_000;
/// Most readings of a page.
const PAGE_MAX: usize = 10_000;
/// Most percentiles of a window.
const PERCENTILES_MAX: usize = 16;
/// Shortest and longest window in seconds: longer than ten years makes one window of everything.
const EVERY_SECONDS: std::ops::RangeInclusive<u64> = 1..=10 * 366 * 86_400;

/// Which readings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ReadingParams {
    /// Of one device.
    pub(super) device: Option<String>,
    /// Of one stream; with no device, of the streams of this name of all devices.
    pub(super) stream: Option<String>,
    /// Of one field; empty means the only value of a stream that has one.
    pub(super) field: Option<String>,
    /// Measured at or after, RFC 3339.
    pub(super) from: Option<String>,
    /// Measured before, RFC 3339.
    pub(super) to: Option<String>,
    /// With at least this standing behind them: `none`, `transport`, `gateway-sealed`, `device-signed`,
    /// `end-to-end`.
    pub(super) assurance: Option<String>,
    /// `json` (default), `senml`, `csv`, `jsonl` or `parquet`. All but `json` answer with everything at once.
    format: Option<String>,
    /// Most readings of a page of `json`, 1 to 10000. Default 1000.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Which windows of which readings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct WindowParams {
    /// Of one device.
    device: Option<String>,
    /// Of one stream; with no device, of the streams of this name of all devices.
    stream: Option<String>,
    /// Of one field; empty means the only value of a stream that has one.
    field: Option<String>,
    /// Measured at or after, RFC 3339.
    from: Option<String>,
    /// Measured before, RFC 3339.
    to: Option<String>,
    /// With at least this standing behind them.
    assurance: Option<String>,
    /// Length of a window in seconds. Windows start at multiples of it since 1970-01-01T00:00:00Z.
    #[param(minimum = 1, maximum = 316_224_000)]
    every: u64,
    /// Percentiles, 0 to 100, with commas between them. At most 16.
    percentiles: Option<String>,
}

impl ReadingParams {
    /// The filter that the parameters say, over what the reader may see.
    pub(super) fn filter(&self, reader: Reader) -> Result<Filter, ApiError> {
        let field = match self.field.as_deref() {
            None => FieldFilter::Any,
            Some("") => FieldFilter::Unnamed,
            Some(name) => FieldFilter::Named(word("field", name)?),
        };
        Ok(Filter {
            device: self.device.as_deref().map(|d| word("device", d)).transpose()?,
            stream: self.stream.as_deref().map(|s| word("stream", s)).transpose()?,
            field,
            from: self.from.as_deref().map(|t| time("from", t)).transpose()?,
            to: self.to.as_deref().map(|t| time("to", t)).transpose()?,
            assurance_min: self.assurance.as_deref().map_or(Ok(Assurance::None), |a| word("assurance", a))?,
            reader: Some(reader),
        })
    }

    /// What is asked for, as the audit log names it.
    fn what(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "+".to_owned());
        format!("readings/{}/{}", part(&self.device), part(&self.stream))
    }

    /// Refuses what only pages have.
    pub(super) fn without_page(&self) -> Result<(), ApiError> {
        if self.limit.is_some() || self.cursor.is_some() {
            return Err(ApiError::Invalid("`limit` and `cursor` are for pages of `json`".to_owned()));
        }
        Ok(())
    }

    fn format(&self) -> Result<Option<Format>, ApiError> {
        match self.format.as_deref() {
            None | Some("json") => Ok(None),
            Some(other) => other.parse().map(Some).map_err(|_| {
                ApiError::Invalid("`format` is not one of json, senml, csv, jsonl, parquet".to_owned())
            }),
        }
    }
}

/// Query or export readings
///
/// Hot readings and history together, in the order of their times.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/readings", tag = "readings",
    params(("tenant" = String, Path), ReadingParams),
    responses(
        (status = 200, description = "A page, or everything in the format asked for", content(
            (ReadingPageView = "application/json"),
            (String = "application/senml+json"), (String = "text/csv"),
            (String = "application/jsonl"), (Vec<u8> = "application/vnd.apache.parquet"),
        )),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn query(
    State(app): State<Arc<App>>,
    reading: Reading,
    Params(params): Params<ReadingParams>,
) -> Result<Response, ApiError> {
    let (filter, tenant) = (params.filter(reading.reader)?, reading.tenant);
    if let Some(format) = params.format()? {
        params.without_page()?;
        let deed = Deed::new(reading.caller.actor(), "readings.export", params.what());
        app.shared.record(tenant, deed.with("format", params.format.as_deref().unwrap_or_default())).await?;
        let place = app.download_place().await?;
        return streamed(media_type(format), move |out| {
            let _place = place;
            app.shared.store.export(&tenant, &filter, format, out, || app.page_turn()).map(drop)
        })
        .await;
    }
    let limit = params.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::Invalid(format!("`limit` is not from 1 to {PAGE_MAX}")));
    }
    let cursor: Option<Cursor> = params.cursor.as_deref().map(|c| word("cursor", c)).transpose()?;
    let page =
        app.ask(move |store| store.readings(&tenant, &filter, cursor, limit, &Limits::default())).await?;
    let readings = page.rows.into_iter().map(ReadingView::from).collect();
    Ok(Json(ReadingPageView { readings, next: page.next.map(|n| n.to_string()) }).into_response())
}

/// The latest value of each field
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/readings/latest", tag = "readings",
    params(("tenant" = String, Path), ReadingParams),
    responses(
        (status = 200, description = "One reading of each field", body = List<ReadingView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn latest(
    State(app): State<Arc<App>>,
    reading: Reading,
    Params(params): Params<ReadingParams>,
) -> Result<Json<List<ReadingView>>, ApiError> {
    params.without_page()?;
    if params.format()?.is_some() {
        return Err(ApiError::Invalid("`format` is `json` here".to_owned()));
    }
    let (filter, tenant) = (params.filter(reading.reader)?, reading.tenant);
    let rows = app.ask(move |store| store.latest(&tenant, &filter, &Limits::default())).await?;
    Ok(Json(List::whole(rows.into_iter().map(ReadingView::from).collect())))
}

/// Numbers over stretches of time
///
/// Count, mean, least, greatest and percentiles.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/readings/windows", tag = "readings",
    params(("tenant" = String, Path), WindowParams),
    responses(
        (status = 200, description = "By series and time", body = List<WindowView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn windows(
    State(app): State<Arc<App>>,
    reading: Reading,
    Params(params): Params<WindowParams>,
) -> Result<Json<List<WindowView>>, ApiError> {
    if !EVERY_SECONDS.contains(&params.every) {
        let (least, most) = (EVERY_SECONDS.start(), EVERY_SECONDS.end());
        return Err(ApiError::Invalid(format!("`every` is not from {least} to {most} seconds")));
    }
    let texts = params.percentiles.as_deref().unwrap_or_default().split(',').filter(|t| !t.is_empty());
    let percentiles = texts.map(percentile).collect::<Result<Vec<_>, _>>()?;
    if percentiles.len() > PERCENTILES_MAX {
        return Err(ApiError::Invalid(format!("`percentiles` are more than {PERCENTILES_MAX}")));
    }
    let spec = WindowSpec { every: Duration::from_secs(params.every), percentiles };
    let WindowParams { device, stream, field, from, to, assurance, .. } = params;
    let filter = ReadingParams { device, stream, field, from, to, assurance, ..Default::default() }
        .filter(reading.reader)?;
    let tenant = reading.tenant;
    let found = app.ask(move |store| store.windows(&tenant, &filter, &spec, &Limits::default())).await?;
    Ok(Json(List::whole(found.into_iter().map(WindowView::from).collect())))
}

fn percentile(text: &str) -> Result<Percentile, ApiError> {
    let number: f64 = text.trim().parse().map_err(|e| ApiError::parameter("percentiles", &e))?;
    Ok(Percentile::new(number)?)
}

const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::JsonLines => "application/jsonl",
        Format::Parquet => "application/vnd.apache.parquet",
        Format::SenmlJson => "application/senml+json",
    }
}
