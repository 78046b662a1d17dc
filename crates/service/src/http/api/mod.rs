//! `/api/v1`: one module per noun.

pub(super) mod chains;
pub(super) mod claims;
pub(super) mod commands;
pub(super) mod devices;
pub(super) mod findings;
pub(super) mod follow;
pub(super) mod gateways;
pub(super) mod grants;
pub(super) mod groups;
pub(super) mod keys;
pub(super) mod links;
pub(super) mod log;
pub(super) mod makers;
pub(super) mod near;
pub(super) mod offers;
pub(super) mod oidc;
pub(super) mod passkeys;
pub(super) mod payments;
pub(super) mod policy;
pub(super) mod purchases;
pub(super) mod readings;
pub(super) mod segments;
pub(super) mod sessions;
pub(super) mod sign_in;
pub(super) mod statements;
pub(super) mod tenants;
pub(super) mod tokens;
pub(super) mod users;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thingward_crypto::VerifyingKey;
use thingward_model::Timestamp;
use thingward_store::registry::LIST_MAX;
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::error::ApiError;
use super::openapi;

/// One endpoint. The table below is what the router is made from and what the tests compare with the OpenAPI
/// document, so neither can have an endpoint that the other lacks.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows its method; tests compare it"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    handler: MethodRouter<Arc<App>>,
}

