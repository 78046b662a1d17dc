//! Findings: what a chain or a device did that it should not have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use thingward_policy::{ReadDevices, Resource};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::caller::Allowed;
use super::super::error::{ApiError, ErrorBody};
use super::List;
use crate::finding::Finding;

/// Something about a device that its owner should know.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct FindingView {
    /// Which device.
    device: String,
    /// Which stream; null when it is about the device.
    stream: Option<String>,
    /// A word that never changes its meaning.
    kind: String,
    /// What exactly.
    detail: String,
    /// When it was first seen.
    first_seen: String,
    /// When it was last seen.
    last_seen: String,
    /// How often.
    count: u64,
}

impl From<Finding> for FindingView {
    fn from(f: Finding) -> Self {
        Self {
            device: f.place.device.to_string(),
            stream: f.place.stream.map(|s| s.to_string()),
            kind: f.place.kind.clone(),
            detail: f.detail.to_string(),
            first_seen: f.first_seen.to_string(),
            last_seen: f.last_seen.to_string(),
            count: f.count,
        }
    }
}

/// List findings
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/findings", tag = "devices", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "All that are kept", body = List<FindingView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
) -> Result<Json<List<FindingView>>, ApiError> {
    let mut found = app.shared.core.findings(allowed.tenant()).await;
    found.retain(|finding| allowed.also(&app, &Resource::Member(finding.place.device)));
    Ok(Json(List::whole(found.into_iter().map(FindingView::from).collect())))
}
