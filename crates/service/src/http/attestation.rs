//! Evidence of members: a nonce, and the token that answers it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use thingward_attest::{AttestError, Claims, EVIDENCE_BYTES_MAX};
use thingward_crypto::VerifyingKey;
use thingward_model::Principal;
use thingward_model::clock::now;
use thingward_pki::LeafIdentity;
use tracing::warn;

use super::app::App;
use super::body;
use super::caller::Peer;
use super::error::ApiError;
use super::est::chain;
use crate::attestation::{self, EvidenceRefusal};
use crate::enrolment::{Refusal, child_of, member_of};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/thingward/attestation", get(ask).post(answer))
        .route("/.well-known/thingward/children/{device}/attestation", get(ask_child).post(answer_child))
}

impl IntoResponse for EvidenceRefusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Token(AttestError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Token(_) | Self::Tpm(_) => StatusCode::BAD_REQUEST,
            Self::OtherPlace | Self::Stranger | Self::Kept => StatusCode::FORBIDDEN,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(error) => {
                warn!(%error, "evidence is not kept");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, format!("{self}\n")).into_response()
    }
}

#[derive(Serialize)]
struct Question {
    /// Base64. For one answer, within five minutes.
    nonce: String,
}

async fn ask(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<Question>, Refusal> {
    question(&app, &member_of(&app.shared, &chain(&peer)?, now())?.principal)
}

async fn answer(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<StatusCode, Response> {
    let member = chain(&peer).and_then(|chain| member_of(&app.shared, &chain, now()));
    let LeafIdentity { principal, key, .. } = member.map_err(IntoResponse::into_response)?;
    let token = token(body).await.map_err(IntoResponse::into_response)?;
    take(&app, &principal, &key, &token).await
}

/// As [`ask`], for a device that a gateway speaks for.
async fn ask_child(
    State(app): State<Arc<App>>,
    Path(device): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<Question>, Refusal> {
    question(&app, &child(&app, &peer, &device)?)
}

/// As [`answer`], for a device that a gateway speaks for, whatever firmware it has now.
async fn answer_child(
    State(app): State<Arc<App>>,
    Path(device): Path<String>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<StatusCode, Response> {
    let principal = child(&app, &peer, &device).map_err(IntoResponse::into_response)?;
    let token = token(body).await.map_err(IntoResponse::into_response)?;
    let key = key_of(&app, &principal, &token).await.map_err(IntoResponse::into_response)?;
    take(&app, &principal, &key, &token).await
}

fn child(app: &App, peer: &Peer, device: &str) -> Result<Principal, Refusal> {
    child_of(&app.shared, &chain(peer)?, &device.parse().map_err(|_| Refusal::NotBehind)?, now())
}

/// The key that a token says it is signed with: that of firmware on a part, else the newest of the device.
async fn key_of(app: &App, who: &Principal, token: &[u8]) -> Result<VerifyingKey, EvidenceRefusal> {
    if let Some(key) = Claims::endorsed_key(token) {
        return Ok(key);
    }
    let keys = app.shared.store.registry().keys(&who.tenant, &who.name).await?;
    let newest = keys.into_iter().next().ok_or(EvidenceRefusal::Stranger)?;
    Ok(VerifyingKey::from_spki(&newest.spki).map_err(|_| AttestError::Signature)?)
}

fn question(app: &App, about: &Principal) -> Result<Json<Question>, Refusal> {
    Ok(Json(Question { nonce: STANDARD.encode(attestation::question(&app.shared, about)?) }))
}

async fn token(body: Body) -> Result<Bytes, EvidenceRefusal> {
    let unread = |error| match error {
        ApiError::TooLarge(_) => AttestError::TooLarge,
        _ => AttestError::Malformed,
    };
    Ok(body::read(body, EVIDENCE_BYTES_MAX).await.map_err(unread)?)
}

async fn take(app: &App, who: &Principal, key: &VerifyingKey, token: &[u8]) -> Result<StatusCode, Response> {
    attestation::answer(&app.shared, (who, key), token).await.map_err(IntoResponse::into_response)?;
    Ok(StatusCode::NO_CONTENT)
}
