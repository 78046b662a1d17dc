//! People of a tenant and what they are to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::UserName;
use thingward_model::clock::now;
use thingward_policy::{ManageUsers, UserRole};
use thingward_store::StoreError;
use thingward_store::registry::{User, UserId};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::links::user_id;
use super::{List, ListParams, word};

/// A person.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct UserView {
    /// What people call them.
    name: String,
    /// What the audit log calls them, behind `user/`.
    id: String,
    /// `administrator`, `operator`, `viewer`, `auditor`.
    roles: Vec<String>,
    /// When they were added.
    created: String,
    /// How many passkeys they have; none for who was not invited, or signs in elsewhere.
    passkeys: u64,
}

impl UserView {
    fn of(user: User, passkeys: &HashMap<UserId, u64>) -> Self {
        Self {
            passkeys: passkeys.get(&user.id).copied().unwrap_or_default(),
            name: user.name.to_string(),
            id: user.id.to_string(),
            roles: user.roles.iter().map(ToString::to_string).collect(),
            created: user.created.to_string(),
        }
    }
}

/// What a person is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewRoles {
    /// `administrator`, `operator`, `viewer`, `auditor`; none at all for somebody who has only what policies permit.
    roles: Vec<String>,
}

impl Named for UserName {
    const NAME: &'static str = "user";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// List users
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/users", tag = "users", params(("tenant" = String, Path), ListParams),
    responses(
        (status = 200, description = "Users by name", body = List<UserView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<UserView>>, ApiError> {
    let (limit, after) = (params.limit()?, params.after::<UserName>()?);
    let found = app.shared.store.registry().users(&allowed.tenant(), after.as_ref(), limit).await?;
    let passkeys = app.shared.store.registry().passkey_counts(&allowed.tenant()).await?;
    Ok(Json(List::page(found, limit, |user| UserView::of(user, &passkeys), |user| user.name.to_string())))
}

/// Add a user, or give one other roles
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/users/{user}", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)), request_body = NewRoles,
    responses(
        (status = 200, description = "As they are now", body = UserView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn put(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Part(name): Part<UserName>,
    Sent(new): Sent<NewRoles>,
) -> Result<Json<UserView>, ApiError> {
    let roles: BTreeSet<UserRole> = new.roles.iter().map(|r| word("roles", r)).collect::<Result<_, _>>()?;
    let words = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
    let (tenant, registry) = (allowed.tenant(), app.shared.store.registry());
    let _turn = app.shared.membership.lock().await;
    let user = match registry.user(&tenant, &name).await {
        Ok(known) => {
            let deed = allowed.deed("user.roles", format!("user/{}", known.id));
            app.record(tenant, &allowed.caller, deed.with("roles", words)).await?;
            registry.set_roles(&tenant, &name, &roles).await?;
            User { roles, ..known }
        }
        Err(StoreError::NotFound { .. }) => {
            let user = User { id: user_id(&allowed.caller.occasion.seed), name, roles, created: now() };
            let deed = allowed.deed("user.add", format!("user/{}", user.id));
            app.record(tenant, &allowed.caller, deed.with("roles", words)).await?;
            registry.add_user(&tenant, &user).await?;
            user
        }
        Err(other) => return Err(other.into()),
    };
    app.shared.directory.access.reload_people(registry, &tenant).await?;
    let passkeys = registry.passkey_counts(&tenant).await?;
    Ok(Json(UserView::of(user, &passkeys)))
}

/// Remove a user
///
/// Their name is forgotten, and the tokens that they made end. What they did stays in the audit log, under their id.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/users/{user}", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses(
        (status = 204, description = "Removed"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Part(name): Part<UserName>,
) -> Result<StatusCode, ApiError> {
    let (tenant, registry) = (allowed.tenant(), app.shared.store.registry());
    let _turn = app.shared.membership.lock().await;
    let user = registry.user(&tenant, &name).await?;
    let deed = allowed.deed("user.remove", format!("user/{}", user.id));
    app.record(tenant, &allowed.caller, deed).await?;
    registry.remove_user(&tenant, &name, now()).await?;
    app.shared.directory.access.reload_people(registry, &tenant).await?;
    app.shared.core.cancel_commands_of([format!("user/{}", user.id)].into()).await;
    Ok(StatusCode::NO_CONTENT)
}
