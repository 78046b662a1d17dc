//! What the local link answers.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_TYPE, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value as Json, json};
use thingward_crypto::VerifyingKey;
use thingward_grant::{Nonce, PRESENTATION_BYTES_MAX, REVOCATION_BYTES_MAX, Refusal};
use thingward_model::Principal;
use thingward_model::description::ThingDescription;

use crate::agent::AgentHandle;
use crate::commands::{UseError, UseState};
use crate::grants::TakeBackError;

/// What everything here begins with.
pub(super) const PATH: &str = "/thingward/grants";
pub(super) const NONCE: &str = "/thingward/grants/nonce";
pub(super) const USE: &str = "/thingward/grants/use";
pub(super) const REVOCATION: &str = "/thingward/grants/revocation";
/// How long whoever shows a grant waits for the end of what it allows.
const PATIENCE: Duration = Duration::from_secs(5);
/// Asked for by browsers before a page of the service may come here: Private Network Access.
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// A device as whoever shows it a grant meets it.
pub trait TakesGrants: Send + Sync + 'static {
    /// Who it is and what it opens, as [`about`] writes it; `None` as long as that is not known.
    fn about(&self) -> Option<Bytes>;

    /// A nonce for one presentation by `peer`.
    fn nonce(&self, peer: IpAddr) -> impl Future<Output = Result<Nonce, UseError>> + Send;

    /// Somebody shows a grant; what came of it within `patience`.
    fn present(
        &self,
        presentation: Vec<u8>,
        patience: Duration,
    ) -> impl Future<Output = Result<UseState, UseError>> + Send;

    /// Somebody brings a revocation.
    fn take_back(&self, revocation: Vec<u8>) -> impl Future<Output = Result<(), TakeBackError>> + Send;
}

/// Who a device is, and what it opens to grants.
#[must_use]
pub fn about(who: &Principal, key: &VerifyingKey, description: &ThingDescription) -> Bytes {
    let open = description.actions.iter().filter(|(_, action)| action.is_open_to_grants);
    let about = json!({
        "tenant": who.tenant.as_str(),
        "device": who.name.as_str(),
        "key": STANDARD.encode(key.to_spki()),
        "open": open.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
    });
    about.to_string().into()
}

/// An agent with what it is.
pub(super) struct OfAgent {
    pub(super) agent: AgentHandle,
    pub(super) about: Bytes,
}

impl TakesGrants for OfAgent {
    fn about(&self) -> Option<Bytes> {
        Some(self.about.clone())
    }

    async fn nonce(&self, _peer: IpAddr) -> Result<Nonce, UseError> {
        self.agent.nonce().await
    }

    async fn present(&self, presentation: Vec<u8>, patience: Duration) -> Result<UseState, UseError> {
        self.agent.present(presentation, patience).await
    }

    async fn take_back(&self, revocation: Vec<u8>) -> Result<(), TakeBackError> {
        self.agent.take_back(revocation).await
    }
}

/// Answers for one device.
pub(super) struct Handler<D>(pub(super) D);

