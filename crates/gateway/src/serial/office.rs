//! What a chip needs of gateway and service: a membership, the time, and a durable place for its messages.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use thingward_agent::attest;
use thingward_agent::claim::{Claim, ClaimError, Fingerprint};
use thingward_agent::enrol::{EnrolError, own_chain, renewal_due};
use thingward_agent::home::{Home, Identity};
use thingward_agent::http::{HttpError, HttpsClient};
use thingward_agent::membership::Membership;
use thingward_crypto::{VerifyingKey, sha256};
use thingward_device::link::Join;
use thingward_grant::Nonce;
use thingward_model::clock::now;
use thingward_model::{DeviceName, Link, Principal, Role};
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{LeafIdentity, est};
use zeroize::Zeroizing;

use super::record::Record;
use crate::as_gateway::{client, identity};
use crate::core::{CoreHandle, Said};
use crate::time::Questions;

/// Where evidence goes, behind the path of a child.
const ATTESTATION: &str = "attestation";

/// Why a message of a chip was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no room for it now.
    Full,
    /// It can never be one.
    Wrong(&'static str),
    /// The chip is no member any more.
    Revoked,
    /// The gateway stops.
    Stopping,
}

/// Why a chip has no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OfficeError {
    /// Another chip is at the end of the line than the one that was enrolled, or other firmware is on it.
    #[error(
        "it is not the chip that was enrolled, or it has other firmware, whose evidence nobody accepted; \
         a new claim would enrol it in that one's place"
    )]
    OtherChip,
    /// Nobody has said whose it is.
    #[error("the service does not know it, and there is no claim for it")]
    NoClaim,
    /// The service admits nothing of this gateway's radios now.
    #[error("the service does not let it in: {0}; `thingward gateway admit` lets things join")]
    NotAdmitted(String),
    /// The claim cannot be read.
    #[error("claim file {path}: {reason}")]
    Claim {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The claim was shown before.
    #[error("the claim was shown before; write a new one into its file")]
    Spent,
    /// The claim is for another member.
    #[error("the claim is for {0}")]
    OtherMember(String),
    /// The service, or what it says, is not as it should be.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The signing request is none, or of another key.
    #[error("the chip's signing request is not its own")]
    Request,
    /// It cannot be kept.
    #[error("{0}")]
    Keep(#[from] std::io::Error),
}

impl OfficeError {
    fn of_kept(error: HttpError) -> Self {
        match error {
            HttpError::Status { status: 403, text, .. } => Self::NotAdmitted(text.trim().to_owned()),
            error => error.into(),
        }
    }
}

impl From<HttpError> for OfficeError {
    fn from(error: HttpError) -> Self {
        Self::Enrol(error.into())
    }
}

/// See the module.
pub(super) trait Office: Send {
    /// What the chip is called.
    fn name(&self) -> DeviceName;

    /// Whether this gateway keeps its key: then it has this machine's clock, proves nothing of itself, and opens nothing to grants.
    fn is_kept(&self) -> bool {
        false
    }

    /// The chip that is enrolled.
    fn record(&self) -> Option<&Record>;

    /// Gets a certificate for a chip with this key, on its request.
    fn enrol(
        &mut self,
        key: &VerifyingKey,
        request: &[u8],
    ) -> impl Future<Output = Result<Record, OfficeError>> + Send;

    /// Remembers the chip, which has been told that it is a member.
    fn keep(&mut self, record: Record) -> impl Future<Output = Result<(), OfficeError>> + Send;

    /// Whether it is time for another certificate.
    fn is_renewal_due(&self) -> bool;

    /// Gets the next certificate, on the chip's request; when that fails it is tried again later.
    fn renew(&mut self, request: &[u8]) -> impl Future<Output = ()> + Send;

    /// What the service asks the chip's evidence with, when it can be asked.
    fn evidence_nonce(&self) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// Brings the service evidence of the chip; whether it heard of it, and took it or will not take it soon.
    fn attest(&self, token: Vec<u8>) -> impl Future<Output = bool> + Send;

    /// A beacon that answers this nonce, when one can be had.
    fn time(&self, nonce: Nonce) -> impl Future<Output = Option<Bytes>> + Send;

    /// What was taken back of the chip's grants, when the service says it.
    fn revocation(&self) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// What the chip can do, as long as the service has not heard it from this process.
    fn description(&self) -> Option<Vec<u8>>;

    /// The service hears that this is what the chip can do.
    fn is_described(&self, document: &[u8]);

    /// Makes a message of the chip durable.
    fn deliver(&self, topic: String, message: Vec<u8>) -> impl Future<Output = Result<(), NotTaken>> + Send;
}

/// How one becomes a member.
pub(super) enum Entry {
    /// With the claim in this file. It is read when it is needed.
    Claim(Option<PathBuf>),
    /// On the word of the gateway, which keeps its key, while the service admits things of its radios.
    Kept,
}

/// How what is said came. Clones are the same.
#[derive(Clone)]
pub(crate) struct SharedLink(Arc<AtomicU8>);

impl SharedLink {
    pub(crate) fn new(link: Link) -> Self {
        Self(Arc::new(link.code().into()))
    }

    pub(crate) fn set(&self, link: Link) {
        self.0.store(link.code(), Ordering::Release);
    }

    pub(crate) fn get(&self) -> Link {
        // Nothing else is ever put there.
        Link::from_code(self.0.load(Ordering::Acquire)).unwrap_or(Link::ZwaveNone)
    }
}

/// What one can do, as long as the service has not heard it from this process. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct SharedDescription(Arc<Mutex<Option<Vec<u8>>>>);

impl SharedDescription {
    pub(crate) fn set(&self, document: Option<Vec<u8>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = document;
    }

    fn get(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The service heard this; what came meanwhile it has not.
    fn is_told(&self, document: &[u8]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_deref() == Some(document) {
            *held = None;
        }
    }
}

/// The gateway's.
pub(super) struct GatewayOffice {
    pub(super) name: DeviceName,
    pub(super) home: Home,
    pub(super) entry: Entry,
    pub(super) link: SharedLink,
    pub(super) description: SharedDescription,
    pub(super) core: CoreHandle,
    pub(super) questions: Questions,
    pub(super) record: Option<Record>,
    /// Names the claim that was shown last. One that was refused is not shown again: the service counts wrong ones.
    pub(super) shown: Option<String>,
}

impl GatewayOffice {
    fn path(&self, what: &str) -> String {
        format!("/.well-known/thingward/children/{}/{what}", self.name)
    }

    /// The claim, and what names it.
    fn claim(&self) -> Result<(Claim, String), OfficeError> {
        let Entry::Claim(Some(path)) = &self.entry else { return Err(OfficeError::NoClaim) };
        let wrong = |reason: String| OfficeError::Claim { path: path.clone(), reason };
        let text = match std::fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OfficeError::NoClaim),
            text => Zeroizing::new(text.map_err(|e| wrong(e.to_string()))?),
        };
        let claim: Claim = text.parse().map_err(|e: ClaimError| wrong(e.to_string()))?;
        let name = base16ct::lower::encode_string(&sha256(&[b"claim", claim.code.as_bytes()]));
        Ok((claim, name))
    }

    /// The certificates that the service gives for this request; also the name of the claim that was spent for them.
    async fn certificates(
        &mut self,
        identity: &Identity,
        body: &str,
    ) -> Result<(Bytes, Option<String>), OfficeError> {
        let client = client(identity)?;
        // It may be known under this name: enrolled by another gateway, or the answer was lost.
        match certified(&client, &self.path("simplereenroll"), None, body).await {
            Ok(answer) => return Ok((answer, None)),
            Err(HttpError::Status { status: 403, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if matches!(self.entry, Entry::Kept) {
            let kept = certified(&client, &self.path("simpleenroll"), None, body).await;
            return kept.map(|answer| (answer, None)).map_err(OfficeError::of_kept);
        }
        let (claim, name) = match self.claim() {
            Err(OfficeError::NoClaim) if self.record.is_some() => return Err(OfficeError::OtherChip),
            claim => claim?,
        };
        if self.record.as_ref().is_some_and(|record| record.claim.as_ref() == Some(&name)) {
            return Err(OfficeError::OtherChip);
        }
        if self.shown.as_ref() == Some(&name) {
            return Err(OfficeError::Spent);
        }
        if claim.root != Fingerprint::of(&identity.root) {
            let server = identity.membership.service.clone();
            return Err(EnrolError::OtherRoot { server, wanted: claim.root }.into());
        }
        let path = format!("{}/simpleenroll", est::PATH);
        let shown = certified(&client, &path, Some(&claim), body).await;
        if matches!(shown, Ok(_) | Err(HttpError::Status { status: 401 | 403, .. })) {
            self.shown = Some(name.clone());
        }
        Ok((shown?, Some(name)))
    }

    /// What the service says about the chip.
    async fn membership(&self, identity: &Identity) -> Result<Membership, EnrolError> {
        let answer = client(identity)?.get(&self.path("membership")).await?;
        Ok(Membership::from_answer(&answer, &identity.membership.service)?)
    }

    /// Checks what the service gave for this key.
    fn chain(
        &self,
        identity: &Identity,
        key: &VerifyingKey,
        answer: &[u8],
    ) -> Result<(Vec<Vec<u8>>, LeafIdentity), OfficeError> {
        let certificates = est::decode_certificates(answer).map_err(EnrolError::from)?;
        let (chain, leaf) = own_chain(certificates, key, &identity.membership.trust_domain)?;
        let ders: Vec<_> = chain.iter().cloned().map(rustls::pki_types::CertificateDer::from).collect();
        verify_client_chain(&ders, std::slice::from_ref(&identity.root), now()).map_err(EnrolError::from)?;
        let wanted = Principal { tenant: identity.membership.tenant, role: Role::Device, name: self.name };
        if leaf.principal == wanted {
            Ok((chain, leaf))
        } else {
            Err(OfficeError::OtherMember(leaf.principal.to_string()))
        }
    }

    fn has_no_evidence(&self, error: &EnrolError) {
        tracing::info!(chip = %self.name, %error, "the service has no evidence of a chip");
    }

    /// Forgets a chip that is no member any more: it, or another one, may be enrolled anew.
    pub(super) async fn forget(&mut self) {
        self.record = None;
        let path = self.home.chip_path(&self.name);
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::warn!(chip = %self.name, %error, "what was known of a revoked chip is still there");
        }
    }

    async fn save(&mut self, record: Record) -> std::io::Result<()> {
        let (path, kept) = (self.home.chip_path(&self.name), record.clone());
        let saved = tokio::task::spawn_blocking(move || kept.save(&path)).await;
        saved.map_err(std::io::Error::other)??;
        self.record = Some(record);
        Ok(())
    }
}

/// What the service gives for a signing request.
async fn certified(
    client: &HttpsClient,
    path: &str,
    claim: Option<&Claim>,
    body: &str,
) -> Result<Bytes, HttpError> {
    let basic = claim.map(|claim| ("device", claim.code.as_str()));
    client.post(path, est::REQUEST_TYPE, basic, Bytes::copy_from_slice(body.as_bytes())).await
}

/// The body of a request, which has to be the chip's own.
fn request_body(key: &VerifyingKey, request: &[u8]) -> Result<String, OfficeError> {
    let request = est::decode_request(request).map_err(|_| OfficeError::Request)?;
    if request.key == *key { Ok(est::encode_request(&request.der)) } else { Err(OfficeError::Request) }
}

impl Office for GatewayOffice {
    fn name(&self) -> DeviceName {
        self.name
    }

    fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    async fn enrol(&mut self, key: &VerifyingKey, request: &[u8]) -> Result<Record, OfficeError> {
        let body = request_body(key, request)?;
        let identity = identity(&self.home).await?;
        let (answer, claim) = self.certificates(&identity, &body).await?;
        let (chain, leaf) = self.chain(&identity, key, &answer)?;
        let membership = self.membership(&identity).await?;
        let ed25519 = |key: &Option<VerifyingKey>| key.as_ref().and_then(VerifyingKey::to_ed25519);
        let join = Join {
            tenant: leaf.principal.tenant,
            device: leaf.principal.name,
            command_key: ed25519(&membership.command_key),
            grant_key: ed25519(&membership.grant_key),
            recipient: *membership.service_recipient.as_bytes(),
        };
        // A claim that was spent for the chip before is not shown again either.
        let claim = claim.or_else(|| self.record.as_ref().and_then(|before| before.claim.clone()));
        tracing::info!(chip = %self.name, expires = %leaf.not_after, "a chip is enrolled");
        Ok(Record { chain, leaf, join, claim })
    }

    async fn keep(&mut self, record: Record) -> Result<(), OfficeError> {
        Ok(self.save(record).await?)
    }

    fn is_renewal_due(&self) -> bool {
        self.record.as_ref().is_some_and(|record| renewal_due(&record.leaf, now()))
    }

    async fn renew(&mut self, request: &[u8]) {
        let renewed = async {
            let old = self.record.clone().ok_or(OfficeError::NoClaim)?;
            let body = request_body(&old.leaf.key, request)?;
            let identity = identity(&self.home).await?;
            let client = client(&identity)?;
            let answer = certified(&client, &self.path("simplereenroll"), None, &body).await?;
            let (chain, leaf) = self.chain(&identity, &old.leaf.key, &answer)?;
            let expires = leaf.not_after;
            self.save(Record { chain, leaf, ..old }).await?;
            Ok::<_, OfficeError>(expires)
        };
        match renewed.await {
            Ok(expires) => tracing::info!(chip = %self.name, %expires, "a chip's certificate is renewed"),
            Err(error) => {
                tracing::warn!(chip = %self.name, %error, "a chip's certificate is not renewed");
            }
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.entry, Entry::Kept)
    }

    async fn evidence_nonce(&self) -> Option<Vec<u8>> {
        if self.is_kept() {
            return None;
        }
        let asked = async {
            let question = client(&identity(&self.home).await?)?.get(&self.path(ATTESTATION)).await?;
            attest::read_question(&question)
        };
        asked.await.inspect_err(|error| self.has_no_evidence(error)).ok()
    }

    async fn attest(&self, token: Vec<u8>) -> bool {
        let brought = async {
            let client = client(&identity(&self.home).await?)?;
            client.post(&self.path(ATTESTATION), attest::TYPE, None, token.into()).await?;
            Ok::<_, EnrolError>(())
        };
        match brought.await {
            Ok(()) => true,
            Err(error) => {
                self.has_no_evidence(&error);
                matches!(error, EnrolError::Http(HttpError::Status { status: 400 | 403 | 413, .. }))
            }
        }
    }

    async fn time(&self, nonce: Nonce) -> Option<Bytes> {
        let beacon = self.questions.ask(nonce).await;
        if beacon.is_none() {
            tracing::debug!(chip = %self.name, "nobody says what time it is");
        }
        beacon
    }

    async fn revocation(&self) -> Option<Vec<u8>> {
        let asked = async { self.membership(&identity(&self.home).await?).await };
        match asked.await {
            Ok(membership) => membership.grant_revocation,
            Err(error) => {
                tracing::debug!(chip = %self.name, %error, "what was taken back is not known");
                None
            }
        }
    }

    fn description(&self) -> Option<Vec<u8>> {
        self.description.get()
    }

    fn is_described(&self, document: &[u8]) {
        self.description.is_told(document);
    }

    async fn deliver(&self, topic: String, message: Vec<u8>) -> Result<(), NotTaken> {
        let serial = self.record.as_ref().map(|record| record.leaf.serial.clone()).unwrap_or_default();
        self.core.said(Said { child: self.name, serial, link: self.link.get(), topic, message }).await
    }
}
