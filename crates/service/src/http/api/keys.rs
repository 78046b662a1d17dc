//! A tenant's key: withdraw, restore, rotate, and the public key that devices seal for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_crypto::recipient::RECIPIENT_KEY_BYTES;
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_policy::ManageKeys;
use thingward_store::StoreError;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::Allowed;
use super::super::error::{ApiError, ErrorBody};

/// The state of a tenant's key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct KeyView {
    /// Whose.
    tenant: String,
    /// Where the customer's key is, without secrets.
    customer_key: String,
    /// `open`, `withdrawn` or `unusable`.
    state: String,
    /// Why the key cannot be used; null when it can.
    problem: Option<String>,
    /// When it was withdrawn.
    withdrawn: Option<String>,
    /// The public X25519 key that devices seal `customer` streams for, base64.
    recipient: Option<String>,
}

/// The public key that devices seal for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewRecipient {
    /// 32 bytes of X25519, base64; null takes it away.
    #[schema(required)]
    // Not by default: `{}` would take it away.
    #[serde(deserialize_with = "Option::deserialize")]
    recipient: Option<String>,
}

async fn view(app: &App, tenant: &TenantName) -> Result<Json<KeyView>, ApiError> {
    let stored = app.shared.store.registry().tenant(tenant).await?;
    let (state, problem) = match app.shared.store.keys().get(tenant) {
        Ok(_) => ("open", None),
        Err(StoreError::KeyWithdrawn { .. }) => ("withdrawn", None),
        Err(e) => ("unusable", Some(e.to_string())),
    };
    Ok(Json(KeyView {
        tenant: tenant.to_string(),
        customer_key: stored.customer_key.to_string(),
        state: state.to_owned(),
        problem,
        withdrawn: stored.withdrawn.map(|w| w.to_string()),
        recipient: stored.customer_public_key.map(|key| STANDARD.encode(key)),
    }))
}

/// Show a tenant's key
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/key", tag = "keys", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Its state", body = KeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageKeys>,
) -> Result<Json<KeyView>, ApiError> {
    view(&app, &allowed.tenant()).await
}

/// Withdraw a tenant's key
///
/// The service forgets it at once: history and hot readings are unreadable until it is restored, and nothing new
/// is taken.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/key/withdraw", tag = "keys", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Forgotten", body = KeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn withdraw(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageKeys>,
) -> Result<Json<KeyView>, ApiError> {
    let tenant = allowed.tenant();
    app.record(tenant, &allowed.caller, allowed.deed("key.withdraw", "key")).await?;
    let result = app.shared.store.keys().withdraw(&tenant, now()).await;
    // Even when the registry failed the keys are gone from memory, and nobody may keep what was derived.
    app.shared.core.cut_tenant(tenant).await;
    result?;
    view(&app, &tenant).await
}

/// Restore a tenant's key
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/key/restore", tag = "keys", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Readable again", body = KeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn restore(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageKeys>,
) -> Result<Json<KeyView>, ApiError> {
    let tenant = allowed.tenant();
    app.record(tenant, &allowed.caller, allowed.deed("key.restore", "key")).await?;
    app.shared.store.keys().restore(&tenant).await?;
    view(&app, &tenant).await
}

/// Rotate a tenant's key
///
/// Later writes use a new key. Older data stays readable.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/key/rotate", tag = "keys", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "A new key is in use", body = KeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn rotate(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageKeys>,
) -> Result<Json<KeyView>, ApiError> {
    let tenant = allowed.tenant();
    app.record(tenant, &allowed.caller, allowed.deed("key.rotate", "key")).await?;
    app.shared.store.keys().rotate(&tenant, now()).await?;
    view(&app, &tenant).await
}

/// Set the public key that devices seal for
///
/// Devices learn it when they renew or start. Streams that are `customer` cannot be opened by the service.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/key/recipient", tag = "keys", params(("tenant" = String, Path)),
    request_body = NewRecipient,
    responses(
        (status = 200, description = "Set", body = KeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn set_recipient(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageKeys>,
    Sent(new): Sent<NewRecipient>,
) -> Result<Json<KeyView>, ApiError> {
    let tenant = allowed.tenant();
    let wrong = || ApiError::Invalid(format!("`recipient` is not base64 of {RECIPIENT_KEY_BYTES} bytes"));
    let key = new.recipient.map(|text| STANDARD.decode(text).map_err(|_| wrong())).transpose()?;
    if key.as_ref().is_some_and(|key| key.len() != RECIPIENT_KEY_BYTES) {
        return Err(wrong());
    }
    app.record(tenant, &allowed.caller, allowed.deed("key.recipient", "key")).await?;
    app.shared.store.registry().set_customer_public_key(&tenant, key.as_deref()).await?;
    view(&app, &tenant).await
}
