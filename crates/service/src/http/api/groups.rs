//! Groups of users, devices and other groups, for policies to name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::GroupName;
use thingward_policy::ManageUsers;
use thingward_store::registry::GroupMember;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::caller::{Allowed, Named, Part};
use super::super::error::{ApiError, ErrorBody};
use super::List;
use crate::audit::Deed;

/// Somebody or something in a group.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct MembershipView {
    /// The group.
    group: String,
    /// `user/…`, `device/…` or `group/…`.
    member: String,
}

impl Named for GroupName {
    const NAME: &'static str = "group";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// What kind of member a path names.
pub(in crate::http) struct Kind(String);

impl Named for Kind {
    const NAME: &'static str = "kind";
    fn parse(text: &str) -> Option<Self> {
        matches!(text, "user" | "device" | "group").then(|| Self(text.to_owned()))
    }
}

/// The name of a member in a path.
pub(in crate::http) struct MemberName(String);

impl Named for MemberName {
    const NAME: &'static str = "member";
    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

/// List groups
///
/// Everybody and everything that is in a group, directly.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/groups", tag = "users", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "By group", body = List<MembershipView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
) -> Result<Json<List<MembershipView>>, ApiError> {
    let all = app.shared.store.registry().groups(&allowed.tenant()).await?;
    let view = |(group, member): (GroupName, GroupMember)| MembershipView {
        group: group.to_string(),
        member: member.to_string(),
    };
    Ok(Json(List::whole(all.into_iter().map(view).collect())))
}

/// Put somebody or something into a group
///
/// A group is there while something is in it.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", tag = "users",
    params(("tenant" = String, Path), ("group" = String, Path), ("kind" = String, Path), ("member" = String, Path)),
    responses(
        (status = 204, description = "In it"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn add(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Part(group): Part<GroupName>,
    Part(Kind(kind)): Part<Kind>,
    Part(MemberName(name)): Part<MemberName>,
) -> Result<StatusCode, ApiError> {
    change(&app, &allowed, "group.add", group, &kind, &name).await
}

/// Take somebody or something out of a group
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", tag = "users",
    params(("tenant" = String, Path), ("group" = String, Path), ("kind" = String, Path), ("member" = String, Path)),
    responses(
        (status = 204, description = "Not in it any more"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Part(group): Part<GroupName>,
    Part(Kind(kind)): Part<Kind>,
    Part(MemberName(name)): Part<MemberName>,
) -> Result<StatusCode, ApiError> {
    change(&app, &allowed, "group.remove", group, &kind, &name).await
}

async fn change(
    app: &App,
    allowed: &Allowed<ManageUsers>,
    action: &'static str,
    group: GroupName,
    kind: &str,
    name: &str,
) -> Result<StatusCode, ApiError> {
    let member: GroupMember =
        format!("{kind}/{name}").parse().map_err(|e| ApiError::parameter("member", &e))?;
    let (tenant, registry) = (allowed.tenant(), app.shared.store.registry());
    let _turn = app.shared.membership.lock().await;
    let deed = allowed.deed(action, format!("group/{group}"));
    app.shared.record(tenant, named(app, deed, &tenant, &member).await?).await?;
    if action == "group.add" {
        registry.add_to_group(&tenant, &group, &member).await?;
    } else {
        registry.remove_from_group(&tenant, &group, &member).await?;
    }
    app.shared.directory.access.reload_people(registry, &tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A person is in the log by their id.
async fn named(
    app: &App,
    deed: Deed,
    tenant: &thingward_model::TenantName,
    member: &GroupMember,
) -> Result<Deed, ApiError> {
    let member = match member {
        GroupMember::User(name) => {
            format!("user/{}", app.shared.store.registry().user(tenant, name).await?.id)
        }
        other => other.to_string(),
    };
    Ok(deed.with("member", member))
}
