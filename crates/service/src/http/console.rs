//! The console: its pages, and what browsers are told about everything that comes from here.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::app::App;
use super::error::ApiError;

/// What `console/` was built to.
#[derive(RustEmbed)]
#[folder = "../../console/dist"]
struct Pages;

/// The console's one document; it shows whatever page its address names.
const INDEX: &str = "index.html";
/// The document for whoever stands before a device, and its address.
const NEAR: &str = "near.html";
const NEAR_PATH: &str = "near";
/// Files in there are named by their content.
const ASSETS: &str = "assets/";

/// Everything from this origin, nothing from any other, and no page around ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The same for the page that talks to a device near by, wherever that is.
const NEAR_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self' http: https:; font-src 'self'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

const UNBUILT: ApiError = ApiError::NotFound("console in this build; `make build` makes it, whose page");

/// The pages, behind everything else that there is.
pub(super) fn behind(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.fallback(page)
}

/// Says on every answer what a browser may do with it.
pub(super) async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    // What nobody said anything about is about somebody's things.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = uri.path().trim_start_matches('/');
    let is_api = path.starts_with("api/") || path.starts_with(".well-known/");
    if is_api || !matches!(method, Method::GET | Method::HEAD) {
        return Err(ApiError::NotFound("page"));
    }
    if path == NEAR_PATH {
        let mut near = file(NEAR).ok_or(UNBUILT)?;
        let policy = HeaderValue::from_static(NEAR_POLICY);
        near.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        return Ok(near);
    }
    if let Some(found) = file(path) {
        return Ok(found);
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if path.starts_with(ASSETS) || !accept.contains("text/html") {
        return Err(ApiError::NotFound("page"));
    }
    file(INDEX).ok_or(UNBUILT)
}

fn file(path: &str) -> Option<Response> {
    let found = Pages::get(path)?;
    let kind = match path.rsplit_once('.').map(|(_, kind)| kind)? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    };
    let keep = if path.starts_with(ASSETS) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)];
    Some((StatusCode::OK, headers, found.data).into_response())
}
