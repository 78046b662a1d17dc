//! How a member gets its identity and keeps it: the client's end of EST (RFC 7030).

use std::sync::Arc;

use der::Decode;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use thingward_attest::AttestError;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey, VerifyingKey, sha256};
use thingward_model::clock::now;
use thingward_model::{TenantName, Timestamp};
use thingward_pki::tls::{
    ALPN_HTTP, ALPN_MQTT, Credentials, ExpectedServer, client_config, dangerous_bootstrap_config,
    verify_client_chain,
};
use thingward_pki::{LeafIdentity, PkiError, SigningRequest, est};
use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::spki::ObjectIdentifier;

use crate::attest::attest;
use crate::claim::{Claim, Fingerprint};
use crate::coap::session::CoapError;
use crate::home::{Home, HomeError, Identity};
use crate::http::{Endpoint, HttpError, HttpsClient};
use crate::membership::{Membership, MembershipError};
use crate::stream::SharedSigner;

/// What entitles to an identity.
pub enum Credential {
    /// A one-time code from the tenant's operator.
    Claim(Claim),
    /// The maker's certificate, for a tenant that trusts the maker.
    Initial(Box<InitialCredential>),
}

/// A device as its maker made it, IDevID of IEEE 802.1AR, on its way to an owner.
pub struct InitialCredential {
    /// The device's certificate, then those between it and the maker's authority, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key.
    pub key: SoftwareKey,
    /// Who wants to own the device.
    pub tenant: TenantName,
    /// The root to trust.
    pub root: Anchor,
}

/// How the root of the installation is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// By its fingerprint.
    Fingerprint(Fingerprint),
    /// Itself, in DER.
    Certificate(Vec<u8>),
}

