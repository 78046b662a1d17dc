//! Signing in with an account of an OpenID Connect provider: to it, and back.
//!
//! What the browser brings back is in a sealed cookie, so nobody is remembered on the way. The provider says what somebody
//! is here, anew at each sign-in.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thingward_crypto::{VerifyingKey, system_rng};
use thingward_model::clock::now;
use thingward_model::{TenantName, UserName};
use thingward_oidc::{Identity, OidcError, Provider, ProviderName};
use thingward_store::StoreError;
use thingward_store::registry::User;
use tracing::{info, warn};
use url::Url;

use super::super::app::App;
use super::super::caller::{Named, Params, Part, Peer, not_from_elsewhere};
use super::super::cookie::{self, SameSite};
use super::super::error::{ApiError, ErrorBody};
use super::links::new_user_id;
use super::public_key;
use super::sign_in::{Failed, SessionKey, SignedIn, begin_session};
use crate::audit::Deed;
use crate::sign_in::{CHALLENGE_SECONDS, Purpose};

/// Names that are tried for somebody whose name is taken.
const NAMES_MAX: u32 = 100;
/// What the console's page says when the provider has no role here for somebody.
const NO_ROLE: &str = "no-role";

impl Named for ProviderName {
    const NAME: &'static str = "provider";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl App {
    fn provider(&self, name: &ProviderName) -> Result<&Provider, ApiError> {
        let found = self.providers.iter().find(|provider| provider.settings().id == *name);
        found.ok_or(ApiError::NotFound("provider"))
    }

    fn redirect_uri(&self, name: &ProviderName) -> Result<Url, ApiError> {
        let path = format!("/api/v1/sign-in/oidc/{name}/callback");
        self.shared.settings.console.url(&path).parse().map_err(|_| ApiError::Internal)
    }
}

