//! The OpenAPI document of the API. `docs/openapi.json` is its golden copy, which a test holds.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::{Modify, OpenApi};

use super::api::{
    chains, claims, commands, devices, findings, follow, gateways, grants, groups, keys, links, log, makers,
    near, offers, oidc, passkeys, payments, policy, purchases, readings, segments, sessions, sign_in,
    statements, tenants, tokens, users,
};
use super::app::App;
use super::{cookie, ops};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Thingward",
        description = "Readings of things, who they are, and the keys that make them readable.",
        license(name = "Apache-2.0 OR MIT"),
    ),
    paths(
        show, ops::health, ops::ready, ops::metrics,
        sign_in::ways, sign_in::begin, sign_in::passkey, oidc::begin, oidc::callback, links::open, links::redeem, sessions::own, sessions::sign_out,
        tenants::list, tenants::create, links::set_up,
        keys::show, keys::withdraw, keys::restore, keys::rotate, keys::set_recipient,
        claims::create, makers::list, makers::trust, makers::remove, makers::expect,
        devices::list, devices::show, devices::release, devices::revoke, devices::ask_evidence,
        devices::accept_evidence, findings::list,
        gateways::show, gateways::admission, gateways::admit, gateways::close, gateways::roll,
        commands::describe, commands::prepare, commands::send, commands::list, commands::show, commands::cancel,
        grants::list, grants::issue::issue, grants::show, grants::revoke, statements::revocation,
        statements::revocation_of_class, statements::beacon,
        offers::show, offers::set, offers::remove, purchases::list, purchases::show, purchases::refund,
        near::show, near::revocation, near::buy, near::bought, payments::webhook,
        users::list, users::put, users::remove, links::make, sessions::list, sessions::end,
        passkeys::list, passkeys::begin, passkeys::add, passkeys::remove, groups::list, groups::add, groups::remove,
        policy::show, policy::apply, policy::versions, policy::version, policy::check, policy::try_on_the_past,
        policy::explain,
        tokens::list, tokens::create, tokens::revoke,
        tokens::list_installation, tokens::create_installation, tokens::revoke_installation,
        readings::query, readings::latest, readings::windows, follow::follow, chains::list,
        log::show, log::checkpoint, log::piece, log::entries, log::proof,
        segments::list, segments::fetch,
    ),
    modifiers(&Credentials),
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut api.components {
            components.add_security_scheme("token", SecurityScheme::Http(scheme));
            let cookie = ApiKey::Cookie(ApiKeyValue::new(cookie::SESSION));
            components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        }
        let either = ["token", "session"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
        api.security = Some(either.into());
        for (path, item) in &mut api.paths.paths {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten();
            operations.for_each(|operation| name(path, operation));
        }
    }
}

/// Handlers of different nouns have one name; operations may not: OpenAPI 3.1 §4.8.10.
fn name(path: &str, operation: &mut Operation) {
    let path = path.trim_start_matches("/api/v1").trim_start_matches("/tenants/{tenant}/");
    let nouns = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
    let mut words: Vec<String> = nouns.map(|noun| noun.replace(['-', '.'], "_")).collect();
    let verb = operation.operation_id.take().filter(|verb| words.last() != Some(verb));
    words.extend(verb);
    operation.operation_id = Some(words.join("_"));
}

/// The document as JSON text, with a line end.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        // A document of texts and maps always encodes.
        let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

/// This document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
pub(super) async fn show(State(_): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document()).into_response()
}