/// Why there is no new identity. The old one, if there was one, is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// There is one already.
    #[error("already enrolled as {0}; reset the device to enrol it anew")]
    AlreadyEnrolled(String),
    /// The service shows another root than was announced: somebody stands in between, or the claim is of
    /// another installation.
    #[error(
        "{server} has no root certificate with fingerprint {wanted}: wrong server, or somebody in between"
    )]
    OtherRoot {
        /// The server.
        server: Endpoint,
        /// What was announced.
        wanted: Fingerprint,
    },
    /// The root certificate does not name its trust domain.
    #[error("the root certificate does not name a trust domain")]
    NoTrustDomain,
    /// The service's answer does not hold a certificate for our key.
    #[error("the service sent a certificate for another key")]
    OtherKey,
    /// The membership and the certificate name different members.
    #[error("the service says {said}, and its certificate {certified}")]
    OtherMember {
        /// In the membership.
        said: String,
        /// In the certificate.
        certified: String,
    },
    /// A gateway between is of no use, or refused.
    #[error(transparent)]
    Coap(#[from] CoapError),
    /// The exchange failed, or the service refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A certificate is not acceptable.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The service's word on the membership cannot be read.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// There is no evidence.
    #[error("evidence: {0}")]
    Attest(#[from] AttestError),
    /// The home failed.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file operation was cut off because the program ends.
    #[error("the program is stopping")]
    Stopping,
}

/// A home has one identity.
pub(crate) async fn check_is_free(home: &Home) -> Result<(), EnrolError> {
    if !home.is_enrolled() {
        return Ok(());
    }
    let identity = with_files(home, |home| Ok(home.identity()?)).await?;
    Err(EnrolError::AlreadyEnrolled(identity.membership.principal().to_string()))
}

/// Gets an identity from the service and keeps it in `home`. The private key is made here.
///
/// # Errors
///
/// [`EnrolError`]; the home then has no membership, and enrolment may be tried again.
pub async fn enrol(
    home: &Home,
    service: &Endpoint,
    credential: &Credential,
    algorithm: SignatureAlgorithm,
) -> Result<Identity, EnrolError> {
    check_is_free(home).await?;
    let root = match credential {
        Credential::Claim(claim) => fetch_root(service, claim.root).await?,
        Credential::Initial(initial) => match &initial.root {
            Anchor::Fingerprint(wanted) => fetch_root(service, *wanted).await?,
            Anchor::Certificate(der) => der.clone(),
        },
    };
    let trust_domain = trust_domain(&root)?;
    let key = with_files(home, move |home| pending_key(home, algorithm)).await?;

    let own = match credential {
        Credential::Claim(_) => None,
        Credential::Initial(initial) => Some(Credentials::new(&initial.chain, &initial.key)?),
    };
    let tls = client_config(&root, &trust_domain, ExpectedServer::Service, own, ALPN_HTTP)?;
    let client = HttpsClient::new(service.clone(), tls);
    let (path, basic) = match credential {
        Credential::Claim(claim) => {
            (format!("{}/simpleenroll", est::PATH), Some(("device", claim.code.as_str())))
        }
        Credential::Initial(initial) => (format!("{}/{}/simpleenroll", est::PATH, initial.tenant), None),
    };
    finish(home, &client, service, &path, basic, Pending { root, trust_domain, key }).await
}

/// Gets a new certificate for the same key, and the membership as it is now.
///
/// # Errors
///
/// [`EnrolError`]; the old identity is untouched.
pub async fn renew(home: &Home) -> Result<Identity, EnrolError> {
    let old = with_files(home, |home| Ok(home.identity()?)).await?;
    let tls = old.tls(ExpectedServer::Service, ALPN_HTTP)?;
    let service = old.membership.service.clone();
    let client = HttpsClient::new(service.clone(), tls);
    let path = format!("{}/simplereenroll", est::PATH);
    let pending = Pending { root: old.root, trust_domain: old.membership.trust_domain, key: old.key };
    finish(home, &client, &service, &path, None, pending).await
}

/// Asks the service, as this member, what it says about the membership now, and keeps that. Gives it when it is another
/// than before.
///
/// # Errors
///
/// [`EnrolError`]; the old membership is untouched.
pub async fn refresh(home: &Home) -> Result<Option<Membership>, EnrolError> {
    let old = with_files(home, |home| Ok(home.identity()?)).await?;
    let tls = old.tls(ExpectedServer::Service, ALPN_HTTP)?;
    let membership = fetch_membership(&old.membership.service, tls, &old.leaf, &old.membership.trust_domain);
    let membership = membership.await?;
    if membership == old.membership {
        return Ok(None);
    }
    with_files(home, move |home| {
        home.save_membership(&old.root, &old.chain, &membership)?;
        Ok(Some(membership))
    })
    .await
}

/// Whether it is time to renew: from two thirds of the lifetime on, and up to a twentieth of it later, so that
/// members that were enrolled together do not all come at once. Each certificate has its own moment.
#[must_use]
pub fn renewal_due(leaf: &LeafIdentity, now: Timestamp) -> bool {
    now >= renewal_at(leaf)
}

/// When [`renewal_due`] begins.
#[must_use]
pub fn renewal_at(leaf: &LeafIdentity) -> Timestamp {
    let lifetime = leaf.not_after.micros_since(leaf.not_before).max(0);
    let [dice, ..] = sha256(&[&leaf.serial]);
    let jitter = lifetime / 20 / 256 * i64::from(dice);
    leaf.not_before.plus_micros(lifetime / 3 * 2 + jitter)
}

impl Identity {
    /// A TLS client that is this member and demands `expected` at the other end.
    ///
    /// # Errors
    ///
    /// [`PkiError`] when key and certificates do not fit together.
    pub fn tls(&self, expected: ExpectedServer, alpn: &[u8]) -> Result<Arc<ClientConfig>, PkiError> {
        let own = Credentials::with_signer(&self.chain, self.key.clone())?;
        client_config(&self.root, &self.membership.trust_domain, expected, Some(own), alpn)
    }

    /// A TLS client for an uplink: to the service, or to a gateway of the same tenant.
    ///
    /// # Errors
    ///
    /// As [`Self::tls`].
    pub fn uplink_tls(&self) -> Result<Arc<ClientConfig>, PkiError> {
        self.tls(ExpectedServer::ServiceOrGatewayOf(self.membership.tenant), ALPN_MQTT)
    }
}

/// What is there before the certificate.
struct Pending {
    root: Vec<u8>,
    trust_domain: String,
    key: SharedSigner,
}

async fn finish(
    home: &Home,
    client: &HttpsClient,
    service: &Endpoint,
    path: &str,
    basic: Option<(&str, &str)>,
    pending: Pending,
) -> Result<Identity, EnrolError> {
    let Pending { root, trust_domain, key } = pending;
    let name = "device".parse().map_err(|_| PkiError::Signer)?;
    let request = est::encode_request(&SigningRequest::create(&name, key.as_ref())?);
    let answer = client.post(path, est::REQUEST_TYPE, basic, request.into()).await?;
    let certificates = est::decode_certificates(&answer)?;
    let (chain, leaf) = verified(certificates, key.public_key(), &root, &trust_domain)?;

    let own = Credentials::with_signer(&chain, key.clone())?;
    let tls = client_config(&root, &trust_domain, ExpectedServer::Service, Some(own), ALPN_HTTP)?;
    let membership = fetch_membership(service, tls, &leaf, &trust_domain).await?;
    let identity = Identity { key, chain, root, membership, leaf };
    let identity = with_files(home, |home| {
        home.save_membership(&identity.root, &identity.chain, &identity.membership)?;
        Ok(identity)
    })
    .await?;
    // A member that is not attested is one all the same, and shown as such.
    if let Err(error) = attest(home).await {
        tracing::warn!(%error, "the service has no evidence of this device");
    }
    Ok(identity)
}

/// As [`own_chain`], and it leads to this root.
pub(crate) fn verified(
    certificates: Vec<Vec<u8>>,
    key: &VerifyingKey,
    root: &[u8],
    trust_domain: &str,
) -> Result<(Vec<Vec<u8>>, LeafIdentity), EnrolError> {
    let (chain, leaf) = own_chain(certificates, key, trust_domain)?;
    let ders: Vec<CertificateDer<'static>> = chain.iter().cloned().map(CertificateDer::from).collect();
    verify_client_chain(&ders, &[root.to_vec()], now())?;
    Ok((chain, leaf))
}

/// What the service says about the member of this certificate.
async fn fetch_membership(
    service: &Endpoint,
    tls: Arc<ClientConfig>,
    leaf: &LeafIdentity,
    trust_domain: &str,
) -> Result<Membership, EnrolError> {
    let answer = HttpsClient::new(service.clone(), tls).get("/.well-known/thingward/membership").await?;
    let membership = Membership::from_answer(&answer, service)?;
    if membership.principal() != leaf.principal || membership.trust_domain != trust_domain {
        let said = format!("spiffe://{}{}", membership.trust_domain, membership.principal());
        let certified = format!("spiffe://{trust_domain}{}", leaf.principal);
        return Err(EnrolError::OtherMember { said, certified });
    }
    Ok(membership)
}

/// The leaf for this key first, then the authorities.
///
/// # Errors
///
/// [`EnrolError::OtherKey`] when there is none for it.
pub fn own_chain(
    mut certificates: Vec<Vec<u8>>,
    key: &VerifyingKey,
    trust_domain: &str,
) -> Result<(Vec<Vec<u8>>, LeafIdentity), EnrolError> {
    let mut leaves = certificates.iter().enumerate().filter_map(|(at, der)| {
        let leaf = LeafIdentity::from_verified(der, trust_domain).ok()?;
        (leaf.key == *key).then_some((at, leaf))
    });
    let (at, leaf) = leaves.next_back().ok_or(EnrolError::OtherKey)?;
    let der = certificates.remove(at);
    certificates.insert(0, der);
    Ok((certificates, leaf))
}

/// The key of an enrolment that did not come to its end, so that the service may recognise the device that lost
/// its answer; else a new one.
pub(crate) fn pending_key(home: &Home, algorithm: SignatureAlgorithm) -> Result<SharedSigner, EnrolError> {
    match home.private_key()?.filter(|k| k.public_key().algorithm() == algorithm) {
        Some(key) => Ok(key),
        None => Ok(home.make_private_key(algorithm)?),
    }
}

/// The root with this fingerprint, from a server that nothing is known of yet. Only the root is taken from this
/// connection; whatever else is asked goes over another that demands it.
///
/// # Errors
///
/// [`EnrolError::OtherRoot`], or the exchange failed.
pub async fn fetch_root(service: &Endpoint, wanted: Fingerprint) -> Result<Vec<u8>, EnrolError> {
    let client = HttpsClient::new(service.clone(), dangerous_bootstrap_config()?);
    let answer = client.get(&format!("{}/cacerts", est::PATH)).await?;
    let mut certificates = est::decode_certificates(&answer)?.into_iter();
    let root = certificates.find(|der| Fingerprint::of(der) == wanted && is_self_signed(der));
    root.ok_or_else(|| EnrolError::OtherRoot { server: service.clone(), wanted })
}

pub(crate) fn is_self_signed(der: &[u8]) -> bool {
    Certificate::from_der(der).is_ok_and(|c| c.tbs_certificate().issuer() == c.tbs_certificate().subject())
}

/// The trust domain as the root names it, in its common name `<trust domain> root`.
///
/// # Errors
///
/// [`EnrolError::NoTrustDomain`] when it has no such name.
pub fn trust_domain(root: &[u8]) -> Result<String, EnrolError> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let certificate = Certificate::from_der(root).map_err(|_| EnrolError::NoTrustDomain)?;
    let subject = certificate.tbs_certificate().subject();
    let name = subject.iter().find(|a| a.oid == COMMON_NAME).and_then(|a| {
        let utf8 = a.value.decode_as::<Utf8StringRef<'_>>().map(|s| s.as_str().to_owned());
        utf8.or_else(|_| a.value.decode_as::<PrintableStringRef<'_>>().map(|s| s.as_str().to_owned())).ok()
    });
    let domain = name.as_deref().and_then(|n| n.strip_suffix(" root")).filter(|d| !d.is_empty());
    domain.map(str::to_owned).ok_or(EnrolError::NoTrustDomain)
}

/// File work, where it does not hold up the network.
pub(crate) async fn with_files<T: Send + 'static>(
    home: &Home,
    work: impl FnOnce(&Home) -> Result<T, EnrolError> + Send + 'static,
) -> Result<T, EnrolError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || work(&home)).await.map_err(|_| EnrolError::Stopping)?
}
