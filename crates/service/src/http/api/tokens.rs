//! Tokens with which programs call the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use thingward_audit::actors::key_detail;
use thingward_crypto::{VerifyingKey, system_rng};
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_policy::{Action, ManageTokens};
use thingward_store::registry::{NewToken, Token, TokenId};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Called, Caller, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, public_key, word};
use crate::audit::Deed;
use crate::enrolment::base32;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// What every token starts with, so that scanners for leaked secrets find it.
const TOKEN_PREFIX: &str = "tw_";
/// How long a token works at most, in seconds: 400 days.
const LIFETIME_MAX_SECONDS: u32 = 400 * 86_400;
/// How long a token works when nothing is said, in seconds: 90 days.
const LIFETIME_DEFAULT_SECONDS: u32 = 90 * 86_400;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewTokenBody {
    /// Actions: `readings:read`, `commands:send`, `devices:read`, `devices:manage`, `grants:issue`, `grants:revoke`,
    /// `keys:manage`, `log:read`, `users:manage`, `policy:read`, `policy:manage`, `tokens:manage`, `tenants:manage`, `segments:read`.
    scopes: Vec<String>,
    /// What it signs changes with: the DER SubjectPublicKeyInfo of an Ed25519 or P-256 key, base64url. Where a scope is
    /// not `…:read` there has to be one; a token that reaches all tenants only reads, and has none.
    key: Option<String>,
    /// How long it works. Default 90 days, at most 400, and never longer than the token that makes it.
    lifetime_seconds: Option<u32>,
}

/// A token without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TokenView {
    /// Names it.
    id: String,
    /// Whose data it reaches; null means all tenants.
    tenant: Option<String>,
    /// What it allows.
    scopes: Vec<String>,
    /// When it was made.
    created: String,
    /// When it ends.
    expires: String,
    /// When it was taken back.
    revoked: Option<String>,
    /// What it signs changes with: the key's id, as sessions have it.
    key: Option<String>,
}

/// A token with its secret. It is shown once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TokenMade {
    /// Names it.
    id: String,
    /// The secret, for `Authorization: Bearer`.
    token: String,
    /// When it ends.
    expires: String,
}

impl From<Token> for TokenView {
    fn from(t: Token) -> Self {
        Self {
            id: t.id.to_string(),
            tenant: t.tenant.map(|t| t.to_string()),
            scopes: t.scopes.iter().map(ToString::to_string).collect(),
            created: t.created.to_string(),
            expires: t.expires.to_string(),
            revoked: t.revoked.map(|r| r.to_string()),
            key: t.key.map(|key| base16ct::lower::encode_string(&key.id())),
        }
    }
}

