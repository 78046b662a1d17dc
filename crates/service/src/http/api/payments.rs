//! What the payment provider tells us.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use thingward_payment::PaymentId;
use thingward_payment::webhook::{Headers, ID, SIGNATURE, TIMESTAMP};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::read;
use super::super::error::{ApiError, ErrorBody};

/// Largest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A message of the provider.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct Message {
    /// About which payment.
    data: About,
}

/// What a message is about.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct About {
    /// As the provider names it.
    #[schema(value_type = String)]
    payment: PaymentId,
}

/// Take a message of the payment provider
///
/// Signed as Standard Webhooks 1.0.0 says. It makes us ask the provider about the payment: what we do follows from its
/// answer, so that a message that is old or comes twice does nothing.
#[utoipa::path(
    post, path = "/api/v1/payments/webhook", tag = "near", security(()), request_body = Message,
    params(
        ("webhook-id" = String, Header), ("webhook-timestamp" = String, Header), ("webhook-signature" = String, Header),
    ),
    responses(
        (status = 204, description = "Taken"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn webhook(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| ApiError::Invalid(format!("the header `{name}` is missing")))
    };
    let signed = Headers { id: text(ID)?, timestamp: text(TIMESTAMP)?, signature: text(SIGNATURE)? };
    let payments = app.shared.payments.as_ref().ok_or(ApiError::NotFound("payment provider"))?;
    let body = read(body, MESSAGE_BYTES_MAX).await?;
    payments.is_from_provider(&signed, &body).map_err(ApiError::BadWebhook)?;
    let message: Message =
        serde_json::from_slice(&body).map_err(|e| ApiError::Invalid(format!("JSON body: {e}")))?;
    if app.shared.store.registry().payment_news(message.data.payment.as_str()).await? {
        payments.look();
    }
    Ok(StatusCode::NO_CONTENT)
}
