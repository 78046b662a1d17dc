//! Tenants: list and create.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_policy::{ManageTenants, Permit, Resource};
use thingward_store::keys::KekReference;
use thingward_store::registry::Tenant;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Called, Caller, Params};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, word};
use crate::audit::Deed;

/// A tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TenantView {
    /// Its name.
    name: String,
    /// Where the customer's key is, without secrets.
    customer_key: String,
    /// When the key was withdrawn; null when it is not.
    withdrawn: Option<String>,
    /// When the tenant was made.
    created: String,
}

impl From<Tenant> for TenantView {
    fn from(t: Tenant) -> Self {
        Self {
            name: t.name.to_string(),
            customer_key: t.customer_key.to_string(),
            withdrawn: t.withdrawn.map(|w| w.to_string()),
            created: t.created.to_string(),
        }
    }
}

/// A tenant to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewTenant {
    /// 1 to 63 letters, digits, `-`, `_` or `.`.
    name: String,
    /// Where the customer's key is: `file:/path` or `pkcs11:token=…;object=…?module-path=…&pin-source=…`, as the
    /// service sees it.
    customer_key: String,
}

/// List tenants
///
/// A token that is bound to a tenant sees that one.
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "tenants", params(ListParams),
    responses(
        (status = 200, description = "Tenants by name", body = List<TenantView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    Params(params): Params<ListParams>,
) -> Result<Json<List<TenantView>>, ApiError> {
    let registry = app.shared.store.registry();
    let limit = params.limit()?;
    if let Some(own) = caller.credential.tenant() {
        let permit = permit(&app, &caller, own).await?;
        let tenant = registry.tenant(permit.tenant()).await?;
        return Ok(Json(List::whole(vec![tenant.into()])));
    }
    let found = registry.tenants(params.after::<TenantName>()?.as_ref(), limit).await?;
    for tenant in &found {
        let _ = permit(&app, &caller, tenant.name).await?;
    }
    Ok(Json(List::page(found, limit, TenantView::from, |t| t.name.to_string())))
}

/// Create a tenant
///
/// Its first key is made at once, under the customer's key. On the administration socket only.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses(
        (status = 201, description = "Made", body = TenantView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<TenantView>), ApiError> {
    // Before the body is read, for whoever may not make any tenant.
    caller.is_operator()?;
    let Sent(new) = Sent::<NewTenant>::read(body).await?;
    let permit: Permit<ManageTenants> = caller.permit_at_first(word("name", &new.name)?)?;
    let reference: KekReference =
        new.customer_key.parse().map_err(|e| ApiError::parameter("customer_key", &e))?;
    let name = *permit.tenant();
    app.shared.store.keys().create(name, reference, now()).await?;
    app.shared.directory.access.add_tenant(name);
    let deed = Deed::new(caller.actor(), "tenant.create", format!("tenant/{name}"));
    app.shared.record(name, deed).await?;
    let tenant = app.shared.store.registry().tenant(&name).await?;
    Ok((StatusCode::CREATED, Json(tenant.into())))
}

async fn permit(app: &App, caller: &Caller, tenant: TenantName) -> Result<Permit<ManageTenants>, ApiError> {
    Ok(app.shared.permit(tenant, &caller.subject, &caller.actor(), &Resource::Tenant).await?)
}
