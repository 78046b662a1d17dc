//! The OpenAPI document of the API. `docs/openapi.json` is its golden copy, which a test holds.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::api::{
    chains, claims, commands, devices, findings, follow, groups, keys, log, makers, policy, readings,
    segments, tenants, tokens, users,
};
use super::app::App;
use super::ops;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Thingward",
        description = "Readings of things, who they are, and the keys that make them readable.",
        license(name = "Apache-2.0 OR MIT"),
    ),
    paths(
        show, ops::health, ops::ready, ops::metrics,
        tenants::list, tenants::create,
        keys::show, keys::withdraw, keys::restore, keys::rotate, keys::set_recipient,
        claims::create, makers::list, makers::trust, makers::remove, makers::expect,
        devices::list, devices::show, devices::release, devices::revoke, findings::list,
        commands::describe, commands::send, commands::list, commands::show, commands::cancel,
        users::list, users::put, users::remove, groups::list, groups::add, groups::remove,
        policy::show, policy::apply, policy::versions, policy::version, policy::check, policy::try_on_the_past,
        policy::explain,
        tokens::list, tokens::create, tokens::revoke,
        tokens::list_installation, tokens::create_installation, tokens::revoke_installation,
        readings::query, readings::latest, readings::windows, follow::follow, chains::list,
        log::show, log::checkpoint, log::piece, log::entries, log::proof,
        segments::list, segments::fetch,
    ),
    modifiers(&Bearer),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut api.components {
            components.add_security_scheme("token", SecurityScheme::Http(scheme));
        }
        api.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    }
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
