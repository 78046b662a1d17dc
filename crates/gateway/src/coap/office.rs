//! What a thing asks of the service, which the gateway asks in its place: membership, certificates, evidence, the time.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use thingward_agent::attest;
use thingward_agent::enrol::{EnrolError, own_chain};
use thingward_agent::home::Identity;
use thingward_agent::http::HttpError;
use thingward_agent::membership::Membership;
use thingward_ingress::coap::{Certificate, Certified, NoMember, Office, RawKey, Record, Refused, Stranger};
use thingward_ingress::{GUESSES_MAX, Guesses, Member};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Principal, Role, TenantName};
use thingward_pki::proof::{self, Proved, Purpose};
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{SigningRequest, est};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Revoked;
use super::shelf::Shelf;
use crate::as_gateway::{client, identity};
use crate::serial::Surroundings;

/// See the module. Clones are the same.
#[derive(Clone)]
pub(super) struct GatewayOffice {
    around: Surroundings,
    tenant: TenantName,
    /// The gateway's own credential.
    credential: Arc<Vec<u8>>,
    shown: Arc<Mutex<Option<Shown>>>,
    shelf: Shelf,
    revoked: Revoked,
    guesses: Arc<std::sync::Mutex<Guesses>>,
}

/// What the gateway shows of itself to everybody, until there is another certificate: keys in chips are slow.
struct Shown {
    chain: Vec<Vec<u8>>,
    looked: Instant,
    certificate: Arc<Certificate>,
    /// That the raw key is its own.
    voucher: Arc<Vec<u8>>,
    /// The root, then the issuing authority.
    authorities: [Vec<u8>; 2],
}

/// Most wrong claims of one place in a window: fewer than the service lets the gateway show, so that nobody stops others alone.
const WRONG_MAX: u8 = GUESSES_MAX - 2;
/// How often it is looked whether there is another certificate.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What the service says, for a thing.
fn refused(error: HttpError) -> Refused {
    match error {
        HttpError::Status { status: 400 | 413, .. } => Refused::Wrong("the service cannot use it".to_owned()),
        HttpError::Status { status: 401, .. } => {
            Refused::Forbidden("the service refuses the claim".to_owned())
        }
        HttpError::Status { status: 403 | 404, .. } => Refused::Forbidden("the service refuses".to_owned()),
        HttpError::Status { status: 429, .. } => {
            Refused::TooMany("the service takes no more guesses now".to_owned())
        }
        error => Refused::Unavailable(error.to_string()),
    }
}

/// The gateway does not come to ask, or what it hears is not as it should be.
fn failed(error: impl Into<EnrolError>) -> Refused {
    Refused::Unavailable(error.into().to_string())
}

fn other(who: &Principal) -> Refused {
    Refused::Forbidden(format!("the certificate is for {who}, who is no device of this gateway's tenant"))
}

impl Shown {
    fn of(identity: Identity, credential: &[u8]) -> Result<Self, Refused> {
        let Identity { key, chain, root, .. } = identity;
        let voucher = proof::sign(key.as_ref(), &chain, Purpose::Answerer, credential);
        let voucher = voucher.map_err(|error| Refused::Unavailable(error.to_string()))?;
        let authorities = [root, chain.get(1).cloned().unwrap_or_default()];
        let certificate = Certificate::new(&chain, key);
        let certificate = Arc::new(certificate.map_err(|error| Refused::Unavailable(error.to_string()))?);
        Ok(Self { chain, looked: Instant::now(), certificate, voucher: Arc::new(voucher), authorities })
    }
}

