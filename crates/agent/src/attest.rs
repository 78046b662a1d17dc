//! Evidence for the service: where the key is, what runs here, how the machine was started.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thingward_attest::{AttestError, Claims, ROOM_BYTES, Root};
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};

use crate::enrol::{EnrolError, with_files};
use crate::home::{Home, Identity};
use crate::http::HttpsClient;

const PATH: &str = "/.well-known/thingward/attestation";
/// The media type of an EAT as a CWT: RFC 9782.
pub const TYPE: &str = "application/eat+cwt";

#[derive(Deserialize)]
struct Question {
    /// Base64.
    nonce: String,
}

/// The nonce of a service's question.
///
/// # Errors
///
/// [`EnrolError::Attest`] when it is none.
pub fn read_question(question: &[u8]) -> Result<Vec<u8>, EnrolError> {
    let question: Question = serde_json::from_slice(question).map_err(|_| AttestError::Malformed)?;
    Ok(STANDARD.decode(question.nonce).map_err(|_| AttestError::Malformed)?)
}

/// Answers the service, as this member, with new evidence.
///
/// # Errors
///
/// [`EnrolError`]; nothing else is affected.
pub async fn attest(home: &Home) -> Result<(), EnrolError> {
    let identity = with_files(home, |home| Ok(home.identity()?)).await?;
    let tls = identity.tls(ExpectedServer::Service, ALPN_HTTP)?;
    let client = HttpsClient::new(identity.membership.service.clone(), tls);
    let nonce = read_question(&client.get(PATH).await?)?;
    let evidence = with_files(home, move |home| token(home, &identity, &nonce)).await?;
    client.post(PATH, TYPE, None, evidence.into()).await?;
    Ok(())
}

/// Evidence in answer to a nonce.
pub(crate) fn token(home: &Home, identity: &Identity, nonce: &[u8]) -> Result<Vec<u8>, EnrolError> {
    let tpm = home.tpm_evidence(nonce)?;
    let claims = Claims {
        nonce,
        software: "thingward",
        version: env!("CARGO_PKG_VERSION"),
        root: tpm.as_deref().map(Root::Tpm),
    };
    Ok(claims.sign(identity.key.as_ref(), &mut vec![0; ROOM_BYTES])?.to_vec())
}