/// Every endpoint under `/api/v1`.
pub(super) fn routes() -> Vec<Route> {
    fn route(method: Method, path: &'static str, handler: MethodRouter<Arc<App>>) -> Route {
        Route { method, path, handler }
    }
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const DELETE: Method = Method::DELETE;
    vec![
        route(GET, "/api/v1/openapi.json", get(openapi::show)),
        route(GET, "/api/v1/sign-in", get(sign_in::ways)),
        route(POST, "/api/v1/sign-in/passkey/begin", post(sign_in::begin)),
        route(POST, "/api/v1/sign-in/passkey", post(sign_in::passkey)),
        route(GET, "/api/v1/sign-in/oidc/{provider}", get(oidc::begin)),
        route(GET, "/api/v1/sign-in/oidc/{provider}/callback", get(oidc::callback)),
        route(POST, "/api/v1/links/open", post(links::open)),
        route(POST, "/api/v1/links/redeem", post(links::redeem)),
        route(GET, "/api/v1/near/{tenant}/{device}", get(near::show)),
        route(GET, "/api/v1/near/{tenant}/{device}/revocation", get(near::revocation)),
        route(POST, "/api/v1/near/{tenant}/{device}/purchases", post(near::buy)),
        route(GET, "/api/v1/near/{tenant}/{device}/purchases/{purchase}", get(near::bought)),
        route(POST, "/api/v1/payments/webhook", post(payments::webhook)),
        route(GET, "/api/v1/session", get(sessions::own)),
        route(DELETE, "/api/v1/session", delete(sessions::sign_out)),
        route(GET, "/api/v1/tenants", get(tenants::list)),
        route(POST, "/api/v1/tenants", post(tenants::create)),
        route(GET, "/api/v1/tenants/{tenant}/key", get(keys::show)),
        route(POST, "/api/v1/tenants/{tenant}/key/withdraw", post(keys::withdraw)),
        route(POST, "/api/v1/tenants/{tenant}/key/restore", post(keys::restore)),
        route(POST, "/api/v1/tenants/{tenant}/key/rotate", post(keys::rotate)),
        route(PUT, "/api/v1/tenants/{tenant}/key/recipient", put(keys::set_recipient)),
        route(POST, "/api/v1/tenants/{tenant}/claims", post(claims::create)),
        route(GET, "/api/v1/tenants/{tenant}/makers", get(makers::list)),
        route(PUT, "/api/v1/tenants/{tenant}/makers/{maker}", put(makers::trust)),
        route(DELETE, "/api/v1/tenants/{tenant}/makers/{maker}", delete(makers::remove)),
        route(PUT, "/api/v1/tenants/{tenant}/makers/{maker}/serials/{serial}", put(makers::expect)),
        route(GET, "/api/v1/tenants/{tenant}/devices", get(devices::list)),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}", get(devices::show)),
        route(POST, "/api/v1/tenants/{tenant}/devices/{device}/release", post(devices::release)),
        route(POST, "/api/v1/tenants/{tenant}/devices/{device}/revoke", post(devices::revoke)),
        route(POST, "/api/v1/tenants/{tenant}/devices/{device}/attestation/ask", post(devices::ask_evidence)),
        route(
            POST,
            "/api/v1/tenants/{tenant}/devices/{device}/attestation/accept",
            post(devices::accept_evidence),
        ),
        route(GET, "/api/v1/tenants/{tenant}/gateways/{gateway}", get(gateways::show)),
        route(GET, "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", get(gateways::admission)),
        route(POST, "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", post(gateways::admit)),
        route(DELETE, "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", delete(gateways::close)),
        route(POST, "/api/v1/tenants/{tenant}/gateways/{gateway}/roll", post(gateways::roll)),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}/description", get(commands::describe)),
        route(POST, "/api/v1/tenants/{tenant}/devices/{device}/commands", post(commands::send)),
        route(POST, "/api/v1/tenants/{tenant}/devices/{device}/commands/prepare", post(commands::prepare)),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}/commands", get(commands::list)),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", get(commands::show)),
        route(
            DELETE,
            "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}",
            delete(commands::cancel),
        ),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}/revocation", get(statements::revocation)),
        route(GET, "/api/v1/tenants/{tenant}/beacon", get(statements::beacon)),
        route(GET, "/api/v1/tenants/{tenant}/grants", get(grants::list)),
        route(POST, "/api/v1/tenants/{tenant}/grants", post(grants::issue::issue)),
        route(GET, "/api/v1/tenants/{tenant}/grants/{grant}", get(grants::show)),
        route(DELETE, "/api/v1/tenants/{tenant}/grants/{grant}", delete(grants::revoke)),
        route(GET, "/api/v1/tenants/{tenant}/devices/{device}/offer", get(offers::show)),
        route(PUT, "/api/v1/tenants/{tenant}/devices/{device}/offer", put(offers::set)),
        route(DELETE, "/api/v1/tenants/{tenant}/devices/{device}/offer", delete(offers::remove)),
        route(GET, "/api/v1/tenants/{tenant}/purchases", get(purchases::list)),
        route(GET, "/api/v1/tenants/{tenant}/purchases/{purchase}", get(purchases::show)),
        route(POST, "/api/v1/tenants/{tenant}/purchases/{purchase}/refund", post(purchases::refund)),
        route(GET, "/api/v1/tenants/{tenant}/findings", get(findings::list)),
        route(GET, "/api/v1/tenants/{tenant}/tokens", get(tokens::list)),
        route(POST, "/api/v1/tenants/{tenant}/tokens", post(tokens::create)),
        route(DELETE, "/api/v1/tenants/{tenant}/tokens/{token}", delete(tokens::revoke)),
        route(GET, "/api/v1/tenants/{tenant}/users", get(users::list)),
        route(PUT, "/api/v1/tenants/{tenant}/users/{user}", put(users::put)),
        route(DELETE, "/api/v1/tenants/{tenant}/users/{user}", delete(users::remove)),
        route(POST, "/api/v1/tenants/{tenant}/users/{user}/link", post(links::make)),
        route(GET, "/api/v1/tenants/{tenant}/users/{user}/passkeys", get(passkeys::list)),
        route(POST, "/api/v1/tenants/{tenant}/users/{user}/passkeys", post(passkeys::add)),
        route(POST, "/api/v1/tenants/{tenant}/users/{user}/passkeys/begin", post(passkeys::begin)),
        route(DELETE, "/api/v1/tenants/{tenant}/users/{user}/passkeys/{passkey}", delete(passkeys::remove)),
        route(POST, "/api/v1/tenants/{tenant}/set-up", post(links::set_up)),
        route(GET, "/api/v1/tenants/{tenant}/sessions", get(sessions::list)),
        route(DELETE, "/api/v1/tenants/{tenant}/sessions/{session}", delete(sessions::end)),
        route(GET, "/api/v1/tenants/{tenant}/groups", get(groups::list)),
        route(
            GET,
            "/api/v1/tenants/{tenant}/groups/{group}/revocation",
            get(statements::revocation_of_class),
        ),
        route(PUT, "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", put(groups::add)),
        route(DELETE, "/api/v1/tenants/{tenant}/groups/{group}/{kind}/{member}", delete(groups::remove)),
        route(GET, "/api/v1/tenants/{tenant}/policy", get(policy::show)),
        route(PUT, "/api/v1/tenants/{tenant}/policy", put(policy::apply)),
        route(GET, "/api/v1/tenants/{tenant}/policy/versions", get(policy::versions)),
        route(GET, "/api/v1/tenants/{tenant}/policy/versions/{version}", get(policy::version)),
        route(POST, "/api/v1/tenants/{tenant}/policy/check", post(policy::check)),
        route(POST, "/api/v1/tenants/{tenant}/policy/try", post(policy::try_on_the_past)),
        route(GET, "/api/v1/tenants/{tenant}/policy/explain", get(policy::explain)),
        route(GET, "/api/v1/tokens", get(tokens::list_installation)),
        route(POST, "/api/v1/tokens", post(tokens::create_installation)),
        route(DELETE, "/api/v1/tokens/{token}", delete(tokens::revoke_installation)),
        route(GET, "/api/v1/tenants/{tenant}/readings", get(readings::query)),
        route(GET, "/api/v1/tenants/{tenant}/readings/latest", get(readings::latest)),
        route(GET, "/api/v1/tenants/{tenant}/readings/windows", get(readings::windows)),
        route(GET, "/api/v1/tenants/{tenant}/readings/follow", get(follow::follow)),
        route(GET, "/api/v1/tenants/{tenant}/chains", get(chains::list)),
        route(GET, "/api/v1/tenants/{tenant}/log", get(log::show)),
        route(GET, "/api/v1/tenants/{tenant}/log/checkpoint", get(log::checkpoint)),
        route(GET, "/api/v1/tenants/{tenant}/log/tile/{*piece}", get(log::piece)),
        route(GET, "/api/v1/tenants/{tenant}/log/entries", get(log::entries)),
        route(GET, "/api/v1/tenants/{tenant}/log/entries/{index}/proof", get(log::proof)),
        route(GET, "/api/v1/tenants/{tenant}/segments", get(segments::list)),
        route(GET, "/api/v1/tenants/{tenant}/segments/{segment}", get(segments::fetch)),
    ]
}

