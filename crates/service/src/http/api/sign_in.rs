//! How people begin a session.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use thingward_audit::actors::key_detail;
use thingward_crypto::{Digest, VerifyingKey, sha256};
use thingward_model::clock::now;
use thingward_model::{TenantName, Timestamp};
use thingward_store::StoreError;
use thingward_store::registry::{Session, SessionId, SignedInBy, User};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Peer, from_our_page};
use super::super::cookie::{self, SameSite};
use super::super::error::{ApiError, ErrorBody};
use super::public_key;
use super::sessions::SessionInfo;
use crate::audit::Deed;
use crate::sign_in::{Assertion, AssertionResponse, Purpose, RequestOptions, session_secret, user_handle};

/// How long a browser keeps the cookie, in seconds; the session may end sooner.
const COOKIE_SECONDS: i64 = 7 * 86_400;

/// How people can sign in here, other than with a passkey.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Ways {
    /// OpenID Connect providers.
    providers: Vec<ProviderView>,
}

/// An OpenID Connect provider.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ProviderView {
    /// For the path.
    id: String,
    /// For people.
    name: String,
}

/// What an authenticator is to be asked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Ceremony<T> {
    /// As the browser takes them.
    pub(super) options: T,
}

/// What a session is to sign changes with. A page makes a key of its own for each.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct SessionKey {
    /// The DER SubjectPublicKeyInfo of an Ed25519 or P-256 key, base64url.
    pub(super) key: String,
}

const AT_PROVIDER: &str = "this account signs in at its provider; its passkey is for approving commands";

/// A passkey's answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Answer {
    /// `credential.toJSON()`.
    credential: AssertionResponse,
    /// The session's key, as it was when this began.
    key: String,
}

/// How one can sign in
#[utoipa::path(
    get, path = "/api/v1/sign-in", tag = "sign-in", security(()),
    responses((status = 200, description = "Besides passkeys", body = Ways)),
)]
pub(in crate::http) async fn ways(State(app): State<Arc<App>>) -> Json<Ways> {
    let view = |provider: &thingward_oidc::Provider| {
        let settings = provider.settings();
        ProviderView { id: settings.id.to_string(), name: settings.name.clone() }
    };
    Json(Ways { providers: app.providers.iter().map(view).collect() })
}

/// Begin to sign in with a passkey
///
/// The challenge ends with the SHA-256 of the session's key, so that the passkey signs that too.
#[utoipa::path(
    post, path = "/api/v1/sign-in/passkey/begin", tag = "sign-in", security(()), request_body = SessionKey,
    responses(
        (status = 200, description = "For `navigator.credentials.get`", body = Ceremony<RequestOptions>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    Sent(asked): Sent<SessionKey>,
) -> Result<Json<Ceremony<RequestOptions>>, ApiError> {
    let key = public_key("key", &asked.key)?;
    let challenge =
        app.shared.challenges.make(Purpose::SignIn, b"", now()).map_err(|_| ApiError::Internal)?;
    let challenge = [challenge.as_slice(), &key_hash(&key)].concat();
    let options = RequestOptions::new(&app.shared.settings.console, &[], &challenge);
    Ok(Json(Ceremony { options }))
}

/// Sign in with a passkey
#[utoipa::path(
    post, path = "/api/v1/sign-in/passkey", tag = "sign-in", security(()), request_body = Answer,
    responses(
        (status = 200, description = "Signed in; the session is in a cookie", body = SessionInfo),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn passkey(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(answer): Sent<Answer>,
) -> Result<Response, ApiError> {
    from_our_page(&headers, &app)?;
    app.attempt(&peer)?;
    let key = public_key("key", &answer.key)?;
    let (tenant, user, assertion) = match check(&app, &answer.credential, &key).await {
        Ok(known) => known,
        Err(why) => return Err(app.failed_attempt(&peer, why)),
    };
    if app.has_provider_of(&tenant, &user).await? {
        return Err(ApiError::Denied(AT_PROVIDER));
    }
    let registry = app.shared.store.registry();
    let _turn = app.shared.membership.lock().await;
    // It may have been taken away since: then its sessions have ended, and this one would not.
    let (_, passkey) = registry.passkey(&assertion.credential_id).await?;
    if passkey.user.0 != user.id {
        return Err(ApiError::NotSignedIn);
    }
    registry.passkey_used(&assertion.credential_id, now()).await?;
    let signed_in = SignedIn::WithPasskey(&assertion);
    let begun = begin_session(&app, tenant, &user, signed_in, &key).await?;
    Ok(begun.answer(&app, &user))
}

/// Why somebody is not signed in: for the log, not for them.
#[derive(Debug)]
pub(in crate::http) enum Failed {
    /// What was sent does not hold.
    Wrong(String),
    /// The store could not be asked.
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::NotFound { what } => Self::Wrong(format!("{what} not found")),
            other => Self::Store(other),
        }
    }
}

impl App {
    /// Whether somebody signs in at a provider, which says at each sign-in what they may.
    async fn has_provider_of(&self, tenant: &TenantName, user: &User) -> Result<bool, ApiError> {
        let issuers = self.shared.store.registry().issuers_of(tenant, &user.id).await?;
        let knows_them = |provider: &thingward_oidc::Provider| {
            let settings = provider.settings();
            settings.tenant == *tenant && issuers.iter().any(|issuer| issuer == settings.issuer.as_str())
        };
        Ok(self.providers.iter().any(knows_them))
    }
}

