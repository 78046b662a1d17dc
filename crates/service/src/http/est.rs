//! Enrolment over Secure Transport (RFC 7030), and what members learn about themselves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_ingress::GUESS_WINDOW_SECONDS;
use thingward_model::Role;
use thingward_model::clock::now;
use thingward_pki::est::{
    ATTRIBUTES_TYPE, BODY_BYTES_MAX, CERTIFICATES_TYPE, attributes, decode_request, encode_certificates,
};
use thingward_pki::{Issued, LeafIdentity, SigningRequest};
use tracing::warn;

use super::app::App;
use super::body;
use super::caller::Peer;
use crate::enrolment::{self, Admits, Refusal};
use crate::membership::Membership;

/// The routes of RFC 7030 and of members.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/est/cacerts", get(ca_certificates))
        .route("/.well-known/est/csrattrs", get(request_attributes))
        .route("/.well-known/est/simpleenroll", post(enrol_with_claim))
        .route("/.well-known/est/simplereenroll", post(renew))
        .route("/.well-known/est/{tenant}/simpleenroll", post(enrol_with_initial_identity))
        .route("/.well-known/thingward/membership", get(membership))
        .route("/.well-known/thingward/children/{device}/membership", get(membership_of_child))
        .route("/.well-known/thingward/children/{device}/simpleenroll", post(enrol_child))
        .route("/.well-known/thingward/children/{device}/simplereenroll", post(renew_child))
        .route("/.well-known/thingward/policy", get(standing_policy))
        .route("/.well-known/thingward/crl", get(crl))
}

/// A refusal as EST tells it: a status and one sentence (§4.2.3).
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.status() == 503 {
            warn!(error = %self, "enrolment failed");
        }
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (status, format!("{}\n", self.sentence())).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"thingward\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, GUESS_WINDOW_SECONDS.into());
        }
        response
    }
}

fn as_base64(kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("base64")),
    ];
    (headers, body).into_response()
}

/// Issuing certificate and root: §4.1.
async fn ca_certificates(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let ca = app.shared.authority.ca();
    let both = ca.issuing_der().and_then(|issuing| encode_certificates(&[issuing, ca.root_der()?]));
    Ok(as_base64(CERTIFICATES_TYPE, both.map_err(|_| Refusal::Authority)?))
}

/// What a request should hold: §4.5.
async fn request_attributes() -> Result<Response, Refusal> {
    Ok(as_base64(ATTRIBUTES_TYPE, attributes().map_err(|_| Refusal::Authority)?))
}

/// With a claim code as password: §4.2.1 and §3.2.3. The user name is for people. A gateway that asks in a device's place shows
/// its own certificate.
async fn enrol_with_claim(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let Peer::Tls { address, chain } = peer else { return Err(Refusal::NoCredential) };
    let admits = match enrolment::member_of(&app.shared, &chain, now()) {
        Ok(LeafIdentity { principal, .. }) if principal.role == Role::Gateway => {
            Admits::DevicesOf(principal.tenant)
        }
        _ => Admits::All,
    };
    let code = password(&headers).ok_or(Refusal::NoCredential)?;
    let request = signing_request(body).await?;
    let shown = (code.as_str(), address);
    answer(&app, &enrolment::enrol_with_claim(&app.shared, shown, admits, &request, now()).await?)
}

/// With the certificate of a trusted maker.
async fn enrol_with_initial_identity(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    let chain = chain(&peer)?;
    let tenant = tenant.parse().map_err(|_| Refusal::UntrustedMaker)?;
    let request = signing_request(body).await?;
    let issued = enrolment::enrol_with_initial_identity(&app.shared, tenant, &chain, &request, now()).await?;
    answer(&app, &issued)
}

/// With the certificate that is about to end: §4.2.2.
async fn renew(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    let chain = chain(&peer)?;
    // Before the body is read, and again with it: a refusal does not wait for a slow client.
    enrolment::member_of(&app.shared, &chain, now())?;
    let request = signing_request(body).await?;
    answer(&app, &enrolment::renew(&app.shared, &chain, &request, now()).await?)
}

