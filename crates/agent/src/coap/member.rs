//! Membership over CoAP: enrolment, renewal, evidence. What EST and its neighbours are over HTTPS, at a gateway or the service.

use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, path, with_format};
use thingward_crypto::SignatureAlgorithm;
use thingward_model::Principal;
use thingward_pki::proof::{self, Purpose};
use thingward_pki::{PkiError, SigningRequest, cms};
use zeroize::Zeroizing;

use super::session::{CoapError, Session, success};
use super::uplink::CoapClient;
use crate::attest::token;
use crate::claim::{Claim, Fingerprint};
use crate::enrol::{
    EnrolError, check_is_free, is_self_signed, pending_key, trust_domain, verified, with_files,
};
use crate::home::{Home, Identity};
use crate::http::{Endpoint, HTTPS_PORT};
use crate::membership::Membership;
use crate::stream::SharedSigner;

/// Who answers under OSCORE.
pub(crate) trait Answers {
    /// The answer, whatever it is.
    fn answer(&mut self, packet: Packet) -> impl Future<Output = Result<Packet, CoapError>> + Send;
}

impl Answers for Session {
    async fn answer(&mut self, packet: Packet) -> Result<Packet, CoapError> {
        self.ask(packet).await
    }
}

impl Answers for CoapClient {
    async fn answer(&mut self, packet: Packet) -> Result<Packet, CoapError> {
        self.ask(packet).await
    }
}

/// A session with who knows whose it is: by the certificate, or by the raw key with an end that does not take the certificate's.
pub(super) async fn open(home: &Home, at: &Endpoint) -> Result<Session, EnrolError> {
    let read = |home: &Home| Ok((home.identity()?, home.raw_key()?));
    let (identity, raw) = with_files(home, read).await?;
    if let Some(session) = Session::certified(at, &identity).await? {
        return Ok(session);
    }
    let mut session = Session::agree(at, &raw).await?;
    let membership = &identity.membership;
    session.prove(&identity.root, &membership.trust_domain, Some(membership.tenant)).await?;
    let first = session.ask(Packet::to(Code::GET, path::DOWN)).await?;
    if first.code != Code::FORBIDDEN {
        success(first)?;
        return Ok(session);
    }
    // Who does not know the raw key is shown the certificate.
    let export = Zeroizing::new(*session.export());
    let sign = move |_: &Home| {
        let key = identity.key.as_ref();
        Ok(proof::sign(key, &identity.chain, Purpose::Join, export.as_slice()).map_err(CoapError::from)?)
    };
    let proof = with_files(home, sign).await?;
    success(session.ask(Packet::to(Code::POST, path::JOIN).with_payload(&proof)).await?)?;
    Ok(session)
}

async fn get(of: &mut impl Answers, segments: &[&str]) -> Result<Vec<u8>, CoapError> {
    Ok(success(of.answer(Packet::to(Code::GET, segments)).await?)?.payload)
}

/// Gets an identity from the gateway or service at `at`, and keeps it in `home`. The private keys are made here. The claim is
/// shown only to one of the installation that it names.
///
/// # Errors
///
/// [`EnrolError`]; the home then has no membership, and enrolment may be tried again.
pub async fn enrol(
    home: &Home,
    at: &Endpoint,
    claim: &Claim,
    algorithm: SignatureAlgorithm,
) -> Result<Identity, EnrolError> {
    check_is_free(home).await?;
    let keys = move |home: &Home| Ok((home.raw_key()?, pending_key(home, algorithm)?));
    let (raw, key) = with_files(home, keys).await?;
    let mut session = Session::agree(at, &raw).await?;
    let authorities = cms::decode(&get(&mut session, path::AUTHORITIES).await?)?;
    let is_wanted = |der: &Vec<u8>| Fingerprint::of(der) == claim.root && is_self_signed(der);
    let other = || EnrolError::OtherRoot { server: at.clone(), wanted: claim.root };
    let root = authorities.into_iter().find(is_wanted).ok_or_else(other)?;
    let trust_domain = trust_domain(&root)?;
    let answerer = session.prove(&root, &trust_domain, None).await?;
    let query = Zeroizing::new(format!("code={}", claim.code.as_str()));
    let request = Packet::to(Code::POST, path::ENROL).with(OptionNumber::URI_QUERY, query.as_bytes());
    let certified = certificate(&mut session, request, &key, &root, &trust_domain).await?;
    let near = Endpoint { host: at.host.clone(), port: HTTPS_PORT };
    let identity = identity(&mut session, certified, (key, root, trust_domain), &near).await?;
    if !answerer.is_of(identity.membership.tenant) {
        return Err(CoapError::Other(answerer.to_string()).into());
    }
    let identity = kept(home, identity).await?;
    // A member that is not attested is one all the same, and shown as such.
    if let Err(error) = attest(home, &mut session).await {
        tracing::warn!(%error, "the service has no evidence of this device");
    }
    Ok(identity)
}

