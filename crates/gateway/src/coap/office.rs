//! What a thing asks of the service, which the gateway asks in its place: membership, certificates, evidence.

use std::sync::Arc;
use std::time::Duration;

use thingward_agent::attest;
use thingward_agent::coap::proof::{self, ProofError, Purpose};
use thingward_agent::enrol::{EnrolError, own_chain};
use thingward_agent::home::{Home, Identity};
use thingward_agent::http::HttpError;
use thingward_agent::membership::Membership;
use thingward_model::clock::now;
use thingward_model::{DeviceName, Principal, Role};
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{cms, est};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::record::{RawKey, Record};
use crate::as_gateway::{client, identity};

/// Why a thing does not get what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum OfficeError {
    /// The signing request is none.
    #[error("the signing request is none, or not of the key that is known")]
    Request,
    /// The claim, or what it is for, is not good.
    #[error("the service refuses the claim")]
    Claim,
    /// What the service knows and the gateway does not.
    #[error("the service refuses")]
    Refused,
    /// It is asked too often.
    #[error("the service takes no more guesses now")]
    TooMany,
    /// The certificate is for somebody who is nobody here.
    #[error("the certificate is for {0}, who is no device of this gateway's tenant")]
    OtherMember(String),
    /// The gateway's own key does not sign.
    #[error(transparent)]
    Voucher(#[from] ProofError),
    /// The service, or what it says, is not as it should be.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl From<HttpError> for OfficeError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Status { status: 400 | 413, .. } => Self::Request,
            HttpError::Status { status: 401, .. } => Self::Claim,
            HttpError::Status { status: 403 | 404, .. } => Self::Refused,
            HttpError::Status { status: 429, .. } => Self::TooMany,
            error => Self::Enrol(error.into()),
        }
    }
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub(super) struct Office {
    home: Home,
    /// The gateway's own credential.
    credential: Arc<Vec<u8>>,
    shown: Arc<Mutex<Option<Shown>>>,
}

/// What the gateway shows of itself to everybody, until there is another certificate: keys in chips are slow.
struct Shown {
    chain: Vec<Vec<u8>>,
    looked: Instant,
    /// That the raw key is its own.
    voucher: Arc<Vec<u8>>,
    /// The authorities, as CMS.
    authorities: Arc<Vec<u8>>,
}

/// How often it is looked whether there is another certificate.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A certificate for somebody.
pub(super) struct Certified {
    pub(super) record: Record,
    /// The certificates as CMS, RFC 5272 §4.1.
    pub(super) cms: Vec<u8>,
}

impl Shown {
    fn of(identity: Identity, credential: &[u8]) -> Result<Self, OfficeError> {
        let Identity { key, chain, root, .. } = identity;
        let voucher = proof::sign(key.as_ref(), &chain, Purpose::Gateway, credential)?;
        let all: Vec<_> = [root].into_iter().chain(chain.get(1).cloned()).collect();
        let authorities = cms::encode(&all).map_err(EnrolError::from)?;
        let (voucher, authorities) = (Arc::new(voucher), Arc::new(authorities));
        Ok(Self { chain, looked: Instant::now(), voucher, authorities })
    }
}

impl Office {
    /// `credential` is what the gateway shows of its raw key.
    pub(super) fn new(home: Home, credential: Vec<u8>) -> Self {
        Self { home, credential: Arc::new(credential), shown: Arc::default() }
    }

    /// The gateway's word, with its certificate, that the raw key is its own.
    pub(super) async fn voucher(&self) -> Result<Arc<Vec<u8>>, OfficeError> {
        self.shown(|shown| Arc::clone(&shown.voucher)).await
    }

    /// The authorities: the root, then the issuing one. RFC 9148 §5.1.
    pub(super) async fn authorities(&self) -> Result<Arc<Vec<u8>>, OfficeError> {
        self.shown(|shown| Arc::clone(&shown.authorities)).await
    }

