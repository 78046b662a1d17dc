//! What a caller of the API is told when something does not work.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thingward_audit::order::Order;
use thingward_ingress::GUESS_WINDOW_SECONDS;
use thingward_payment::ProviderError;
use thingward_payment::webhook::WebhookFault;
use thingward_store::StoreError;
use tracing::error;
use utoipa::ToSchema;

use crate::enrolment::Refusal;
use crate::purchases::NotSold;
use crate::service::StartError;
use crate::shared::AccessError;

/// Why the API did not do something. The caller gets a stable code and a sentence; the cause of a failure on our
/// side goes to the log.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No token, where one is needed.
    NoToken,
    /// A token that is unknown, revoked or expired; which one is not told.
    BadToken,
    /// A session that is unknown or over; which one is not told.
    NoSession,
    /// Another site's page asked a browser to send it.
    OtherSite,
    /// A sign-in that does not hold; why goes to the log.
    NotSignedIn,
    /// Too many of them from one place.
    TooManyAttempts,
    /// A change that its caller has to sign first.
    Unsigned(Box<Order>),
    /// An order that does not hold.
    BadOrder(&'static str),
    /// The caller is known and may not.
    Denied(&'static str),
    /// The page is there, but not for this method.
    Method,
    /// Not there, or not the caller's.
    NotFound(&'static str),
    /// The request is wrong: what, and what would be right.
    Invalid(String),
    /// The body has too many bytes.
    TooLarge(usize),
    /// The body took too long.
    Slow,
    /// What is there contradicts the request.
    Conflict(String),
    /// Too many ask at the same time.
    Busy,
    /// The payment provider does not do its part.
    Payment(ProviderError),
    /// A message that no payment provider of ours sent.
    BadWebhook(WebhookFault),
    /// The store refused.
    Store(StoreError),
    /// A failure on our side that was logged.
    Internal,
}

/// The body of every error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What went wrong.
    pub(super) error: ErrorDetail,
    /// For `sign-it`: the bytes to sign, base64url. Send the request again with `thingward-order: <these>.<signature>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<String>,
}

/// What went wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// A word that never changes its meaning.
    pub(super) code: String,
    /// A sentence for people.
    pub(super) message: String,
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<StartError> for ApiError {
    fn from(e: StartError) -> Self {
        match e {
            StartError::Store(e) => Self::Store(e),
            other => {
                tracing::error!(error = %other, "a change did not take effect everywhere");
                Self::Internal
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(e) => Self::Store(e),
            Refusal::Authority => Self::Internal,
            Refusal::GatewayName => Self::Invalid(refusal.sentence()),
            other => Self::Conflict(other.sentence()),
        }
    }
}

impl From<NotSold> for ApiError {
    fn from(e: NotSold) -> Self {
        match e {
            NotSold::NoOffer => Self::NotFound("offer"),
            NotSold::Quantity(..) => Self::Invalid(e.to_string()),
            NotSold::Taken | NotSold::Enough => Self::Conflict(e.to_string()),
            NotSold::Provider(e) => Self::Payment(e),
            NotSold::Store(e) => Self::Store(e),
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(e: AccessError) -> Self {
        match e {
            AccessError::Denied(denied) => Self::Denied(denied.reason),
            AccessError::Store(e) => Self::Store(e),
        }
    }
}

impl ApiError {
    /// A parameter that cannot be what it is.
    pub(super) fn parameter(name: &str, problem: &impl std::fmt::Display) -> Self {
        Self::Invalid(format!("`{name}` {problem}"))
    }

    fn parts(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        match self {
            Self::NoToken => (
                S::UNAUTHORIZED,
                "no-token",
                "send `Authorization: Bearer` with a token, or sign in".to_owned(),
            ),
            Self::NoSession => {
                (S::UNAUTHORIZED, "no-session", "the session is over; sign in again".to_owned())
            }
            Self::OtherSite => {
                (S::FORBIDDEN, "other-site", "only pages of this console may do this in a session".to_owned())
            }
            Self::NotSignedIn => (
                S::UNAUTHORIZED,
                "not-signed-in",
                "the passkey is not known here, or did not sign in time".to_owned(),
            ),
            Self::TooManyAttempts => (
                S::TOO_MANY_REQUESTS,
                "too-many-attempts",
                "too many attempts; try again in a minute".to_owned(),
            ),
            Self::BadToken => {
                (S::UNAUTHORIZED, "bad-token", "the token is not known, was revoked, or ended".to_owned())
            }
            Self::Unsigned(_) => (
                S::PRECONDITION_REQUIRED,
                "sign-it",
                "sign `order` with the key of the session or token, and send it with the request again"
                    .to_owned(),
            ),
            Self::BadOrder(reason) => (S::FORBIDDEN, "bad-order", (*reason).to_owned()),
            Self::Denied(reason) => (S::FORBIDDEN, "not-permitted", (*reason).to_owned()),
            Self::Method => {
                (S::METHOD_NOT_ALLOWED, "method-not-allowed", "the page has no such method".to_owned())
            }
            Self::NotFound(what) => (S::NOT_FOUND, "not-found", format!("{what} not found")),
            Self::Invalid(what) => (S::BAD_REQUEST, "invalid", what.clone()),
            Self::TooLarge(max) => {
                (S::PAYLOAD_TOO_LARGE, "too-large", format!("the body may have {max} bytes"))
            }
            Self::Slow => (S::REQUEST_TIMEOUT, "slow", "the body did not arrive in time".to_owned()),
            Self::Conflict(what) => (S::CONFLICT, "conflict", what.clone()),
            Self::Busy => {
                (S::SERVICE_UNAVAILABLE, "busy", "too many questions at the same time; try again".to_owned())
            }
            Self::Payment(e) => (S::BAD_GATEWAY, "no-payment", e.to_string()),
            Self::BadWebhook(fault) => {
                (S::FORBIDDEN, "bad-webhook", format!("the message does not count: {fault}"))
            }
            Self::Store(e) => store_parts(e),
            Self::Internal => internal(),
        }
    }
}

fn internal() -> (StatusCode, &'static str, String) {
    let message = "the service failed; its log says why".to_owned();
    (StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

fn store_parts(e: &StoreError) -> (StatusCode, &'static str, String) {
    use StatusCode as S;
    match e {
        StoreError::KeyWithdrawn { .. } => (S::LOCKED, "key-withdrawn", e.to_string()),
        StoreError::KeyUnusable { .. } => (S::LOCKED, "key-unusable", e.to_string()),
        StoreError::WrongKey { .. } => (S::LOCKED, "wrong-key", e.to_string()),
        StoreError::Full { .. } => (S::INSUFFICIENT_STORAGE, "no-space", e.to_string()),
        StoreError::Limit { .. } => (S::UNPROCESSABLE_ENTITY, "too-much", e.to_string()),
        StoreError::NotFound { .. } => (S::NOT_FOUND, "not-found", e.to_string()),
        StoreError::Conflict { .. } => (S::CONFLICT, "conflict", e.to_string()),
        StoreError::Invalid { .. } => (S::BAD_REQUEST, "invalid", e.to_string()),
        StoreError::Corrupt { .. } => {
            error!(error = %e, "stored data is damaged");
            (S::INTERNAL_SERVER_ERROR, "damaged", "stored data is damaged; the log says what".to_owned())
        }
        _ => {
            error!(error = %e, "the store failed");
            internal()
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let order = match &self {
            Self::Unsigned(order) => Some(URL_SAFE_NO_PAD.encode(order.message())),
            _ => None,
        };
        let body = ErrorBody { error: ErrorDetail { code: code.to_owned(), message }, order };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, GUESS_WINDOW_SECONDS.into());
        }
        response
    }
}