/// Whose passkey signed what this process asked for: WebAuthn Level 3 §7.2.
async fn check(
    app: &App,
    sent: &AssertionResponse,
    key: &VerifyingKey,
) -> Result<(TenantName, User, Assertion), Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::Wrong(e.to_string());
    let assertion = Assertion::try_from(sent).map_err(|e| wrong(&e))?;
    let challenge = assertion.claimed_challenge().map_err(|e| wrong(&e))?;
    let ours = challenge.strip_suffix(key_hash(key).as_slice());
    let ours = ours.ok_or_else(|| wrong(&"it is for a session with another key"))?;
    app.shared
        .challenges
        .note(Purpose::SignIn, ours, now())
        .ok_or_else(|| wrong(&"not asked for, or too late"))?;
    let registry = app.shared.store.registry();
    let (tenant, passkey) = registry.passkey(&assertion.credential_id).await?;
    if assertion.user_handle.as_deref() != Some(user_handle(&passkey.user.0).as_slice()) {
        return Err(wrong(&"the passkey is not that of the user whom it names"));
    }
    let site = &app.shared.settings.console;
    assertion.verify(site, &passkey.key, &challenge).map_err(|e| wrong(&e))?;
    if !app.shared.challenges.spend(ours, now()) {
        return Err(wrong(&"it was used before"));
    }
    Ok((tenant, registry.user_by_id(&tenant, &passkey.user.0).await?, assertion))
}

/// A session that began, and the cookie with it.
pub(in crate::http) struct Begun {
    session: Session,
    /// `Set-Cookie`.
    pub(super) cookie: HeaderValue,
}

impl Begun {
    /// For pages.
    pub(super) fn answer(self, app: &App, user: &User) -> Response {
        let info = SessionInfo::of(app, &self.session, user);
        ([(header::SET_COOKIE, self.cookie)], Json(info)).into_response()
    }
}

/// On whose word somebody is signed in.
pub(in crate::http) enum SignedIn<'a> {
    /// Their passkey's.
    WithPasskey(&'a Assertion),
    /// A provider's, which we took.
    AtProvider,
}

impl SignedIn<'_> {
    const fn by(&self) -> SignedInBy<'_> {
        match self {
            Self::WithPasskey(assertion) => SignedInBy::Passkey(assertion.credential_id.as_slice()),
            Self::AtProvider => SignedInBy::Provider,
        }
    }

    fn deed(&self, user: &User, target: String) -> Deed {
        match self {
            Self::WithPasskey(assertion) => Deed {
                evidence: Some(assertion.evidence()),
                ..Deed::new(format!("user/{}", user.id), "session.begin", target)
            },
            Self::AtProvider => {
                Deed::new("service".to_owned(), "session.begin", target).with("user", user.id.to_string())
            }
        }
    }
}

/// Begins a session whose changes are signed with `key`, in the log first.
pub(in crate::http) async fn begin_session(
    app: &App,
    tenant: TenantName,
    user: &User,
    signed_in: SignedIn<'_>,
    key: &VerifyingKey,
) -> Result<Begun, ApiError> {
    let (secret, by) = (session_secret(), signed_in.by());
    let deed = signed_in.deed(user, format!("session/{}", SessionId::of(&secret)));
    let deed = deed.with("way", by.way().as_str()).with("key", key_detail(key));
    app.shared.record(tenant, deed).await?;
    let registry = app.shared.store.registry();
    registry.add_session(&secret, &tenant, &user.id, by, key, now()).await?;
    app.shared.core.metrics().sign_ins.inc();
    let session = registry.session(&secret, now()).await?;
    let cookie = cookie::set(cookie::SESSION, &secret, SameSite::Strict, COOKIE_SECONDS);
    Ok(Begun { session, cookie: cookie.ok_or(ApiError::Internal)? })
}

impl App {
    /// Whether somebody from there may try once more.
    pub(in crate::http) fn attempt(&self, peer: &Peer) -> Result<(), ApiError> {
        let allows = self.attempts().allows(peer.address(), now());
        if allows { Ok(()) } else { Err(ApiError::TooManyAttempts) }
    }

    /// Somebody from there failed; what they are told does not say why.
    pub(in crate::http) fn failed_attempt(&self, peer: &Peer, why: Failed) -> ApiError {
        let why = match why {
            Failed::Wrong(why) => why,
            Failed::Store(e) => return e.into(),
        };
        self.attempts().wrong(peer.address(), now());
        self.shared.core.metrics().sign_ins_refused.inc();
        info!(address = %peer.address(), why, "a sign-in was refused");
        ApiError::NotSignedIn
    }
}

/// What the challenge of a sign-in ends with.
fn key_hash(key: &VerifyingKey) -> Digest {
    sha256(&[&key.to_spki()])
}

/// When a session ends at the latest.
pub(super) fn ends(session: &Session) -> Timestamp {
    session.expires.min(session.used.plus_micros(thingward_store::registry::SESSION_IDLE_MICROS))
}