    async fn shown<T>(&self, what: impl FnOnce(&Shown) -> T) -> Result<T, OfficeError> {
        let mut kept = self.shown.lock().await;
        if let Some(shown) = kept.as_ref().filter(|shown| shown.looked.elapsed() < LOOK_EVERY) {
            return Ok(what(shown));
        }
        let identity = identity(&self.home).await?;
        let shown = match kept.take() {
            Some(shown) if shown.chain == identity.chain => Shown { looked: Instant::now(), ..shown },
            _ => {
                let credential = Arc::clone(&self.credential);
                let made = tokio::task::spawn_blocking(move || Shown::of(identity, &credential)).await;
                made.map_err(|_| EnrolError::Stopping)??
            }
        };
        Ok(what(kept.insert(shown)))
    }

    /// Enrols who has this raw key, on a signing request and a claim.
    pub(super) async fn enrol(
        &self,
        key: RawKey,
        request: &[u8],
        code: Zeroizing<String>,
    ) -> Result<Certified, OfficeError> {
        let path = format!("{}/simpleenroll", est::PATH);
        self.certified(key, request, &path, Some(&code)).await
    }

    /// The next certificate of a member, for the key that it has.
    pub(super) async fn renew(&self, member: &Record, request: &[u8]) -> Result<Certified, OfficeError> {
        let signed = est::decode_request(request).map_err(|_| OfficeError::Request)?;
        if signed.key != member.leaf.key {
            return Err(OfficeError::Request);
        }
        let path = child_path(&member.name(), "simplereenroll");
        let certified = self.certified(member.key, request, &path, None).await?;
        if certified.record.name() == member.name() {
            Ok(certified)
        } else {
            Err(OfficeError::OtherMember(certified.record.leaf.principal.to_string()))
        }
    }

    async fn certified(
        &self,
        key: RawKey,
        request: &[u8],
        path: &str,
        code: Option<&Zeroizing<String>>,
    ) -> Result<Certified, OfficeError> {
        let request = est::decode_request(request).map_err(|_| OfficeError::Request)?;
        let identity = identity(&self.home).await?;
        let basic = code.map(|code| ("device", code.as_str()));
        let body = est::encode_request(&request.der).into();
        let answer = client(&identity)?.post(path, est::REQUEST_TYPE, basic, body).await?;
        let certificates = est::decode_certificates(&answer).map_err(EnrolError::from)?;
        let (chain, leaf) = own_chain(certificates, &request.key, &identity.membership.trust_domain)?;
        let ders: Vec<_> = chain.iter().cloned().map(rustls::pki_types::CertificateDer::from).collect();
        verify_client_chain(&ders, std::slice::from_ref(&identity.root), now()).map_err(EnrolError::from)?;
        let Principal { tenant, role, .. } = leaf.principal;
        if tenant != identity.membership.tenant || role != Role::Device {
            return Err(OfficeError::OtherMember(leaf.principal.to_string()));
        }
        let cms = cms::encode(&chain).map_err(EnrolError::from)?;
        Ok(Certified { record: Record { key, chain, leaf }, cms })
    }

    /// What the service says about a member, and where it is.
    pub(super) async fn membership(&self, name: DeviceName) -> Result<String, OfficeError> {
        let identity = identity(&self.home).await?;
        let answer = client(&identity)?.get(&child_path(&name, "membership")).await?;
        let service = &identity.membership.service;
        let membership = Membership::from_answer(&answer, service).map_err(EnrolError::from)?;
        Ok(membership.to_json())
    }

    /// What the service asks a member's evidence with.
    pub(super) async fn evidence_nonce(&self, name: DeviceName) -> Result<Vec<u8>, OfficeError> {
        let identity = identity(&self.home).await?;
        let question = client(&identity)?.get(&child_path(&name, "attestation")).await?;
        Ok(attest::read_question(&question)?)
    }

    /// Brings the service evidence of a member.
    pub(super) async fn attest(&self, name: DeviceName, token: Vec<u8>) -> Result<(), OfficeError> {
        let identity = identity(&self.home).await?;
        let path = child_path(&name, "attestation");
        client(&identity)?.post(&path, attest::TYPE, None, token.into()).await?;
        Ok(())
    }
}

fn child_path(name: &DeviceName, what: &str) -> String {
    format!("/.well-known/thingward/children/{name}/{what}")
}