/// An answer that is an error: its status, a word for programs, and a sentence for people.
struct Failure(StatusCode, &'static str, String);

impl<D: TakesGrants> Handler<D> {
    /// Everybody may ask from everywhere: only the presentation counts, and no cookie is looked at.
    pub(super) async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = match self.route(peer, request).await {
            Ok(response) => response,
            Err(Failure(status, code, message)) => {
                let body = json!({"error": {"code": code, "message": message}});
                let mut response = json_body(body.to_string().into());
                *response.status_mut() = status;
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn route(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::OPTIONS, PATH | NONCE | USE | REVOCATION) => Ok(preflight()),
            (&Method::GET, PATH) => Ok(json_body(self.0.about().ok_or(UseError::Away)?)),
            (&Method::POST, NONCE) => {
                let nonce = self.0.nonce(peer).await?;
                Ok(bytes_body("application/octet-stream", nonce.to_vec().into()))
            }
            (&Method::POST, USE) => self.show(body(request, PRESENTATION_BYTES_MAX).await?).await,
            (&Method::POST, REVOCATION) => {
                self.0.take_back(body(request, REVOCATION_BYTES_MAX).await?.to_vec()).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            (_, PATH | NONCE | USE | REVOCATION) => {
                Err(Failure(StatusCode::METHOD_NOT_ALLOWED, "method", "another method is meant".to_owned()))
            }
            _ => Err(Failure(StatusCode::NOT_FOUND, "not-found", format!("there is {PATH} and below it"))),
        }
    }

    async fn show(&self, presentation: Bytes) -> Result<Response<Full<Bytes>>, Failure> {
        match self.0.present(presentation.to_vec(), PATIENCE).await? {
            UseState::Answered(reply) => Ok(bytes_body("application/cose", reply.into())),
            UseState::Open => Ok(empty(StatusCode::ACCEPTED)),
            UseState::Dropped => Err(Failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-begun",
                "it was not begun and is not counted; ask again".to_owned(),
            )),
        }
    }
}

impl From<UseError> for Failure {
    fn from(error: UseError) -> Self {
        match error {
            UseError::Refused(refusal) => Self::from(refusal),
            UseError::Busy(busy) => Self(StatusCode::SERVICE_UNAVAILABLE, "busy", busy.to_string()),
            UseError::Away => away(),
            UseError::Closed => Self(StatusCode::NOT_FOUND, "closed", error.to_string()),
        }
    }
}

fn away() -> Failure {
    Failure(StatusCode::SERVICE_UNAVAILABLE, "away", "the device does not answer now".to_owned())
}

impl From<TakeBackError> for Failure {
    fn from(error: TakeBackError) -> Self {
        match error {
            TakeBackError::Refused(refusal) => Self::from(refusal),
            TakeBackError::Away => away(),
            TakeBackError::Book(error) => {
                tracing::error!(%error, "a revocation cannot be kept");
                Self(StatusCode::INTERNAL_SERVER_ERROR, "disk", "the device cannot write".to_owned())
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(StatusCode::FORBIDDEN, refusal.as_str(), sentence(refusal).to_owned())
    }
}

/// What whoever stands there can make of a refusal.
const fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "that is no grant that is shown, whole and in its one form",
        Refusal::UnknownVersion => "the grant is of a version that this device does not know",
        Refusal::UnknownIssuer => "the grant is by somebody whose grants this device does not take",
        Refusal::OtherDevice => "it was shown to another device",
        Refusal::WrongNonce => "it was shown before, or too late; try again",
        Refusal::Forged => "the grant, or a part that was handed on, is forged",
        Refusal::NotHolder => "the grant is somebody else's",
        Refusal::WrongAudience => "the grant is for another device",
        Refusal::OldEpoch => "all grants of that time were taken back; ask for a new one",
        Refusal::Revoked => "the grant was taken back",
        Refusal::Expired => "the grant is over",
        Refusal::NotYetValid => "the grant's time has not come",
        Refusal::TimeUnknown => "the device does not know the time, and the grant has one",
        Refusal::UsedUp => "the grant was used as often as it may be",
        Refusal::NotOpened => "this device does not do that, or so much of it, by grant",
        Refusal::BeyondIssuer => "whoever issued the grant may not grant that",
        Refusal::NotGranted => "the grant does not go so far",
        Refusal::OutOfTurn => "what this grant allows has begun before, or is over",
        Refusal::NoRoom => "the device counts as many grants as it can; try again later",
    }
}

async fn body(request: Request<Incoming>, max: usize) -> Result<Bytes, Failure> {
    let collected = Limited::new(request.into_body(), max).collect().await;
    let too_large = |_| Failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("at most {max} bytes"));
    Ok(collected.map_err(too_large)?.to_bytes())
}

fn preflight() -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn json_body(body: Bytes) -> Response<Full<Bytes>> {
    bytes_body("application/json", body)
}

fn bytes_body(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Why an answer is an error, as [`Handler::answer`] writes it.
pub(super) fn read_failure(body: &[u8]) -> Option<(String, String)> {
    let body: Json = serde_json::from_slice(body).ok()?;
    let text = |name| Some(body.get("error")?.get(name)?.as_str()?.to_owned());
    Some((text("code")?, text("message")?))
}
