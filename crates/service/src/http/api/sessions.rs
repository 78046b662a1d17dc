//! Sessions of people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use thingward_model::clock::now;
use thingward_policy::{Action, ManageUsers, Permit, Resource, Subject};
use thingward_store::registry::{Session, SessionId, User};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::caller::{Called, Entered, Named, Params, Part};
use super::super::cookie::{self, SameSite};
use super::super::error::{ApiError, ErrorBody};
use super::sign_in::ends;
use super::{List, ListParams};
use crate::audit::Deed;

/// The session that asks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct SessionInfo {
    /// Names it.
    id: String,
    /// The tenant that it reaches.
    tenant: String,
    /// Who signed in.
    user: SessionUser,
    /// Actions that they may take on the tenant as a whole; there may be more on single things.
    may: Vec<String>,
    /// When it began.
    created: String,
    /// When it ends, if it is not used.
    expires: String,
    /// `passkey` or `oidc`.
    by: String,
    /// What it signs changes with: the key's id, the first 8 bytes of its SHA-256 as hexadecimal.
    key: String,
    /// Where devices enrol, as far as the service knows its own name.
    enrol: String,
}

/// Who signed in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct SessionUser {
    /// What people call them.
    name: String,
    /// What the audit log calls them, behind `user/`.
    id: String,
    /// `administrator`, `operator`, `viewer`, `auditor`.
    roles: Vec<String>,
}

/// A session, as lists have it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct SessionView {
    /// Names it.
    id: String,
    /// Who signed in.
    user: String,
    /// When.
    created: String,
    /// When it was used last, to within five minutes.
    used: String,
    /// When it ends, if it is not used.
    expires: String,
    /// `passkey` or `oidc`.
    by: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionInfo {
    pub(super) fn of(app: &App, session: &Session, user: &User) -> Self {
        let policies = app.shared.directory.access.of(&session.tenant);
        let (settings, name) = (&app.shared.settings, app.shared.settings.names.first());
        let subject = Subject::User(session.user.1);
        let may = |action: &Action| {
            let decision = policies.as_ref().map(|p| p.decision(&subject, *action, &Resource::Tenant));
            decision.is_some_and(|decision| decision.is_allowed())
        };
        Self {
            id: session.id.to_string(),
            tenant: session.tenant.to_string(),
            user: SessionUser {
                name: user.name.to_string(),
                id: user.id.to_string(),
                roles: user.roles.iter().map(ToString::to_string).collect(),
            },
            may: Action::ALL.iter().filter(|action| may(action)).map(ToString::to_string).collect(),
            created: session.created.to_string(),
            expires: ends(session).to_string(),
            by: session.way.as_str().to_owned(),
            key: base16ct::lower::encode_string(&session.key.id()),
            enrol: format!("https://{}:{}", name.map_or("localhost", String::as_str), settings.https.port()),
        }
    }
}

impl Named for SessionId {
    const NAME: &'static str = "session";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Show the own session
#[utoipa::path(
    get, path = "/api/v1/session", tag = "sign-in",
    responses(
        (status = 200, description = "Who is signed in, and what they may", body = SessionInfo),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn own(
    State(app): State<Arc<App>>,
    Called(caller): Called,
) -> Result<Json<SessionInfo>, ApiError> {
    let session = caller.session().ok_or(ApiError::NotFound("session"))?;
    let user = app.shared.store.registry().user_by_id(&session.tenant, &session.user.0).await?;
    Ok(Json(SessionInfo::of(&app, session, &user)))
}

/// Sign out
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "sign-in",
    responses(
        (status = 204, description = "The session is over"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn sign_out(
    State(app): State<Arc<App>>,
    Called(caller): Called,
) -> Result<Response, ApiError> {
    let session = caller.session().cloned().ok_or(ApiError::NotFound("session"))?;
    // Whoever has lost the session's key has to be able to end it: that it is over is our word.
    let deed = Deed::new("service".to_owned(), "session.end", format!("session/{}", session.id));
    let deed = deed.with("reason", "signed out").with("user", session.user.0.to_string());
    app.shared.record(session.tenant, deed).await?;
    app.shared.store.registry().end_session(&session.tenant, &session.id).await?;
    let gone = cookie::set(cookie::SESSION, "", SameSite::Strict, 0).ok_or(ApiError::Internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// List sessions
///
/// One's own; those of all users for who may manage users.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/sessions", tag = "sign-in", params(("tenant" = String, Path), ListParams),
    responses(
        (status = 200, description = "Those that work", body = List<SessionView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Params(params): Params<ListParams>,
) -> Result<Json<List<SessionView>>, ApiError> {
    let own = caller.session().map(|session| session.user.0.clone());
    let access = &app.shared.directory.access;
    let may_see_all = access.decide::<ManageUsers>(&tenant, &caller.subject, &Resource::Tenant).is_ok();
    let whose = match (may_see_all, own) {
        (true, _) => None,
        (false, Some(own)) => Some(own),
        (false, None) => {
            let on = Resource::Tenant;
            let _: Permit<ManageUsers> =
                app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
            None
        }
    };
    let (limit, after) = (params.limit()?, params.after::<SessionId>()?);
    let registry = app.shared.store.registry();
    let found = registry.sessions(&tenant, whose.as_ref(), after.as_ref(), limit, now()).await?;
    let current = caller.session().map(|session| session.id.clone());
    let view = |session: Session| SessionView {
        current: current.as_ref() == Some(&session.id),
        id: session.id.to_string(),
        expires: ends(&session).to_string(),
        user: session.user.1.to_string(),
        created: session.created.to_string(),
        used: session.used.to_string(),
        by: session.way.as_str().to_owned(),
    };
    Ok(Json(List::page(found, limit, view, |session| session.id.to_string())))
}

/// End a session
///
/// One's own; any for who may manage users.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/sessions/{session}", tag = "sign-in",
    params(("tenant" = String, Path), ("session" = String, Path)),
    responses(
        (status = 204, description = "It is over"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn end(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(id): Part<SessionId>,
) -> Result<StatusCode, ApiError> {
    let registry = app.shared.store.registry();
    let own = caller.session().map(|session| &session.user.0);
    let owner = registry.session_owner(&tenant, &id).await;
    if own.is_none() || owner.as_ref().ok() != own {
        let on = Resource::Tenant;
        let _: Permit<ManageUsers> = app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
    }
    owner?;
    let deed = Deed::new(caller.actor(), "session.end", format!("session/{id}"));
    app.record(tenant, &caller, deed).await?;
    app.shared.store.registry().end_session(&tenant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
