//! [`Provider`] by a test provider on this machine.

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use crate::http::{self, Answered};
use crate::provider::{Answer, NewPayment, Opened, Payment, PaymentId, Provider, ProviderError};
use crate::secret::ApiKey;
use crate::testbed::api::{IDEMPOTENCY_KEY, Problem, Refund};

/// Asks a [`testbed`](crate::testbed).
pub struct TestbedClient {
    at: Url,
    key: ApiKey,
}

impl TestbedClient {
    /// Where it is, and how it knows us. `None` when that is not `http` on this machine: test money is for nowhere else.
    #[must_use]
    pub fn new(at: &str, key: ApiKey) -> Option<Self> {
        http::local(at).map(|at| Self { at, key })
    }

    /// Whether [`Self::new`] takes it.
    #[must_use]
    pub fn is_place(at: &str) -> bool {
        http::local(at).is_some()
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Result<T, ProviderError> {
        let lost = |e: &dyn std::fmt::Display| ProviderError::Unreachable(e.to_string());
        let url = self.at.join(path).map_err(|e| lost(&e))?;
        let bearer = Zeroizing::new(format!("Bearer {}", self.key.expose()));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|e| lost(&e))?;
        bearer.set_sensitive(true);
        let mut headers = vec![(AUTHORIZATION, bearer)];
        if let Some(key) = key {
            let key = HeaderValue::from_str(key).map_err(|e| lost(&e))?;
            headers.push((HeaderName::from_static(IDEMPOTENCY_KEY), key));
        }
        let Answered { status, body } =
            http::send(method, &url, headers, body).await.map_err(|e| lost(&e))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| lost(&e));
        }
        let said = serde_json::from_slice::<Problem>(&body).map(|problem| problem.error);
        let said = said.unwrap_or_else(|_| format!("HTTP {status}"));
        // Whatever is wrong with them may be right again.
        let is_ours = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        Err(if is_ours { ProviderError::Refused(said) } else { ProviderError::Unreachable(said) })
    }

    async fn step(&self, id: &PaymentId, step: &str) -> Result<Payment, ProviderError> {
        self.ask(Method::POST, &format!("/v1/payments/{id}/{step}"), None, Vec::new()).await
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, ProviderError> {
    serde_json::to_vec(body).map_err(|e| ProviderError::Unreachable(e.to_string()))
}

impl Provider for TestbedClient {
    fn open<'a>(&'a self, new: &'a NewPayment) -> Answer<'a, Opened> {
        Box::pin(async { self.ask(Method::POST, "/v1/payments", Some(&new.reference), json(new)?).await })
    }

    fn find<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment> {
        Box::pin(async move { self.ask(Method::GET, &format!("/v1/payments/{id}"), None, Vec::new()).await })
    }

    fn capture<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment> {
        Box::pin(self.step(id, "capture"))
    }

    fn cancel<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment> {
        Box::pin(self.step(id, "cancel"))
    }

    fn refund<'a>(&'a self, id: &'a PaymentId, key: &'a str, amount: u64) -> Answer<'a, Payment> {
        Box::pin(async move {
            let path = format!("/v1/payments/{id}/refunds");
            self.ask(Method::POST, &path, Some(key), json(&Refund { amount })?).await
        })
    }
}
