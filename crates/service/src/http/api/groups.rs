//! Groups of users, devices and other groups, for policies to name.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::GroupName;
use thingward_policy::{GROUP_DEPTH_MAX, ManageUsers, World};
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
    if let (GroupMember::Group(inner), "group.add") = (&member, action) {
        check_nesting(&registry.groups(&tenant).await?, group, *inner)?;
    }
    let deed = allowed.deed(action, format!("group/{group}"));
    app.record(tenant, &allowed.caller, named(app, deed, &tenant, &member).await?).await?;
    if action == "group.add" {
        registry.add_to_group(&tenant, &group, &member).await?;
    } else {
        registry.remove_from_group(&tenant, &group, &member).await?;
    }
    app.shared.directory.access.reload_people(registry, &tenant).await?;
    if !matches!(member, GroupMember::User(_)) {
        app.shared.tell_gateways(tenant).await;
    }
    if let Err(error) = app.shared.group_changed(tenant, group, &member).await {
        tracing::warn!(%tenant, %group, %error, "not all devices are told to look at their membership");
    }
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

/// Refuses what would put a group into itself, or groups deeper than policies look.
fn check_nesting(
    all: &[(GroupName, GroupMember)],
    outer: GroupName,
    inner: GroupName,
) -> Result<(), ApiError> {
    let mut world = World::default();
    for (group, member) in all {
        if let GroupMember::Group(name) = member {
            world.groups.entry(*name).or_default().insert(*group);
        }
    }
    if outer == inner || world.groups_above(&[outer].into()).contains(&inner) {
        return Err(ApiError::Conflict(format!("{outer} is in {inner} already")));
    }
    world.groups.entry(inner).or_default().insert(outer);
    let depth = |start: GroupName| {
        let mut edge: BTreeSet<GroupName> = [start].into();
        let mut steps = 0;
        while !edge.is_empty() && steps <= GROUP_DEPTH_MAX {
            edge = edge.iter().filter_map(|group| world.groups.get(group)).flatten().copied().collect();
            steps += usize::from(!edge.is_empty());
        }
        steps
    };
    if world.groups.keys().any(|group| depth(*group) >= GROUP_DEPTH_MAX) {
        return Err(ApiError::Conflict(format!("groups are at most {GROUP_DEPTH_MAX} deep")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_not_in_itself_and_not_deeper_than_policies_look() {
        let group = |n: usize| format!("g{n}").parse::<GroupName>().unwrap();
        let mut all = Vec::new();
        for n in 1..GROUP_DEPTH_MAX {
            check_nesting(&all, group(n), group(n - 1)).unwrap();
            all.push((group(n), GroupMember::Group(group(n - 1))));
        }
        assert!(check_nesting(&all, group(GROUP_DEPTH_MAX), group(GROUP_DEPTH_MAX - 1)).is_err(), "too deep");
        assert!(check_nesting(&all, group(0), group(3)).is_err(), "a circle");
        assert!(check_nesting(&all, group(2), group(2)).is_err(), "itself");
        assert!(check_nesting(&all, group(90), group(0)).is_ok());
    }
}
