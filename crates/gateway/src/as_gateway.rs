//! Asking the service, as the gateway.

use thingward_agent::enrol::EnrolError;
use thingward_agent::home::{Home, Identity};
use thingward_agent::http::HttpsClient;
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};

/// The gateway. Its certificate may be a new one each time.
///
/// # Errors
///
/// When the home does not tell it.
pub(crate) async fn identity(home: &Home) -> Result<Identity, EnrolError> {
    let home = home.clone();
    let read = tokio::task::spawn_blocking(move || home.identity());
    Ok(read.await.map_err(|_| EnrolError::Stopping)??)
}

/// Who asks as it.
///
/// # Errors
///
/// When TLS does not take its credentials.
pub(crate) fn client(identity: &Identity) -> Result<HttpsClient, EnrolError> {
    let tls = identity.tls(ExpectedServer::Service, ALPN_HTTP)?;
    Ok(HttpsClient::new(identity.membership.service.clone(), tls))
}