/// As [`crate::enrol::renew`].
pub(crate) async fn renew(home: &Home, client: &mut impl Answers) -> Result<Identity, EnrolError> {
    let old = with_files(home, |home| Ok(home.identity()?)).await?;
    let trust_domain = old.membership.trust_domain;
    let request = Packet::to(Code::POST, path::RENEW);
    let certified = certificate(client, request, &old.key, &old.root, &trust_domain).await?;
    let near = old.membership.service;
    kept(home, identity(client, certified, (old.key, old.root, trust_domain), &near).await?).await
}

/// As [`crate::enrol::renew`], of a device that does not run, at the gateway or service at `at`.
///
/// # Errors
///
/// [`EnrolError`]; the old identity is untouched.
pub async fn renew_at(home: &Home, at: &Endpoint) -> Result<Identity, EnrolError> {
    renew(home, &mut open(home, at).await?).await
}

/// As [`crate::enrol::refresh`].
pub(crate) async fn refresh(
    home: &Home,
    client: &mut impl Answers,
) -> Result<Option<Membership>, EnrolError> {
    let old = with_files(home, |home| Ok(home.identity()?)).await?;
    let near = &old.membership.service;
    let membership = Membership::from_coap(&get(client, path::MEMBERSHIP).await?, near)?;
    check(&membership, old.leaf.principal, &old.membership.trust_domain)?;
    if membership == old.membership {
        return Ok(None);
    }
    with_files(home, move |home| {
        home.save_membership(&old.root, &old.chain, &membership)?;
        Ok(Some(membership))
    })
    .await
}

/// As [`crate::attest::attest`].
pub(crate) async fn attest(home: &Home, client: &mut impl Answers) -> Result<(), EnrolError> {
    let nonce = get(client, path::ATTESTATION).await?;
    let evidence = with_files(home, move |home| token(home, &home.identity()?, &nonce)).await?;
    let brought = Packet::to(Code::POST, path::ATTESTATION).with_payload(&evidence);
    success(client.answer(brought).await?)?;
    Ok(())
}

type Certified = (Vec<Vec<u8>>, thingward_pki::LeafIdentity);

/// The certificates for this key.
async fn certificate(
    client: &mut impl Answers,
    request: Packet,
    key: &SharedSigner,
    root: &[u8],
    trust_domain: &str,
) -> Result<Certified, EnrolError> {
    let name = "device".parse().map_err(|_| PkiError::Signer)?;
    let request = with_format(request, format::REQUEST);
    let signed = request.with_payload(&SigningRequest::create(&name, key.as_ref())?);
    let answer = success(client.answer(signed).await?)?;
    verified(cms::decode(&answer.payload)?, key.public_key(), root, trust_domain)
}

async fn identity(
    client: &mut impl Answers,
    (chain, leaf): Certified,
    (key, root, trust_domain): (SharedSigner, Vec<u8>, String),
    near: &Endpoint,
) -> Result<Identity, EnrolError> {
    let membership = Membership::from_coap(&get(client, path::MEMBERSHIP).await?, near)?;
    check(&membership, leaf.principal, &trust_domain)?;
    Ok(Identity { key, chain, root, membership, leaf })
}

fn check(membership: &Membership, certified: Principal, trust_domain: &str) -> Result<(), EnrolError> {
    if membership.principal() == certified && membership.trust_domain == trust_domain {
        return Ok(());
    }
    let said = format!("spiffe://{}{}", membership.trust_domain, membership.principal());
    Err(EnrolError::OtherMember { said, certified: format!("spiffe://{trust_domain}{certified}") })
}

async fn kept(home: &Home, identity: Identity) -> Result<Identity, EnrolError> {
    with_files(home, |home| {
        home.save_membership(&identity.root, &identity.chain, &identity.membership)?;
        Ok(identity)
    })
    .await
}
