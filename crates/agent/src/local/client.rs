//! The other end of the local link: a holder's program.

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use thingward_crypto::{Signer, VerifyingKey, sha256};
use thingward_grant::{FormatError, Grant, Nonce, Operation, PRESENTATION_BYTES_MAX, public};
use thingward_model::DeviceName;
use thingward_pki::PkiError;
use thingward_pki::tls::{ALPN_HTTP, raw_key_client_config};
use thingward_seal::command::{Reply, SignedReply};

use super::handler::{NONCE, REVOCATION, USE, read_failure};
use crate::http::{Endpoint, HttpError, HttpsClient};

/// Why a holder got nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The device is out of reach, or somebody else is there.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// TLS cannot use the device's key.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The device refuses.
    #[error("the device refuses: {message} ({code})")]
    Refused {
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// The grant cannot be shown: it is another holder's, for example.
    #[error("the grant cannot be shown with this key; `thingward grant show` says whose it is ({0})")]
    Grant(FormatError),
    /// The device's answer is not what it should be.
    #[error("the device's answer is wrong: {0}")]
    Answer(&'static str),
}

/// What came of showing a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The exact presentation: with the reply it proves what was asked for.
    pub presentation: Vec<u8>,
    /// The device's signed reply, which was checked; `None` while it goes on.
    pub reply: Option<Vec<u8>>,
}

/// A device on the local link.
pub struct LocalClient {
    http: HttpsClient,
    device: DeviceName,
    key: VerifyingKey,
}

impl LocalClient {
    /// The device of this name and key at `address`.
    ///
    /// # Errors
    ///
    /// [`LocalError::Pki`].
    pub fn new(address: Endpoint, device: DeviceName, key: VerifyingKey) -> Result<Self, LocalError> {
        let tls = raw_key_client_config(&key, ALPN_HTTP)?;
        let http = HttpsClient::new(address, tls).body_bytes_max(16 * 1024);
        Ok(Self { http, device, key })
    }

    /// Shows a grant for one operation.
    ///
    /// # Errors
    ///
    /// [`LocalError`].
    pub async fn show(
        &self,
        holder: &dyn Signer,
        grant: &Grant<'_>,
        operation: &Operation<'_>,
    ) -> Result<Shown, LocalError> {
        let (_, nonce) = self.post(NONCE, Bytes::new()).await?;
        let nonce: Nonce =
            nonce[..].try_into().map_err(|_| LocalError::Answer("the nonce has another length"))?;
        let mut room = [0; PRESENTATION_BYTES_MAX];
        let len = public::present(holder, grant, self.device.borrowed(), &nonce, operation, &mut room)
            .map_err(LocalError::Grant)?;
        let presentation = room.get(..len).unwrap_or_default().to_vec();
        let (status, reply) = self.post(USE, presentation.clone().into()).await?;
        if status == StatusCode::ACCEPTED {
            return Ok(Shown { presentation, reply: None });
        }
        self.check(&reply, &nonce, &presentation)?;
        Ok(Shown { presentation, reply: Some(reply.to_vec()) })
    }

    /// Carries a signed revocation to the device.
    ///
    /// # Errors
    ///
    /// [`LocalError`].
    pub async fn carry(&self, revocation: Vec<u8>) -> Result<(), LocalError> {
        self.post(REVOCATION, revocation.into()).await.map(drop)
    }

    fn check(&self, reply: &[u8], nonce: &Nonce, presentation: &[u8]) -> Result<(), LocalError> {
        let signed = SignedReply::decode(reply).map_err(|_| LocalError::Answer("it is no signed reply"))?;
        let Reply { id, command, .. } =
            signed.verify(&self.key).map_err(|_| LocalError::Answer("it is not signed by the device"))?;
        let is_mine = id == *nonce && command == sha256(&[presentation]);
        if is_mine { Ok(()) } else { Err(LocalError::Answer("it is about something else")) }
    }

    async fn post(&self, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), LocalError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(HttpError::from)?;
        let response = self.http.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok((status, response.into_body()));
        }
        let (code, message) =
            read_failure(response.body()).ok_or(LocalError::Answer("an error without a reason"))?;
        Err(LocalError::Refused { code, message })
    }
}
