//! One-time links: the first administrator, invitations, recovery.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use thingward_audit::actors::{key_detail, passkey_target};
use thingward_crypto::system_rng;
use thingward_model::UserName;
use thingward_model::clock::now;
use thingward_policy::{ManageUsers, UserRole};
use thingward_store::registry::{Link, LinkKind, NewPasskey, User, UserId};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Called, Credential, Part, Peer, from_our_page};
use super::super::error::{ApiError, ErrorBody};
use super::super::order::Seed;
use super::sign_in::Failed;
use super::word;
use crate::audit::Deed;
use crate::sign_in::{CreationOptions, Purpose, Registration, link_code};

/// How long the link of a first administrator, or of a recovery, works, in seconds: 15 minutes.
const SHORT_SECONDS: i64 = 15 * 60;
/// How long an invitation works, in seconds: three days.
const INVITE_SECONDS: i64 = 3 * 86_400;
/// Longest code that is looked up, in bytes. Ours have 56.
const CODE_BYTES_MAX: usize = 128;

/// A link to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewLink {
    /// `invite`, or `recover`: then the passkeys and sessions that they have end.
    kind: String,
}

/// A link. It is shown once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LinkMade {
    /// Whoever opens it first gets a passkey. The code is behind `#`, which browsers send to nobody.
    link: String,
    /// When it ends.
    expires: String,
}

/// The code of a link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Code {
    /// What stands behind `#`.
    code: String,
}

/// What a link is for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LinkView {
    /// `set-up`, `invite` or `recover`.
    kind: String,
    /// The tenant.
    tenant: String,
    /// Whose it is; null for `set-up`, where one chooses.
    user: Option<String>,
    /// What they are to the tenant.
    roles: Vec<String>,
    /// When it ends.
    expires: String,
    /// For `navigator.credentials.create`.
    options: CreationOptions,
}

/// A new passkey, for a link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Redeemed {
    /// What stands behind `#`.
    code: String,
    /// The name that one chose; for `set-up` only.
    user: Option<String>,
    /// What to call the passkey.
    passkey: String,
    /// `credential.toJSON()`.
    credential: Registration,
}

