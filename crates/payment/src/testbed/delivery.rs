//! Webhooks, one after the other, until they are taken.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use thingward_model::clock::now;
use url::Url;

use super::ledger::Message;
use super::server::Testbed;
use crate::http;
use crate::webhook;

/// How long is waited after a message was not taken: twice as long each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Delivers for ever.
pub(super) async fn run(testbed: Arc<Testbed>, to: Url) {
    let mut pause = PAUSES.0;
    loop {
        let next = testbed.ledger().next_message();
        let Some(message) = next else {
            testbed.messages.notified().await;
            continue;
        };
        if deliver(&testbed, &to, &message).await {
            pause = PAUSES.0;
            if let Err(error) = testbed.ledger().drop_message(&message.id) {
                tracing::error!(%error, "a message that was taken is sent again");
            }
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Whether it needs no more trying. Who refuses it for good will not take it later.
async fn deliver(testbed: &Testbed, to: &Url, message: &Message) -> bool {
    let seconds = now().as_seconds();
    let signature = testbed.webhook_key.sign(&message.id, seconds, message.body.as_bytes());
    let texts = [
        (webhook::ID, message.id.clone()),
        (webhook::TIMESTAMP, seconds.to_string()),
        (webhook::SIGNATURE, signature),
    ];
    let headers = texts.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    });
    let answered = http::send(Method::POST, to, headers.collect(), message.body.clone().into_bytes()).await;
    match answered {
        Ok(answered) if answered.status.is_success() => true,
        Ok(answered) => {
            tracing::warn!(id = message.id, status = %answered.status, "a message is not taken");
            answered.status.is_client_error()
        }
        Err(error) => {
            tracing::debug!(id = message.id, %error, "a message is not taken yet");
            false
        }
    }
}
