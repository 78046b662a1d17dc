//! Members that speak CoAP with the service itself: what its own is behind the listener that gateways have too.

use std::net::SocketAddr;
use std::sync::Arc;

use rand_core::Rng;
use thingward_coap::edhoc::{Credential, DhKey};
use thingward_crypto::system_rng;
use thingward_ingress::Member;
use thingward_ingress::coap::{
    Certificate, Certified, CoapListener, CoapSettings, NoMember, Office, RawKey, Record, Refused, Stranger,
};
use thingward_model::clock::now;
use thingward_model::{Link, Principal, Role, Timestamp};
use thingward_pki::proof::{self, Proved, Purpose};
use thingward_pki::{Issued, LeafIdentity, PkiError, SigningRequest};
use thingward_store::StoreError;
use thingward_store::registry::{Registry, Serial};
use zeroize::Zeroizing;

use crate::attestation::{self, EvidenceRefusal};
use crate::authority::{SERVICE_KEY, ServiceIdentity};
use crate::beacon::beacon;
use crate::core::CoreHandle;
use crate::enrolment::{self, Admits, Refusal};
use crate::membership::Membership;
use crate::service::{StartError, io_error};
use crate::shared::Shared;

/// Most members with CoAP that one service knows.
const MEMBERS_MAX: usize = 65_536;

/// The listener of a service whose HTTPS is at this port.
///
/// # Errors
///
/// [`StartError`].
pub(crate) async fn listener(
    address: SocketAddr,
    shared: &Arc<Shared>,
    https: u16,
) -> Result<CoapListener<CoreHandle, ServiceOffice>, StartError> {
    // As the key of the service's certificate, it is of this process: its word for it is what members hold on to.
    let (raw, _) = DhKey::fresh(|bytes| system_rng().fill_bytes(bytes));
    let credential = Credential::claims_set("service", &raw).map_err(|_| PkiError::Signer)?;
    let ca = shared.authority.ca();
    let office = ServiceOffice {
        shared: Arc::clone(shared),
        https,
        credential: credential.bytes.clone().into(),
        shown: Arc::default(),
    };
    let settings = CoapSettings {
        raw,
        credential,
        signs: SERVICE_KEY,
        root: ca.root_der()?,
        trust_domain: ca.trust_domain().to_owned(),
        members_max: MEMBERS_MAX,
        known: known(shared.store.registry()).await?,
        changed: Arc::clone(&shared.left),
        presence: None,
    };
    let listener = CoapListener::bind(address, settings, shared.core.clone(), office).await;
    listener.map_err(io_error(format!("open CoAP port {address}")))
}

/// Whose raw keys are known.
async fn known(registry: &Registry) -> Result<Vec<Record>, StoreError> {
    let mut known: Vec<Record> = Vec::new();
    loop {
        let page = registry.raw_keys(known.last().and_then(|record| record.key.as_ref())).await?;
        if page.is_empty() {
            return Ok(known);
        }
        known.extend(page.into_iter().map(|entry| {
            let (principal, serial) = (entry.holder, entry.serial.as_bytes().to_vec());
            let member = Member { principal, serial, not_after: entry.not_after, link: Link::Oscore };
            Record { key: Some(entry.key), member, signs: entry.signs }
        }));
    }
}

/// What is asked of the service itself. Clones are the same.
#[derive(Clone)]
pub(crate) struct ServiceOffice {
    shared: Arc<Shared>,
    https: u16,
    credential: Arc<[u8]>,
    shown: Arc<tokio::sync::Mutex<Option<Shown>>>,
}

/// What we show of ourselves.
struct Shown {
    certificate: Arc<Certificate>,
    /// Our word that the raw key is our own.
    voucher: Arc<Vec<u8>>,
    /// From when on there is another one.
    until: Timestamp,
}

impl ServiceOffice {
    fn show(&self, now: Timestamp) -> Result<Shown, Refusal> {
        let identity = self.shared.authority.service_identity(&self.shared.settings, now);
        let ServiceIdentity { key, chain, not_after } = identity.map_err(|_| Refusal::Authority)?;
        let voucher = proof::sign(&key, &chain, Purpose::Answerer, &self.credential);
        let voucher = Arc::new(voucher.map_err(|_| Refusal::Authority)?);
        let certificate = Certificate::new(&chain, Arc::new(key)).map_err(|_| Refusal::Authority)?;
        // Early: whoever gets it last still has time to look at it.
        let until = now.plus_micros(not_after.micros_since(now) / 3);
        Ok(Shown { certificate: Arc::new(certificate), voucher, until })
    }

    async fn shown<T>(&self, what: impl FnOnce(&Shown) -> T) -> Result<T, Refused> {
        let mut kept = self.shown.lock().await;
        let time = now();
        let shown = match kept.take().filter(|shown| time < shown.until) {
            Some(shown) => shown,
            None => self.show(time).map_err(refused)?,
        };
        Ok(what(kept.insert(shown)))
    }

