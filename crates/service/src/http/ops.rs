//! What runs the service look at: health, readiness, metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use thingward_policy::ReadDevices;

use super::app::App;
use super::caller::Called;
use super::error::{ApiError, ErrorBody};

/// Routes that are not part of the API's version.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/metrics", get(metrics))
}

/// The process answers
#[utoipa::path(get, path = "/health", tag = "operation", security(()), responses((status = 200, description = "Yes")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Readings are taken
#[utoipa::path(
    get, path = "/ready", tag = "operation", security(()),
    responses((status = 200, description = "Yes"), (status = 503, description = "Not now")),
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.shared.core.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Metrics
///
/// OpenMetrics text of the whole installation: for a token of all tenants with `devices:read`, or on the
/// administration socket.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses(
        (status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Called(caller): Called,
) -> Result<Response, ApiError> {
    caller.permit_for_all::<ReadDevices>()?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], app.shared.core.metrics_text()).into_response())
}
