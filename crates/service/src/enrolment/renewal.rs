//! Members that show the certificate they have.

use rustls::pki_types::CertificateDer;
use thingward_model::Timestamp;
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{Issued, LeafIdentity, SigningRequest};

use super::Refusal;
use crate::shared::Shared;

/// The enrolled member that a client certificate names.
///
/// # Errors
///
/// [`Refusal::NoCredential`], [`Refusal::NotAMember`] or [`Refusal::Revoked`].
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
    Ok(identity)
}

/// Gives a member its next certificate.
///
/// # Errors
///
/// As [`member_of`].
pub async fn renew(
    shared: &Shared,
    chain: &[CertificateDer<'static>],
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let who = member_of(shared, chain, now)?.principal;
    let entry = shared.store.registry().principal(&who.tenant, &who.name).await?;
    let (store, directory) = (&shared.store, &shared.directory);
    Ok(shared.authority.enrol(store, directory, who, entry.hardware.as_ref(), &request.key, now).await?)
}
