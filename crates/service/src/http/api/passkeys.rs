//! Passkeys of people: one's own, and for who manages users everybody's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thingward_audit::actors::{key_detail, passkey_target};
use thingward_model::clock::now;
use thingward_model::{TenantName, UserName};
use thingward_policy::{ManageUsers, Permit, Resource};
use thingward_store::StoreError;
use thingward_store::registry::{NewPasskey, PASSKEYS_MAX, Passkey, User};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Caller, Entered, Named, Part};
use super::super::error::{ApiError, ErrorBody};
use super::List;
use super::sign_in::Ceremony;
use crate::audit::Deed;
use crate::sign_in::{CreationOptions, Purpose, Registration};

/// A passkey, as lists have it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct PasskeyView {
    /// Names it: the credential id, base64url.
    id: String,
    /// What its owner calls it.
    name: String,
    /// When it was made.
    created: String,
    /// When somebody last signed in with it.
    used: Option<String>,
}

/// A passkey to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPasskeyBody {
    /// What to call it.
    name: String,
    /// `credential.toJSON()`.
    credential: Registration,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: URL_SAFE_NO_PAD.encode(&passkey.credential_id),
            name: passkey.name,
            created: passkey.created.to_string(),
            used: passkey.used.map(|used| used.to_string()),
        }
    }
}

/// A credential id in a path.
pub(in crate::http) struct CredentialId(Vec<u8>);

impl Named for CredentialId {
    const NAME: &'static str = "passkey";
    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }
}

impl App {
    /// Whether a passkey can be kept, before the log says that it is.
    ///
    /// # Errors
    ///
    /// [`ApiError::Invalid`], [`ApiError::Conflict`].
    pub(super) async fn can_be_added(&self, new: &NewPasskey) -> Result<(), ApiError> {
        new.check()?;
        match self.shared.store.registry().passkey(&new.credential_id).await {
            Err(StoreError::NotFound { .. }) => Ok(()),
            Ok(_) => Err(ApiError::Conflict("this passkey is known already; make another one".to_owned())),
            Err(other) => Err(other.into()),
        }
    }
}

/// The user that a path names, for themselves or for who manages users.
async fn whose(app: &App, tenant: TenantName, caller: &Caller, name: &UserName) -> Result<User, ApiError> {
    let is_own = caller.session().is_some_and(|session| session.user.1 == *name);
    if !is_own {
        let on = Resource::Tenant;
        let _: Permit<ManageUsers> = app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
    }
    Ok(app.shared.store.registry().user(&tenant, name).await?)
}

/// The user that a path names, who asks in a session of their own.
async fn themselves(
    app: &App,
    tenant: TenantName,
    caller: &Caller,
    name: &UserName,
) -> Result<User, ApiError> {
    match caller.session() {
        Some(session) if session.user.1 == *name => {
            Ok(app.shared.store.registry().user(&tenant, name).await?)
        }
        _ => Err(ApiError::Denied("a passkey is added by its owner, in a session")),
    }
}

/// List passkeys of a user
///
/// One's own; anybody's for who may manage users.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/users/{user}/passkeys", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses(
        (status = 200, description = "Oldest first", body = List<PasskeyView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(name): Part<UserName>,
) -> Result<Json<List<PasskeyView>>, ApiError> {
    let user = whose(&app, tenant, &caller, &name).await?;
    let found = app.shared.store.registry().passkeys_of(&tenant, &user.id).await?;
    Ok(Json(List::whole(found.into_iter().map(PasskeyView::from).collect())))
}

/// Begin to add a passkey
///
/// One's own, in a session.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/users/{user}/passkeys/begin", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses(
        (status = 200, description = "For `navigator.credentials.create`", body = Ceremony<CreationOptions>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(name): Part<UserName>,
) -> Result<Json<Ceremony<CreationOptions>>, ApiError> {
    let user = themselves(&app, tenant, &caller, &name).await?;
    let known = app.shared.store.registry().passkeys_of(&tenant, &user.id).await?;
    let challenge = app.shared.challenges.make(Purpose::Passkey(&user.id.to_string()), b"", now());
    let challenge = challenge.map_err(|_| ApiError::Internal)?;
    let site = &app.shared.settings.console;
    Ok(Json(Ceremony { options: CreationOptions::new(site, &user.id, Some(&user), &known, &challenge) }))
}

/// Add a passkey
///
/// One's own, in a session.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/users/{user}/passkeys", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)), request_body = NewPasskeyBody,
    responses(
        (status = 201, description = "It works", body = PasskeyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn add(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(name): Part<UserName>,
    Sent(sent): Sent<NewPasskeyBody>,
) -> Result<(StatusCode, Json<PasskeyView>), ApiError> {
    let user = themselves(&app, tenant, &caller, &name).await?;
    let purpose_id = user.id.to_string();
    let wrong = |e: &dyn std::fmt::Display| ApiError::Invalid(format!("`credential`: {e}"));
    let challenge = sent.credential.claimed_challenge().map_err(|e| wrong(&e))?;
    let asked = app.shared.challenges.note(Purpose::Passkey(&purpose_id), &challenge, now());
    asked.ok_or_else(|| wrong(&"not asked for, or too late"))?;
    let made = sent.credential.verify(&app.shared.settings.console, &challenge).map_err(|e| wrong(&e))?;
    let new =
        NewPasskey { credential_id: made.credential_id, name: sent.name.trim().to_owned(), key: made.key };
    let _turn = app.shared.membership.lock().await;
    app.can_be_added(&new).await?;
    if app.shared.store.registry().passkeys_of(&tenant, &user.id).await?.len() >= PASSKEYS_MAX as usize {
        return Err(ApiError::Conflict("the user has as many passkeys as they may".to_owned()));
    }
    let deed = Deed::new(caller.actor(), "passkey.add", passkey_target(&new.credential_id));
    let deed = app.ordered(&tenant, &caller, deed.with("key", key_detail(&new.key))).await?;
    if !app.shared.challenges.spend(&challenge, now()) {
        return Err(ApiError::Invalid("`credential`: it was used before".to_owned()));
    }
    app.shared.record(tenant, deed).await?;
    let registry = app.shared.store.registry();
    registry.add_passkey(&tenant, &user.id, &new, now()).await?;
    let (_, made) = registry.passkey(&new.credential_id).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Remove a passkey
///
/// One's own; anybody's for who may manage users. The sessions that began with it end, but for the one that asks. The last one stays: a user without any is invited anew, or removed.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/users/{user}/passkeys/{passkey}", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path), ("passkey" = String, Path)),
    responses(
        (status = 204, description = "It works no more"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(name): Part<UserName>,
    Part(CredentialId(id)): Part<CredentialId>,
) -> Result<StatusCode, ApiError> {
    let user = whose(&app, tenant, &caller, &name).await?;
    let session = caller.session().map(|session| session.id.clone());
    let _turn = app.shared.membership.lock().await;
    let theirs = app.shared.store.registry().passkeys_of(&tenant, &user.id).await?;
    if theirs.iter().all(|passkey| passkey.credential_id != id) {
        return Err(ApiError::NotFound("passkey"));
    }
    if theirs.len() == 1 {
        return Err(ApiError::Conflict("it is the last passkey of this user".to_owned()));
    }
    let deed = Deed::new(caller.actor(), "passkey.remove", passkey_target(&id));
    app.record(tenant, &caller, deed.with("of", format!("user/{}", user.id))).await?;
    app.shared.store.registry().remove_passkey(&tenant, &user.id, &id, session.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