impl GatewayOffice {
    /// `credential` is what the gateway shows of its raw key.
    pub(super) fn new(
        around: Surroundings,
        tenant: TenantName,
        credential: Vec<u8>,
        shelf: Shelf,
        revoked: Revoked,
    ) -> Self {
        let guesses = Arc::new(std::sync::Mutex::new(Guesses::new(WRONG_MAX)));
        let credential = Arc::new(credential);
        Self { around, tenant, credential, shown: Arc::default(), shelf, revoked, guesses }
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn identity(&self) -> Result<Identity, Refused> {
        identity(&self.around.home).await.map_err(failed)
    }

    async fn shown<T>(&self, what: impl FnOnce(&Shown) -> T) -> Result<T, Refused> {
        let mut kept = self.shown.lock().await;
        if let Some(shown) = kept.as_ref().filter(|shown| shown.looked.elapsed() < LOOK_EVERY) {
            return Ok(what(shown));
        }
        let identity = self.identity().await?;
        let shown = match kept.take() {
            Some(shown) if shown.chain == identity.chain => Shown { looked: Instant::now(), ..shown },
            _ => {
                let credential = Arc::clone(&self.credential);
                let made = tokio::task::spawn_blocking(move || Shown::of(identity, &credential)).await;
                made.map_err(|_| failed(EnrolError::Stopping))??
            }
        };
        Ok(what(kept.insert(shown)))
    }

    async fn certified(
        &self,
        key: Option<RawKey>,
        request: &SigningRequest,
        path: &str,
        code: Option<&str>,
    ) -> Result<Certified, Refused> {
        let identity = self.identity().await?;
        let basic = code.map(|code| ("device", code));
        let body = est::encode_request(&request.der).into();
        let service = client(&identity).map_err(failed)?;
        let answer = service.post(path, est::REQUEST_TYPE, basic, body).await.map_err(refused)?;
        let certificates = est::decode_certificates(&answer).map_err(failed)?;
        let trust_domain = &identity.membership.trust_domain;
        let (chain, leaf) = own_chain(certificates, &request.key, trust_domain).map_err(failed)?;
        let ders: Vec<_> = chain.iter().cloned().map(rustls::pki_types::CertificateDer::from).collect();
        verify_client_chain(&ders, std::slice::from_ref(&identity.root), now()).map_err(failed)?;
        let record = Record::new(key, &leaf);
        if record.who().tenant != self.tenant || record.who().role != Role::Device {
            return Err(other(&record.who()));
        }
        Ok(Certified { record, chain })
    }

    async fn keep(&self, record: Record, chain: Vec<Vec<u8>>) -> Result<Certified, Refused> {
        let shelf = self.shelf.clone();
        let kept = tokio::task::spawn_blocking(move || {
            shelf.keep(&record, &chain)?;
            Ok::<_, std::io::Error>(Certified { record, chain })
        });
        let kept = kept.await.map_err(|_| failed(EnrolError::Stopping))?;
        kept.map_err(|error| {
            tracing::error!(%error, "a thing cannot be kept");
            Refused::Unavailable(error.to_string())
        })
    }
}

impl Office for GatewayOffice {
    fn check_member(&self, who: &Member) -> Result<(), NoMember> {
        let Principal { tenant, role, .. } = who.principal;
        if tenant != self.tenant {
            return Err(NoMember::OtherTenant);
        }
        if role != Role::Device {
            return Err(NoMember::NotADevice);
        }
        if self.revoked.contains(&who.serial) {
            return Err(NoMember::Revoked);
        }
        Ok(())
    }

    async fn certificate(&self) -> Result<Arc<Certificate>, Refused> {
        self.shown(|shown| Arc::clone(&shown.certificate)).await
    }

    async fn voucher(&self) -> Result<Arc<Vec<u8>>, Refused> {
        self.shown(|shown| Arc::clone(&shown.voucher)).await
    }

    async fn authorities(&self) -> Result<[Vec<u8>; 2], Refused> {
        self.shown(|shown| shown.authorities.clone()).await
    }

    async fn enrol(
        &self,
        stranger: Stranger,
        request: &SigningRequest,
        code: &Zeroizing<String>,
    ) -> Result<Certified, Refused> {
        if !self.guesses().allows(stranger.address, now()) {
            return Err(Refused::TooMany("too many wrong claims; wait a minute".to_owned()));
        }
        let path = format!("{}/simpleenroll", est::PATH);
        let certified = self.certified(Some(stranger.key), request, &path, Some(code)).await;
        if matches!(certified, Err(Refused::Forbidden(_))) {
            self.guesses().wrong(stranger.address, now());
        }
        let Certified { record, chain } = certified?;
        self.keep(record, chain).await
    }

    async fn renew(&self, member: &Record, request: &SigningRequest) -> Result<Certified, Refused> {
        let path = child_path(&member.who().name, "simplereenroll");
        let Certified { record, chain } = self.certified(member.key, request, &path, None).await?;
        if record.who() != member.who() {
            return Err(other(&record.who()));
        }
        self.keep(record, chain).await
    }

    async fn join(&self, key: RawKey, Proved { leaf, chain }: Proved) -> Result<Record, Refused> {
        Ok(self.keep(Record::new(Some(key), &leaf), chain).await?.record)
    }

    async fn forget(&self, record: &Record) {
        let Some(key) = record.key else { return };
        let shelf = self.shelf.clone();
        // It ends with the process at the latest.
        let _ = tokio::task::spawn_blocking(move || shelf.forget(&key)).await;
    }

    async fn membership(&self, who: &Principal) -> Result<String, Refused> {
        let identity = self.identity().await?;
        let service = client(&identity).map_err(failed)?;
        let answer = service.get(&child_path(&who.name, "membership")).await.map_err(refused)?;
        let service = &identity.membership.service;
        Ok(Membership::from_answer(&answer, service).map_err(failed)?.to_json())
    }

    async fn evidence_nonce(&self, who: &Principal) -> Result<Vec<u8>, Refused> {
        let service = client(&self.identity().await?).map_err(failed)?;
        let question = service.get(&child_path(&who.name, "attestation")).await.map_err(refused)?;
        attest::read_question(&question).map_err(failed)
    }

    async fn attest(&self, member: &Record, token: Vec<u8>) -> Result<(), Refused> {
        let path = child_path(&member.who().name, "attestation");
        let service = client(&self.identity().await?).map_err(failed)?;
        service.post(&path, attest::TYPE, None, token.into()).await.map_err(refused)?;
        Ok(())
    }

    async fn beacon(&self, _who: &Principal, nonce: [u8; 16]) -> Result<Vec<u8>, Refused> {
        let beacon = self.around.questions.ask(nonce).await;
        let silent = || Refused::Unavailable("the service does not say what time it is".to_owned());
        Ok(beacon.ok_or_else(silent)?.to_vec())
    }
}

fn child_path(name: &DeviceName, what: &str) -> String {
    format!("/.well-known/thingward/children/{name}/{what}")
}