/// The router of [`routes`].
pub(super) fn router() -> Router<Arc<App>> {
    routes().into_iter().fold(Router::new(), |router, r| router.route(r.path, r.handler))
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListParams {
    /// Items after this one: `next` of the page before.
    after: Option<String>,
    /// Most items in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl ListParams {
    /// Items when nothing is said.
    const LIMIT_DEFAULT: u32 = 100;

    /// The bound, checked.
    fn limit(&self) -> Result<u32, ApiError> {
        match self.limit {
            None => Ok(Self::LIMIT_DEFAULT),
            Some(n) if (1..=LIST_MAX).contains(&n) => Ok(n),
            Some(_) => Err(ApiError::Invalid(format!("`limit` is not from 1 to {LIST_MAX}"))),
        }
    }

    /// Where the page starts, parsed.
    fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, ApiError> {
        let parse = |text: &String| {
            text.parse().map_err(|_| ApiError::Invalid("`after` is not from an earlier page".to_owned()))
        };
        self.after.as_ref().map(parse).transpose()
    }
}

/// Some items of a list, and where the next ones start.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct List<T> {
    /// The items.
    pub(in crate::http) items: Vec<T>,
    /// What to give as `after` for the next page; null when these were the last.
    pub(in crate::http) next: Option<String>,
}

impl<T> List<T> {
    /// A page: the next one starts after the last item when the page is full.
    fn page<S>(found: Vec<S>, limit: u32, view: impl Fn(S) -> T, id: impl Fn(&S) -> String) -> Self {
        let is_full = u32::try_from(found.len()).is_ok_and(|n| n >= limit);
        let next = found.last().filter(|_| is_full).map(id);
        Self { items: found.into_iter().map(view).collect(), next }
    }

    /// All there is.
    fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// A point in time as the API has it: RFC 3339.
fn time(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| ApiError::Invalid(format!("`{name}` is no RFC 3339 time, as 2026-01-31T12:00:00Z")))
}

/// A public key as the API has it: its DER SubjectPublicKeyInfo, base64url.
fn public_key(name: &str, text: &str) -> Result<VerifyingKey, ApiError> {
    let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|spki| VerifyingKey::from_spki(&spki).ok());
    let wrong = "is no SubjectPublicKeyInfo of an Ed25519 or P-256 key, base64url";
    key.ok_or_else(|| ApiError::parameter(name, &wrong))
}

/// A word or name of the API in its own type.
fn word<T>(name: &str, text: &str) -> Result<T, ApiError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| ApiError::parameter(name, &e))
}
