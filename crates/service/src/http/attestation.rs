//! Evidence of members: a nonce, and the token that answers it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use thingward_attest::{AttestError, EVIDENCE_BYTES_MAX};
use thingward_model::clock::now;
use thingward_pki::LeafIdentity;
use tracing::warn;

use super::app::App;
use super::body;
use super::caller::Peer;
use super::error::ApiError;
use super::est::chain;
use crate::attestation::{EvidenceRefusal, receive};
use crate::enrolment::{Refusal, member_of};
use crate::sign_in::Purpose;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/.well-known/thingward/attestation", get(ask).post(answer))
}

impl IntoResponse for EvidenceRefusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Token(AttestError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Token(_) | Self::Tpm(_) => StatusCode::BAD_REQUEST,
            Self::OtherPlace => StatusCode::FORBIDDEN,
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

fn member(app: &App, peer: &Peer) -> Result<LeafIdentity, Refusal> {
    member_of(&app.shared, &chain(peer)?, now())
}

async fn ask(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<Question>, Refusal> {
    let who = member(&app, &peer)?.principal.to_string();
    let nonce = app.challenges.make(Purpose::Evidence(&who), b"", now());
    Ok(Json(Question { nonce: STANDARD.encode(nonce.map_err(|_| Refusal::Authority)?) }))
}

async fn answer(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<StatusCode, Response> {
    let member = member(&app, &peer).map_err(IntoResponse::into_response)?;
    let refused = |refusal: EvidenceRefusal| refusal.into_response();
    let unread = |error| match error {
        ApiError::TooLarge(_) => AttestError::TooLarge,
        _ => AttestError::Malformed,
    };
    let token = body::read(body, EVIDENCE_BYTES_MAX).await.map_err(|e| refused(unread(e).into()))?;
    let who = member.principal.to_string();
    let is_asked = |nonce: &[u8]| {
        let note = app.challenges.note(Purpose::Evidence(&who), nonce, now());
        note.is_some() && app.challenges.spend(nonce, now())
    };
    receive(&app.shared, &member, &token, is_asked, now()).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}
