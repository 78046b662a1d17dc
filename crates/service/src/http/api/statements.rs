//! What the service signs for devices that cannot hear of it themselves, and anybody carries: what was taken back, and the time.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use thingward_model::clock::now;
use thingward_model::{DeviceName, GroupName};
use thingward_policy::ReadDevices;
use thingward_store::StoreError;
use thingward_store::registry::GrantAudience;
use utoipa::IntoParams;

use super::super::app::App;
use super::super::caller::{Allowed, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use crate::command::parse_id as parse_nonce;

/// Fetch what was taken back at a device
///
/// Signed, so that anybody can carry it to a device that cannot be reached: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/revocation", tag = "grants",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "A signed revocation", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revocation(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
) -> Result<impl IntoResponse, ApiError> {
    cose(app.shared.revocation(allowed.tenant(), GrantAudience::Device(device)).await?)
}

/// Fetch what was taken back of a class
///
/// Signed, so that anybody can carry it to devices that are in the group: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/groups/{group}/revocation", tag = "grants",
    params(("tenant" = String, Path), ("group" = String, Path)),
    responses(
        (status = 200, description = "A signed revocation", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revocation_of_class(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(group): Part<GroupName>,
) -> Result<impl IntoResponse, ApiError> {
    cose(app.shared.revocation(allowed.tenant(), GrantAudience::Class(group)).await?)
}

/// Which question is answered.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct BeaconParams {
    /// The nonce of a device that asked, in 32 lower-case hexadecimal digits. Without one the time is for all devices of the tenant.
    nonce: Option<String>,
}

/// Tell devices without a clock what time it is
///
/// Signed, so that anybody can carry it to them: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/beacon", tag = "grants",
    params(("tenant" = String, Path), BeaconParams),
    responses(
        (status = 200, description = "A signed beacon", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn beacon(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Params(params): Params<BeaconParams>,
) -> Result<impl IntoResponse, ApiError> {
    let wrong = || ApiError::parameter("nonce", &"is not 32 lower-case hexadecimal digits");
    let answers = params.nonce.map(|text| parse_nonce(&text).ok_or_else(wrong)).transpose()?;
    let signed = crate::beacon::beacon(&app.shared.grant_key, &allowed.tenant(), now(), answers);
    let unsigned = |_| StoreError::Invalid { what: "the time cannot be signed" };
    cose(signed.map_err(unsigned)?)
}

/// A signed statement as an answer.
pub(super) fn cose(signed: Vec<u8>) -> Result<impl IntoResponse, ApiError> {
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/cose"))], signed))
}