    /// A certificate as its holder gets it; from here on the raw key, where there is one, is the holder's.
    async fn certified(&self, key: Option<RawKey>, issued: &Issued) -> Result<Certified, Refusal> {
        let ca = self.shared.authority.ca();
        let issuing = ca.issuing_der().map_err(|_| Refusal::Authority)?;
        let leaf = LeafIdentity::from_verified(&issued.der, ca.trust_domain()).map_err(Refusal::Request)?;
        let record = match key {
            Some(key) => self.keep(key, &leaf).await?,
            None => Record::new(None, &leaf),
        };
        Ok(Certified { record, chain: vec![issued.der.clone(), issuing] })
    }

    async fn keep(&self, key: RawKey, leaf: &LeafIdentity) -> Result<Record, Refusal> {
        let serial = Serial::new(&leaf.serial)?;
        self.shared.store.registry().set_raw_key(&key, &leaf.principal, &serial).await?;
        Ok(Record::new(Some(key), leaf))
    }
}

impl Office for ServiceOffice {
    fn check_member(&self, who: &Member) -> Result<(), NoMember> {
        if who.principal.role != Role::Device {
            return Err(NoMember::NotADevice);
        }
        if self.shared.directory.is_revoked(&who.serial) {
            return Err(NoMember::Revoked);
        }
        if self.shared.directory.is_member(who) { Ok(()) } else { Err(NoMember::Nobody) }
    }

    async fn voucher(&self) -> Result<Arc<Vec<u8>>, Refused> {
        self.shown(|shown| Arc::clone(&shown.voucher)).await
    }

    async fn certificate(&self) -> Result<Arc<Certificate>, Refused> {
        self.shown(|shown| Arc::clone(&shown.certificate)).await
    }

    async fn authorities(&self) -> Result<[Vec<u8>; 2], Refused> {
        let ca = self.shared.authority.ca();
        let both = ca.root_der().and_then(|root| Ok([root, ca.issuing_der()?]));
        both.map_err(|_| refused(Refusal::Authority))
    }

    async fn enrol(
        &self,
        stranger: Stranger,
        request: &SigningRequest,
        code: &Zeroizing<String>,
    ) -> Result<Certified, Refused> {
        let shown = (code.as_str(), stranger.address);
        let issued = enrolment::enrol_with_claim(&self.shared, shown, Admits::Devices, request, now()).await;
        self.certified(Some(stranger.key), &issued.map_err(refused)?).await.map_err(refused)
    }

    async fn renew(&self, member: &Record, request: &SigningRequest) -> Result<Certified, Refused> {
        let issued = enrolment::renew_known(&self.shared, &member.member, request, now()).await;
        self.certified(member.key, &issued.map_err(refused)?).await.map_err(refused)
    }

    async fn join(&self, key: RawKey, proved: Proved) -> Result<Record, Refused> {
        self.keep(key, &proved.leaf).await.map_err(refused)
    }

    async fn forget(&self, record: &Record) {
        let Some(key) = &record.key else { return };
        if let Err(error) = self.shared.store.registry().forget_raw_key(key).await {
            tracing::warn!(thing = %record.who(), %error, "what was known of a former thing is still there");
        }
    }

    async fn membership(&self, who: &Principal) -> Result<String, Refused> {
        let mut membership = Membership::of(&self.shared, *who).await.map_err(refused)?;
        membership.https_port = Some(self.https);
        serde_json::to_string(&membership).map_err(|error| Refused::Unavailable(error.to_string()))
    }

    async fn evidence_nonce(&self, who: &Principal) -> Result<Vec<u8>, Refused> {
        attestation::question(&self.shared, who).map_err(refused)
    }

    async fn attest(&self, member: &Record, token: Vec<u8>) -> Result<(), Refused> {
        let taken = attestation::answer(&self.shared, (&member.who(), &member.signs), &token).await;
        taken.map_err(|error| {
            let text = error.to_string();
            match error {
                EvidenceRefusal::Token(_) | EvidenceRefusal::Tpm(_) => Refused::Wrong(text),
                EvidenceRefusal::OtherPlace | EvidenceRefusal::Stranger | EvidenceRefusal::Kept => {
                    Refused::Forbidden(text)
                }
                EvidenceRefusal::TooOften => Refused::TooMany(text),
                EvidenceRefusal::Store(_) => Refused::Unavailable(text),
            }
        })
    }

    async fn beacon(&self, who: &Principal, nonce: [u8; 16]) -> Result<Vec<u8>, Refused> {
        let signed = beacon(&self.shared.grant_key, &who.tenant, now(), Some(nonce));
        signed.map_err(|_| Refused::Unavailable("the time cannot be signed".to_owned()))
    }
}

fn refused(refusal: Refusal) -> Refused {
    let sentence = refusal.sentence();
    match refusal.status() {
        400 | 413 => Refused::Wrong(sentence),
        401 | 403 => Refused::Forbidden(sentence),
        429 => Refused::TooMany(sentence),
        _ => Refused::Unavailable(refusal.to_string()),
    }
}
