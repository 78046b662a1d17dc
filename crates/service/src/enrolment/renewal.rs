//! Members that show the certificate they have.

use rustls::pki_types::CertificateDer;
use thingward_ingress::Member;
use thingward_model::{DeviceName, Principal, Role, Timestamp};
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{Issued, LeafIdentity, SigningRequest};
use thingward_policy::{Forward, Permit, Resource, Subject};

use super::Refusal;
use super::certify::{Holder, certify};
use crate::attestation::{gave_way, may_renew};
use crate::shared::{MembershipTurn, Shared};

/// The enrolled member that a client certificate names.
///
/// # Errors
///
/// [`Refusal::NoCredential`], [`Refusal::NotAMember`], [`Refusal::Revoked`], or [`Refusal::Kept`] for a thing whose key is its
/// gateway's: that shows the key nowhere.
pub fn member_of(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<LeafIdentity, Refusal> {
    let leaf = chain.first().ok_or(Refusal::NoCredential)?;
    let ca = shared.authority.ca();
    let root = ca.root_der().map_err(|_| Refusal::Authority)?;
    verify_client_chain(chain, &[root], now).map_err(|_| Refusal::NotAMember)?;
    let identity = LeafIdentity::from_verified(leaf, ca.trust_domain()).map_err(|_| Refusal::NotAMember)?;
    let who = &identity.principal;
    let is_enrolled = shared.directory.role(&who.tenant, &who.name) == Some(who.role);
    if !is_enrolled || shared.directory.is_revoked(&identity.serial) {
        return Err(Refusal::Revoked);
    }
    if shared.directory.keeper(&who.tenant, &who.name).is_some() {
        return Err(Refusal::Kept);
    }
    Ok(identity)
}

/// Gives a member its next certificate.
///
/// # Errors
///
/// As [`member_of`], and [`Refusal::TooManyCertificates`]. [`Refusal::Revoked`] also for firmware in whose place other one
/// was accepted.
pub async fn renew(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let turn = shared.membership.lock().await;
    let LeafIdentity { principal: who, key, .. } = member_of(shared, chain, now)?;
    if gave_way(shared, &who, &key).await? {
        return Err(Refusal::Revoked);
    }
    let entry = shared.store.registry().principal(&who.tenant, &who.name).await?;
    let holder = Holder { hardware: entry.hardware.as_ref(), ..Holder::member(who) };
    certify(shared, &turn, holder, request, now).await
}

/// The device that the gateway with this certificate may speak for: one of its tenant, as when it carries its messages. A thing
/// that a gateway keeps is behind that one for good.
///
/// # Errors
///
/// As [`member_of`], and [`Refusal::NotBehind`].
pub fn child_of(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    device: &DeviceName,
    now: Timestamp,
) -> Result<Principal, Refusal> {
    let Principal { tenant, name: gateway, .. } = forwarder_of(shared, chain, now)?;
    let is_device = shared.directory.role(&tenant, device) == Some(Role::Device);
    let is_of_others = shared.directory.keeper(&tenant, device).is_some_and(|keeper| keeper != gateway);
    let child = Principal { tenant, role: Role::Device, name: *device };
    if is_device && !is_of_others { Ok(child) } else { Err(Refusal::NotBehind) }
}

/// The gateway with this certificate, which may speak for others.
///
/// # Errors
///
/// As [`child_of`].
pub(super) fn forwarder_of(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<Principal, Refusal> {
    let gateway = member_of(shared, chain, now)?.principal;
    let subject = Subject::Member(gateway);
    let decided = shared.directory.access.decide(&gateway.tenant, &subject, &Resource::Tenant);
    let _: Permit<Forward> = decided.map_err(|_| Refusal::NotBehind)?;
    Ok(gateway)
}

/// Gives a device behind a gateway its next certificate, for the key that it has now, or that its new firmware has whose evidence
/// was accepted. That the request is the device's shows its
/// signature; an old one brings a certificate that only the device can use.
///
/// # Errors
///
/// As [`child_of`], and [`Refusal::TooManyCertificates`].
pub async fn renew_child(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    device: &DeviceName,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let turn = shared.membership.lock().await;
    let principal = child_of(shared, chain, device, now)?;
    next_for_key(shared, &turn, principal, request, now).await
}

/// Gives a device that speaks CoAP with the service its next certificate, as [`renew_child`] does.
///
/// # Errors
///
/// [`Refusal::Revoked`], [`Refusal::NotBehind`], and [`Refusal::TooManyCertificates`].
pub async fn renew_known(
    shared: &Shared,
    who: &Member,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let turn = shared.membership.lock().await;
    if !shared.directory.is_member(who) {
        return Err(Refusal::Revoked);
    }
    next_for_key(shared, &turn, who.principal, request, now).await
}

async fn next_for_key(
    shared: &Shared,
    turn: &MembershipTurn<'_>,
    principal: Principal,
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    if !may_renew(shared, &principal, &request.key).await? {
        return Err(Refusal::NotBehind);
    }
    let entry = shared.store.registry().principal(&principal.tenant, &principal.name).await?;
    let holder =
        Holder { hardware: entry.hardware.as_ref(), keeper: entry.keeper, ..Holder::member(principal) };
    certify(shared, turn, holder, request, now).await
}