/// Sign in at a provider
///
/// For the browser: leads to the provider.
#[utoipa::path(
    get, path = "/api/v1/sign-in/oidc/{provider}", tag = "sign-in", security(()),
    params(("provider" = String, Path), SessionKey),
    responses(
        (status = 303, description = "To the provider, or to the sign-in page with `error` when it cannot be asked"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Part(name): Part<ProviderName>,
    headers: HeaderMap,
    Params(asked): Params<SessionKey>,
) -> Result<Response, ApiError> {
    // A page elsewhere would have somebody sign in under its own key.
    not_from_elsewhere(&headers)?;
    app.attempt(&peer)?;
    let (provider, redirect) = (app.provider(&name)?, app.redirect_uri(&name)?);
    let spki = public_key("key", &asked.key)?.to_spki();
    let begun = match provider.begin(&redirect, now(), &mut system_rng()).await {
        Ok(begun) => begun,
        Err(error) => {
            warn!(provider = %name, %error, "nobody can sign in at the provider");
            return failed(&app, error.word());
        }
    };
    let length = u8::try_from(spki.len()).map_err(|_| ApiError::Internal)?;
    let note = [&[length], spki.as_slice(), begun.pending.as_bytes()].concat();
    let sealed = app.shared.challenges.make(Purpose::Provider(name.as_str()), &note, now());
    let sealed = URL_SAFE_NO_PAD.encode(sealed.map_err(|_| ApiError::Internal)?);
    // The way back is a link on the provider's page.
    let cookie = cookie::set(cookie::PENDING, &sealed, SameSite::Lax, i64::from(CHALLENGE_SECONDS));
    see_other(begun.url.as_str(), [cookie.ok_or(ApiError::Internal)?])
}

/// Come back from a provider
///
/// For the browser: leads to the console, signed in, or to its sign-in page with `error`.
#[utoipa::path(
    get, path = "/api/v1/sign-in/oidc/{provider}/callback", tag = "sign-in", security(()),
    params(("provider" = String, Path)),
    responses(
        (status = 303, description = "To the console"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn callback(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Part(name): Part<ProviderName>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.attempt(&peer)?;
    let (provider, redirect) = (app.provider(&name)?, app.redirect_uri(&name)?);
    let (key, pending) = pending(&app, &name, &headers).unzip();
    let pending = pending.unwrap_or_default();
    let query = query.unwrap_or_default();
    let identity = match provider.finish(&redirect, &pending, &query, now()).await {
        Ok(identity) => identity,
        // Nobody's attempt, and the provider's own affair.
        Err(error @ (OidcError::Unreachable(_) | OidcError::Unusable(_))) => {
            warn!(provider = %name, %error, "nobody can sign in at the provider");
            return failed(&app, error.word());
        }
        Err(error) => {
            let _ = app.failed_attempt(&peer, Failed::Wrong(format!("provider {name}: {error}")));
            return failed(&app, error.word());
        }
    };
    let provider = app.provider(&name)?;
    let user = known(&app, provider, &identity).await?;
    let Some(user) = user.filter(|user| !user.roles.is_empty()) else {
        let _ = app.failed_attempt(&peer, Failed::Wrong(format!("provider {name}: no role here")));
        return failed(&app, NO_ROLE);
    };
    let (tenant, key) = (provider.settings().tenant, key.ok_or(ApiError::Internal)?);
    let begun = begin_session(&app, tenant, &user, SignedIn::AtProvider, &key).await?;
    see_other(&app.shared.settings.console.url("/"), [begun.cookie, forget()?])
}

/// What began in this browser, and the key that the session is to have.
fn pending(app: &App, name: &ProviderName, headers: &HeaderMap) -> Option<(VerifyingKey, Vec<u8>)> {
    let sealed = URL_SAFE_NO_PAD.decode(cookie::read(headers, cookie::PENDING)?.as_bytes()).ok()?;
    let note = app.shared.challenges.note(Purpose::Provider(name.as_str()), &sealed, now())?;
    let (length, rest) = note.split_first()?;
    let (spki, pending) = rest.split_at_checked(usize::from(*length))?;
    let key = VerifyingKey::from_spki(spki).ok()?;
    app.shared.challenges.spend(&sealed, now()).then(|| (key, pending.to_vec()))
}

/// Who somebody is here: as at their first sign-in, with the roles that the provider gives them today, which may be none;
/// `None` for who never had one.
async fn known(app: &App, provider: &Provider, identity: &Identity) -> Result<Option<User>, ApiError> {
    let (registry, settings) = (app.shared.store.registry(), provider.settings());
    let tenant = settings.tenant;
    let _turn = app.shared.membership.lock().await;
    let words = identity.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
    let deed = |action, user: &User| {
        let deed = Deed::new("service".to_owned(), action, format!("user/{}", user.id));
        deed.with("roles", words.clone()).with("provider", settings.id.as_str())
    };
    let user = match registry.identity(&tenant, settings.issuer.as_str(), &identity.subject).await {
        Ok(id) => {
            let user = registry.user_by_id(&tenant, &id).await?;
            if user.roles == identity.roles {
                return Ok(Some(user));
            }
            app.shared.record(tenant, deed("user.roles", &user)).await?;
            registry.set_roles(&tenant, &user.name, &identity.roles).await?;
            User { roles: identity.roles.clone(), ..user }
        }
        Err(StoreError::NotFound { .. }) if identity.roles.is_empty() => return Ok(None),
        Err(StoreError::NotFound { .. }) => {
            let name = free_name(app, &tenant, identity).await?;
            let user = User { id: new_user_id(), name, roles: identity.roles.clone(), created: now() };
            app.shared.record(tenant, deed("user.add", &user)).await?;
            registry.add_user_of(&tenant, &user, settings.issuer.as_str(), &identity.subject).await?;
            info!(provider = %settings.id, user = %user.id, "somebody signed in for the first time");
            user
        }
        Err(other) => return Err(other.into()),
    };
    app.shared.directory.access.reload_people(registry, &tenant).await?;
    Ok(Some(user))
}

/// What to call somebody here: what the provider calls them, as far as names go, with a number behind it when somebody
/// else is called so.
async fn free_name(app: &App, tenant: &TenantName, identity: &Identity) -> Result<UserName, ApiError> {
    let said = identity.name.as_deref().unwrap_or_default();
    let base = name_of(said);
    for n in 1..=NAMES_MAX {
        let text = if n == 1 { base.clone() } else { format!("{base}-{n}") };
        let name: UserName = text.parse().map_err(|_| ApiError::Internal)?;
        match app.shared.store.registry().user(tenant, &name).await {
            Err(StoreError::NotFound { .. }) => return Ok(name),
            Ok(_) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(ApiError::Conflict("too many users are called so".to_owned()))
}

/// The part in front of an `@`, in the characters that names have.
fn name_of(said: &str) -> String {
    let local = said.split('@').next().unwrap_or_default();
    let text: String = local
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c.to_ascii_lowercase() } else { '-' })
        .take(50)
        .collect();
    let text = text.trim_matches(['-', '_', '.']);
    if text.parse::<UserName>().is_ok() { text.to_owned() } else { "user".to_owned() }
}

fn forget() -> Result<HeaderValue, ApiError> {
    cookie::set(cookie::PENDING, "", SameSite::Lax, 0).ok_or(ApiError::Internal)
}

fn failed(app: &App, word: &str) -> Result<Response, ApiError> {
    see_other(&app.shared.settings.console.url(&format!("/sign-in?error={word}")), [forget()?])
}

fn see_other<const N: usize>(to: &str, cookies: [HeaderValue; N]) -> Result<Response, ApiError> {
    let to = HeaderValue::from_str(to).map_err(|_| ApiError::Internal)?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn somebody_is_called_what_the_provider_calls_them_in_characters_that_names_have() {
        for (said, name) in [
            ("anna", "anna"),
            ("Anna.Berg@example.com", "anna.berg"),
            ("Zoë Müller", "zo--m-ller"),
            ("", "user"),
            ("@x", "user"),
            ("../..", "user"),
        ] {
            assert_eq!(name_of(said), name, "{said}");
        }
        assert_eq!(name_of(&"x".repeat(200)).len(), 50);
    }
}
