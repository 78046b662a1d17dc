//! Claim codes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::clock::now;
use thingward_model::{Principal, Role};
use thingward_policy::ManageDevices;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::Allowed;
use super::super::error::{ApiError, ErrorBody};
use super::word;
use crate::enrolment::{NewClaim, create_claim};

/// How long a code works when nothing is said, in seconds: a day.
const LIFETIME_DEFAULT_SECONDS: u32 = 86_400;
/// How long a code works at most, in seconds: thirty days.
const LIFETIME_MAX_SECONDS: u32 = 30 * 86_400;

/// A claim to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewClaimBody {
    /// The name that the bearer gets.
    name: String,
    /// `device` (default), `gateway` or `application`.
    role: Option<String>,
    /// How long it works. Default a day, at most 30 days.
    lifetime_seconds: Option<u32>,
}

/// A claim as its bearer gets it. It is shown once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ClaimView {
    /// `CODE.FINGERPRINT`: the one-time code, and how the thing recognises this installation.
    claim: String,
    /// When it ends.
    expires: String,
}

/// Make a claim code
///
/// With it, a thing without a certificate of a trusted maker enrols once under this name.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/claims", tag = "devices", params(("tenant" = String, Path)),
    request_body = NewClaimBody,
    responses(
        (status = 201, description = "Shown once", body = ClaimView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Sent(new): Sent<NewClaimBody>,
) -> Result<(StatusCode, Json<ClaimView>), ApiError> {
    let role = new.role.map_or(Ok(Role::Device), |role| word("role", &role))?;
    let principal = Principal { tenant: allowed.tenant(), role, name: word("name", &new.name)? };
    let seconds = new.lifetime_seconds.unwrap_or(LIFETIME_DEFAULT_SECONDS);
    if !(1..=LIFETIME_MAX_SECONDS).contains(&seconds) {
        return Err(ApiError::Invalid(format!("`lifetime_seconds` is not from 1 to {LIFETIME_MAX_SECONDS}")));
    }
    let new = NewClaim { principal, lifetime: Duration::from_secs(seconds.into()) };
    let deed = allowed.deed("device.claim", format!("{}/{}", principal.role, principal.name));
    app.record(principal.tenant, &allowed.caller, deed).await?;
    let claimed = create_claim(&app.shared, &new, now()).await?;
    Ok((StatusCode::CREATED, Json(ClaimView { claim: claimed.text, expires: claimed.expires.to_string() })))
}
