//! The API for whoever sells, by one key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::ledger::{Fault, Record};
use super::server::Testbed;
use crate::provider::{NewPayment, Opened, Payment, PaymentId};

/// The header with the key under which something is done once.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What is wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) error: String,
}

/// So much goes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refund {
    pub(crate) amount: u64,
}

pub(super) fn router() -> Router<Arc<Testbed>> {
    Router::new()
        .route("/v1/payments", post(open))
        .route("/v1/payments/{id}", get(find))
        .route("/v1/payments/{id}/capture", post(capture))
        .route("/v1/payments/{id}/cancel", post(cancel))
        .route("/v1/payments/{id}/refunds", post(refund))
}

pub(super) struct Refused(StatusCode, String);

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        let status = match fault {
            Fault::Unknown => StatusCode::NOT_FOUND,
            Fault::State(_) => StatusCode::CONFLICT,
            Fault::Invalid(_) => StatusCode::BAD_REQUEST,
            Fault::Full | Fault::Io(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, fault.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Problem { error: self.1 })).into_response()
    }
}

type Done<T> = Result<Json<T>, Refused>;

fn admit(testbed: &Testbed, headers: &HeaderMap) -> Result<(), Refused> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_right =
        bearer.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|key| testbed.api_key.is(key));
    let wrong = || Refused(StatusCode::UNAUTHORIZED, "this key is not known".to_owned());
    if is_right { Ok(()) } else { Err(wrong()) }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|e| Refused(StatusCode::BAD_REQUEST, e.to_string()))
}

fn id(text: &str) -> Result<PaymentId, Refused> {
    text.parse().map_err(|_| Fault::Unknown.into())
}

async fn open(State(testbed): State<Arc<Testbed>>, headers: HeaderMap, body: Bytes) -> Done<Opened> {
    admit(&testbed, &headers)?;
    let new: NewPayment = read(&body)?;
    let Record { payment, .. } = testbed.ledger().add(&new)?;
    let checkout = format!("{}/checkout/{}", testbed.origin, payment.id);
    Ok(Json(Opened { id: payment.id, checkout }))
}

async fn find(
    State(testbed): State<Arc<Testbed>>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Done<Payment> {
    admit(&testbed, &headers)?;
    Ok(Json(testbed.ledger().get(&id(&text)?)?.payment))
}

async fn capture(
    State(testbed): State<Arc<Testbed>>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Done<Payment> {
    admit(&testbed, &headers)?;
    let payment = testbed.ledger().capture(&id(&text)?)?;
    testbed.messages.notify_one();
    Ok(Json(payment))
}

async fn cancel(
    State(testbed): State<Arc<Testbed>>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Done<Payment> {
    admit(&testbed, &headers)?;
    let payment = testbed.ledger().cancel(&id(&text)?)?;
    testbed.messages.notify_one();
    Ok(Json(payment))
}

async fn refund(
    State(testbed): State<Arc<Testbed>>,
    headers: HeaderMap,
    Path(text): Path<String>,
    body: Bytes,
) -> Done<Payment> {
    admit(&testbed, &headers)?;
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Refund { amount } = read(&body)?;
    let payment = testbed.ledger().refund(&id(&text)?, key, amount)?;
    testbed.messages.notify_one();
    Ok(Json(payment))
}
