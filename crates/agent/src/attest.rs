//! Evidence for the service: where the key is, what runs here, how the machine was started.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thingward_attest::{AttestError, Claims, EVIDENCE_BYTES_MAX, ROOM_BYTES};
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};

use crate::enrol::{EnrolError, with_files};
use crate::home::Home;
use crate::http::HttpsClient;

const PATH: &str = "/.well-known/thingward/attestation";
/// The media type of an EAT as a CWT: RFC 9782.
const TYPE: &str = "application/eat+cwt";

#[derive(Deserialize)]
struct Question {
    /// Base64.
    nonce: String,
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
    let question = client.get(PATH).await?;
    let question: Question = serde_json::from_slice(&question).map_err(|_| AttestError::Malformed)?;
    let nonce = STANDARD.decode(question.nonce).map_err(|_| AttestError::Malformed)?;
    let token = with_files(home, move |home| {
        let tpm = home.tpm_evidence(&nonce)?;
        let claims = Claims {
            nonce: &nonce,
            software: "thingward",
            version: env!("CARGO_PKG_VERSION"),
            tpm: tpm.as_deref(),
        };
        let (mut room, mut out) = (vec![0; ROOM_BYTES], vec![0; EVIDENCE_BYTES_MAX]);
        Ok(claims.sign(identity.key.as_ref(), &mut room, &mut out)?.to_vec())
    });
    client.post(PATH, TYPE, None, token.await?.into()).await?;
    Ok(())
}