/// As [`enrol_with_claim`], for a thing of a gateway's radio: the gateway has its key, and may enrol it while somebody lets it.
async fn enrol_child(
    State(app): State<Arc<App>>,
    Path(device): Path<String>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    let (chain, device) = (chain(&peer)?, device.parse().map_err(|_| Refusal::NotBehind)?);
    enrolment::member_of(&app.shared, &chain, now())?;
    let request = signing_request(body).await?;
    answer(&app, &enrolment::enrol_child(&app.shared, &chain, &device, &request, now()).await?)
}

/// As [`renew`], for a device that a gateway speaks for: a chip on a serial line has no TLS, and signs the request.
async fn renew_child(
    State(app): State<Arc<App>>,
    Path(device): Path<String>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    let (chain, device) = (chain(&peer)?, device.parse().map_err(|_| Refusal::NotBehind)?);
    enrolment::child_of(&app.shared, &chain, &device, now())?;
    let request = signing_request(body).await?;
    answer(&app, &enrolment::renew_child(&app.shared, &chain, &device, &request, now()).await?)
}

fn answer(app: &App, issued: &Issued) -> Result<Response, Refusal> {
    let issuing = app.shared.authority.ca().issuing_der().map_err(|_| Refusal::Authority)?;
    let both = encode_certificates(&[issued.der.clone(), issuing]).map_err(|_| Refusal::Authority)?;
    Ok(as_base64(CERTIFICATES_TYPE, both))
}

pub(super) fn chain(peer: &Peer) -> Result<Arc<[rustls::pki_types::CertificateDer<'static>]>, Refusal> {
    match peer {
        Peer::Tls { chain, .. } if !chain.is_empty() => Ok(Arc::clone(chain)),
        Peer::Tls { .. } | Peer::Local { .. } | Peer::Admin => Err(Refusal::NoCredential),
    }
}

async fn signing_request(body: Body) -> Result<SigningRequest, Refusal> {
    let too_large =
        thingward_pki::PkiError::TooLarge { what: "signing request", limit_bytes: BODY_BYTES_MAX };
    let malformed = thingward_pki::PkiError::Malformed { what: "signing request" };
    let body = body::read(body, BODY_BYTES_MAX).await.map_err(|e| {
        Refusal::Request(if matches!(e, super::error::ApiError::TooLarge(_)) { too_large } else { malformed })
    })?;
    decode_request(&body).map_err(Refusal::Request)
}

/// The password of HTTP Basic: RFC 7617 §2.
fn password(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// What a member needs to know about itself and its tenant.
async fn membership(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<Membership>, Refusal> {
    let who = enrolment::member_of(&app.shared, &chain(&peer)?, now())?.principal;
    Ok(Json(Membership::of(&app.shared, who).await?))
}

/// As [`membership`], for a device that a gateway speaks for.
async fn membership_of_child(
    State(app): State<Arc<App>>,
    Path(device): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<Membership>, Refusal> {
    let device = device.parse().map_err(|_| Refusal::NotBehind)?;
    let child = enrolment::child_of(&app.shared, &chain(&peer)?, &device, now())?;
    Ok(Json(Membership::of(&app.shared, child).await?))
}

/// What a gateway decides by while it is by itself.
async fn standing_policy(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Refusal> {
    let who = enrolment::member_of(&app.shared, &chain(&peer)?, now())?.principal;
    if who.role != Role::Gateway {
        return Err(Refusal::NoGateway);
    }
    let signed = app.shared.standing_policy(&who).await.map_err(|error| {
        warn!(tenant = %who.tenant, gateway = %who.name, %error, "a gateway gets no policies to go by");
        Refusal::NoPolicies
    })?;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/cose"))];
    Ok((kind, signed).into_response())
}

/// The current list of revoked certificates, in DER.
async fn crl(State(app): State<Arc<App>>) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"))];
    (kind, app.shared.authority.crl().as_ref().clone()).into_response()
}