/// Make the link of the first administrator
///
/// On the administration socket only, while no administrator of the tenant has a passkey. It works for 15 minutes, once;
/// an older one ends.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/set-up", tag = "sign-in", params(("tenant" = String, Path)),
    responses(
        (status = 201, description = "Shown once", body = LinkMade),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn set_up(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    allowed: Allowed<ManageUsers>,
) -> Result<(StatusCode, Json<LinkMade>), ApiError> {
    caller.is_operator()?;
    create(&app, &allowed, LinkKind::SetUp, None).await
}

/// Make a link for a user
///
/// By another user in a session, or on the administration socket; tokens cannot, as they would become more than they are.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/users/{user}/link", tag = "users",
    params(("tenant" = String, Path), ("user" = String, Path)), request_body = NewLink,
    responses(
        (status = 201, description = "Shown once", body = LinkMade),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn make(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageUsers>,
    Part(name): Part<UserName>,
    Sent(new): Sent<NewLink>,
) -> Result<(StatusCode, Json<LinkMade>), ApiError> {
    let kind = match word("kind", &new.kind)? {
        LinkKind::SetUp => return Err(ApiError::Invalid("`kind` is not invite or recover".to_owned())),
        kind => kind,
    };
    if let Credential::Token(_) = allowed.caller.credential {
        return Err(ApiError::Denied("a token cannot make links: whoever opens one may more than the token"));
    }
    let registry = app.shared.store.registry();
    let user = registry.user(&allowed.tenant(), &name).await?;
    if allowed.caller.user().is_some_and(|(own, _)| *own == user.id) {
        return Err(ApiError::Denied("a link for oneself is for another administrator to make"));
    }
    if kind == LinkKind::Invite && !registry.passkeys_of(&allowed.tenant(), &user.id).await?.is_empty() {
        return Err(ApiError::Conflict("the user has a passkey; `recover` ends those they have".to_owned()));
    }
    create(&app, &allowed, kind, Some(user.id)).await
}

async fn create(
    app: &App,
    allowed: &Allowed<ManageUsers>,
    kind: LinkKind,
    user: Option<UserId>,
) -> Result<(StatusCode, Json<LinkMade>), ApiError> {
    let seconds = if kind == LinkKind::Invite { INVITE_SECONDS } else { SHORT_SECONDS };
    let (tenant, code) = (allowed.tenant(), link_code());
    let link = Link { tenant, kind, user, expires: now().plus_micros(seconds * 1_000_000) };
    let _turn = app.shared.membership.lock().await;
    if kind == LinkKind::SetUp && app.shared.store.registry().is_set_up(&tenant).await? {
        return Err(ApiError::Conflict("the tenant has an administrator, who invites others".to_owned()));
    }
    let target = link.user.as_ref().map_or_else(|| "user".to_owned(), |id| format!("user/{id}"));
    let deed = allowed.deed("link.create", target).with("kind", kind.as_str());
    app.record(tenant, &allowed.caller, deed).await?;
    app.shared.store.registry().add_link(&code, &link).await?;
    let link_text = app.shared.settings.console.url(&format!("/link#{}", code.as_str()));
    Ok((StatusCode::CREATED, Json(LinkMade { link: link_text, expires: link.expires.to_string() })))
}

/// Open a link
///
/// Says what it is for, and what an authenticator is to be asked. The link goes on working.
#[utoipa::path(
    post, path = "/api/v1/links/open", tag = "sign-in", security(()), request_body = Code,
    responses(
        (status = 200, description = "It works", body = LinkView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn open(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(Code { code }): Sent<Code>,
) -> Result<Json<LinkView>, ApiError> {
    from_our_page(&headers, &app)?;
    app.attempt(&peer)?;
    let (link, user) = look_up(&app, &peer, &code).await?;
    let registry = app.shared.store.registry();
    let known = match &user {
        Some(user) if link.kind == LinkKind::Invite => registry.passkeys_of(&link.tenant, &user.id).await?,
        _ => Vec::new(),
    };
    // Who sets up has no id yet: this one comes back in the challenge.
    let id = user.as_ref().map_or_else(new_user_id, |user| user.id.clone());
    let challenge = app.shared.challenges.make(Purpose::Link(&code), id.to_string().as_bytes(), now());
    let challenge = challenge.map_err(|_| ApiError::Internal)?;
    let roles = user.as_ref().map_or_else(|| [UserRole::Administrator].into(), |user| user.roles.clone());
    Ok(Json(LinkView {
        kind: link.kind.to_string(),
        tenant: link.tenant.to_string(),
        options: CreationOptions::new(&app.shared.settings.console, &id, user.as_ref(), &known, &challenge),
        user: user.map(|user| user.name.to_string()),
        roles: roles.iter().map(ToString::to_string).collect(),
        expires: link.expires.to_string(),
    }))
}

/// Use a link
///
/// Keeps the new passkey, with which its owner signs in then. The link works no more.
#[utoipa::path(
    post, path = "/api/v1/links/redeem", tag = "sign-in", security(()), request_body = Redeemed,
    responses(
        (status = 204, description = "The passkey works"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(sent): Sent<Redeemed>,
) -> Result<StatusCode, ApiError> {
    from_our_page(&headers, &app)?;
    app.attempt(&peer)?;
    let _turn = app.shared.membership.lock().await;
    let (link, user) = look_up(&app, &peer, &sent.code).await?;
    let (id, new) = match passkey_of(&app, &sent) {
        Ok(made) => made,
        Err(why) => return Err(app.failed_attempt(&peer, why)),
    };
    let registry = app.shared.store.registry();
    let user = match (user, &sent.user) {
        (Some(user), None) => user,
        (None, Some(name)) => {
            let roles = [UserRole::Administrator].into();
            User { id, name: word("user", name)?, roles, created: now() }
        }
        (Some(_), Some(_)) => return Err(ApiError::Invalid("`user` is chosen already".to_owned())),
        (None, None) => return Err(ApiError::Invalid("`user` is missing".to_owned())),
    };
    if link.kind == LinkKind::SetUp && registry.is_set_up(&link.tenant).await? {
        return Err(ApiError::Conflict("the tenant has an administrator, who invites others".to_owned()));
    }
    if link.kind == LinkKind::SetUp && registry.user(&link.tenant, &user.name).await.is_ok() {
        return Err(ApiError::Conflict("a user of this name is there already".to_owned()));
    }
    app.can_be_added(&new).await?;
    record(&app, &link, &user, &new).await?;
    registry.redeem_link(&sent.code, &link, &user, &new, now()).await?;
    app.shared.directory.access.reload_people(registry, &link.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a code is for, and whose.
async fn look_up(app: &App, peer: &Peer, code: &str) -> Result<(Link, Option<User>), ApiError> {
    let registry = app.shared.store.registry();
    if code.len() > CODE_BYTES_MAX {
        return Err(app.failed_attempt(peer, Failed::Wrong("a code that is too long".to_owned())));
    }
    let link = match registry.link(code, now()).await {
        Ok(link) => link,
        Err(e) => {
            return Err(match app.failed_attempt(peer, e.into()) {
                ApiError::NotSignedIn => ApiError::NotFound("link that works"),
                other => other,
            });
        }
    };
    let user = match &link.user {
        Some(id) => Some(registry.user_by_id(&link.tenant, id).await?),
        None => None,
    };
    Ok((link, user))
}

/// The passkey that was made for the link, and for whom.
fn passkey_of(app: &App, sent: &Redeemed) -> Result<(UserId, NewPasskey), Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::Wrong(e.to_string());
    let challenge = sent.credential.claimed_challenge().map_err(|e| wrong(&e))?;
    let id = app.shared.challenges.note(Purpose::Link(&sent.code), &challenge, now());
    let id = id
        .and_then(|id| std::str::from_utf8(&id).ok()?.parse().ok())
        .ok_or_else(|| wrong(&"not asked for, or too late"))?;
    let made = sent.credential.verify(&app.shared.settings.console, &challenge).map_err(|e| wrong(&e))?;
    let name = sent.passkey.trim().to_owned();
    Ok((id, NewPasskey { credential_id: made.credential_id, name, key: made.key }))
}

async fn record(app: &App, link: &Link, user: &User, new: &NewPasskey) -> Result<(), ApiError> {
    let actor = format!("user/{}", user.id);
    if link.kind == LinkKind::SetUp {
        let deed = Deed::new(actor.clone(), "user.add", actor.clone());
        app.shared.record(link.tenant, deed.with("roles", UserRole::Administrator.as_str())).await?;
    }
    let deed = Deed::new(actor, "passkey.add", passkey_target(&new.credential_id));
    let deed = deed.with("key", key_detail(&new.key)).with("link", link.kind.as_str());
    app.shared.record(link.tenant, deed).await?;
    Ok(())
}

/// A user id that nobody has.
pub(super) fn new_user_id() -> UserId {
    let mut random = Seed::default();
    system_rng().fill_bytes(&mut random);
    user_id(&random)
}

/// The user id of this seed.
pub(super) fn user_id([a, b, c, d, e, f, g, h, ..]: &Seed) -> UserId {
    UserId::new([*a, *b, *c, *d, *e, *f, *g, *h])
}