impl Named for TokenId {
    const NAME: &'static str = "token";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// List a tenant's tokens
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/tokens", tag = "tokens",
    params(("tenant" = String, Path), ListParams),
    responses(
        (status = 200, description = "Without their secrets", body = List<TokenView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageTokens>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<TokenView>>, ApiError> {
    page(&app, Some(allowed.tenant()), &params).await
}

/// Make a token for a tenant
///
/// A token cannot make one that may do more or lives longer than itself, and ends with the one that made it.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/tokens", tag = "tokens", params(("tenant" = String, Path)),
    request_body = NewTokenBody,
    responses(
        (status = 201, description = "Shown once", body = TokenMade),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageTokens>,
    Sent(new): Sent<NewTokenBody>,
) -> Result<(StatusCode, Json<TokenMade>), ApiError> {
    make(&app, Some(allowed.tenant()), &allowed.caller, &new).await
}

/// Revoke a tenant's token
///
/// Every token that was made with it ends too.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/tokens/{token}", tag = "tokens",
    params(("tenant" = String, Path), ("token" = String, Path)),
    responses(
        (status = 204, description = "No longer works"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revoke(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageTokens>,
    Part(id): Part<TokenId>,
) -> Result<StatusCode, ApiError> {
    let deed = allowed.deed("token.revoke", format!("token/{id}"));
    app.record(allowed.tenant(), &allowed.caller, deed).await?;
    take_back(&app, Some(allowed.tenant()), &id).await
}

/// List tokens of the installation
///
/// Those that reach all tenants. On the administration socket only.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", params(ListParams),
    responses(
        (status = 200, description = "Without their secrets", body = List<TokenView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list_installation(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    Params(params): Params<ListParams>,
) -> Result<Json<List<TokenView>>, ApiError> {
    caller.is_operator()?;
    page(&app, None, &params).await
}

/// Make a token of the installation
///
/// It reaches all tenants. On the administration socket only.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = NewTokenBody,
    responses(
        (status = 201, description = "Shown once", body = TokenMade),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn create_installation(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<TokenMade>), ApiError> {
    caller.is_operator()?;
    let Sent(new) = Sent::read(body).await?;
    make(&app, None, &caller, &new).await
}

/// Revoke a token of the installation
///
/// On the administration socket only.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses(
        (status = 204, description = "No longer works"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revoke_installation(
    State(app): State<Arc<App>>,
    Called(caller): Called,
    Part(id): Part<TokenId>,
) -> Result<StatusCode, ApiError> {
    caller.is_operator()?;
    take_back(&app, None, &id).await
}

async fn page(
    app: &App,
    tenant: Option<TenantName>,
    params: &ListParams,
) -> Result<Json<List<TokenView>>, ApiError> {
    let (limit, after) = (params.limit()?, params.after::<TokenId>()?);
    let found = app.shared.store.registry().tokens(tenant.as_ref(), after.as_ref(), limit).await?;
    Ok(Json(List::page(found, limit, TokenView::from, |t| t.id.to_string())))
}

async fn make(
    app: &App,
    tenant: Option<TenantName>,
    by: &Caller,
    new: &NewTokenBody,
) -> Result<(StatusCode, Json<TokenMade>), ApiError> {
    let parent = by.token();
    let mut scopes: Vec<Action> = new.scopes.iter().map(|s| word("scopes", s)).collect::<Result<_, _>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(ApiError::Invalid("`scopes` has none".to_owned()));
    }
    if parent.is_some_and(|own| scopes.iter().any(|scope| !own.scopes.contains(scope))) {
        return Err(ApiError::Denied("a token cannot make one that may do more"));
    }
    let seconds = new.lifetime_seconds.unwrap_or(LIFETIME_DEFAULT_SECONDS);
    if !(1..=LIFETIME_MAX_SECONDS).contains(&seconds) {
        return Err(ApiError::Invalid(format!("`lifetime_seconds` is not from 1 to {LIFETIME_MAX_SECONDS}")));
    }
    let key = key(tenant, &scopes, new.key.as_deref())?;
    let [a, b, c, d, e, f, g, h, ..] = by.occasion.seed;
    let id = TokenId::new([a, b, c, d, e, f, g, h]).map_err(|_| ApiError::Internal)?;
    if let Some(tenant) = tenant {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let deed = Deed::new(by.actor(), "token.create", format!("token/{id}"));
        let deed = deed.with("scopes", names.join(" "));
        let deed = if let Some(key) = &key { deed.with("key", key_detail(key)) } else { deed };
        app.record(tenant, by, deed).await?;
    }
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    system_rng().fill_bytes(bytes.as_mut());
    let token = format!("{TOKEN_PREFIX}{}", base32(bytes.as_slice()).to_ascii_lowercase());
    let asked = now().plus_micros(i64::from(seconds) * 1_000_000);
    let expires = parent.map_or(asked, |own| asked.min(own.expires));
    let new = NewToken {
        id,
        tenant,
        scopes,
        expires,
        parent: parent.map(|own| own.id.clone()),
        user: by.user().map(|(id, _)| id.clone()),
        key,
    };
    app.shared.store.registry().add_token(&token, &new, now()).await?;
    let made = TokenMade { id: new.id.to_string(), token, expires: expires.to_string() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// What the token is to sign with.
fn key(
    tenant: Option<TenantName>,
    scopes: &[Action],
    sent: Option<&str>,
) -> Result<Option<VerifyingKey>, ApiError> {
    match (sent, tenant) {
        (None, None) => Ok(None),
        (None, Some(_)) if scopes.iter().all(|scope| scope.only_reads()) => Ok(None),
        (None, Some(_)) => {
            Err(ApiError::Invalid("`key` is missing: the token may change something".to_owned()))
        }
        (Some(_), None) => Err(ApiError::Invalid("a token that reaches all tenants only reads".to_owned())),
        (Some(text), Some(_)) => public_key("key", text).map(Some),
    }
}

async fn take_back(app: &App, tenant: Option<TenantName>, id: &TokenId) -> Result<StatusCode, ApiError> {
    let ended = app.shared.store.registry().revoke_token(tenant.as_ref(), id, now()).await?;
    app.shared.core.cancel_commands_of(ended.iter().map(|id| format!("token/{id}")).collect()).await;
    Ok(StatusCode::NO_CONTENT)
}
