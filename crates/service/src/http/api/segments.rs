//! History as files: encrypted Parquet that the customer's own tools open with the customer's key.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use thingward_policy::ReadSegments;
use thingward_store::StoreError;
use thingward_store::segment::SegmentInfo;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::streamed;
use super::super::caller::{Allowed, Named, Part};
use super::super::error::{ApiError, ErrorBody};
use super::List;

/// Bytes that are read from a file at a time.
const READ_BYTES: usize = 64 * 1024;

/// A segment of history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct SegmentView {
    /// Names it.
    id: String,
    /// Readings in it.
    rows: u64,
    /// Length of its file.
    bytes: u64,
    /// Earliest time of a reading.
    time_min: String,
    /// Latest time of a reading.
    time_max: String,
    /// First device by name.
    device_min: String,
    /// Last device by name.
    device_max: String,
    /// When it was made.
    created: String,
}

impl From<&SegmentInfo> for SegmentView {
    fn from(s: &SegmentInfo) -> Self {
        Self {
            id: s.id.to_string(),
            rows: s.rows,
            bytes: s.bytes,
            time_min: s.time_min.to_string(),
            time_max: s.time_max.to_string(),
            device_min: s.device_min.to_string(),
            device_max: s.device_max.to_string(),
            created: s.created.to_string(),
        }
    }
}

/// The id of a segment in a path.
pub(in crate::http) struct SegmentRef(String);

impl Named for SegmentRef {
    const NAME: &'static str = "segment";
    fn parse(text: &str) -> Option<Self> {
        let good = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }
}

/// List segments
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/segments", tag = "segments", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Oldest readings first", body = List<SegmentView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadSegments>,
) -> Result<Json<List<SegmentView>>, ApiError> {
    let tenant = allowed.tenant();
    let mut found = app.ask(move |store| store.segments(&tenant)).await?;
    found.sort_by_key(|s| (s.time_min, s.id));
    Ok(Json(List::whole(found.iter().map(SegmentView::from).collect())))
}

/// Download a segment
///
/// The file as it is stored: Parquet with modular encryption, under the customer's key.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/segments/{segment}", tag = "segments",
    params(("tenant" = String, Path), ("segment" = String, Path)),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/vnd.apache.parquet"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn fetch(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadSegments>,
    Part(SegmentRef(id)): Part<SegmentRef>,
) -> Result<Response, ApiError> {
    let (tenant, wanted) = (allowed.tenant(), id.clone());
    let (info, file) = app
        .ask(move |store| {
            let mut all = store.segments(&tenant)?.into_iter();
            let info = all.find(|s| s.id.to_string() == wanted);
            let info = info.ok_or(StoreError::NotFound { what: "segment" })?;
            let file = File::open(store.segment_file(&tenant, &info)?).map_err(unreadable)?;
            Ok((info, file))
        })
        .await?;
    let deed = allowed.deed("readings.export", format!("segment/{id}"));
    app.shared.record(tenant, deed.with("format", "segment")).await?;
    let place = app.download_place().await?;
    let mut response = streamed("application/vnd.apache.parquet", move |out| {
        let _place = place;
        let mut file = file.take(info.bytes);
        let mut piece = vec![0; READ_BYTES];
        loop {
            let n = file.read(&mut piece).map_err(unreadable)?;
            let Some(bytes) = piece.get(..n).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            io::Write::write_all(out, bytes).map_err(unreadable)?;
        }
    })
    .await?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, info.bytes.into());
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.parquet\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn unreadable(source: io::Error) -> StoreError {
    StoreError::Io { what: "read a segment".to_owned(), source }
}
