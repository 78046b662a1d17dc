//! Enrolment with the certificate that a maker put into a thing: IDevID of IEEE 802.1AR.

use std::slice;

use rustls::pki_types::CertificateDer;
use thingward_crypto::Digest;
use thingward_model::{DeviceName, Principal, Role, TenantName, Timestamp};
use thingward_pki::identity::authority_key;
use thingward_pki::tls::verify_client_chain;
use thingward_pki::{InitialIdentity, Issued, SigningRequest};
use thingward_store::StoreError;
use thingward_store::registry::{Admit, Hardware, LIST_MAX, Maker, PrincipalState, Registry};

use super::Refusal;
use super::certify::{Holder, Standing, certify};
use crate::shared::Shared;

/// Gives a thing of a trusted maker its certificate for `tenant`.
///
/// # Errors
///
/// [`Refusal`] says which condition does not hold. An unknown tenant is one that trusts nobody.
pub async fn enrol_with_initial_identity(
    shared: &Shared,
    tenant: TenantName,
    chain: &[CertificateDer<'static>],
    request: &SigningRequest,
    now: Timestamp,
) -> Result<Issued, Refusal> {
    let registry = shared.store.registry();
    let leaf = chain.first().ok_or(Refusal::NoCredential)?;
    let makers = makers_of(registry, &tenant).await?;
    let mut makers = makers.into_iter();
    let maker = makers.find(|m| verify_client_chain(chain, &m.certificates, now).is_ok());
    let maker = maker.ok_or(Refusal::UntrustedMaker)?;
    let maker_key = issuer_key(leaf, chain, &maker, now).ok_or(Refusal::UntrustedMaker)?;
    let serial = InitialIdentity::from_verified(leaf).map_err(Refusal::Request)?.serial_number;
    let hardware = Hardware { maker: maker.name.clone(), maker_key, serial };
    let turn = shared.membership.lock().await;
    let (standing, name) = match registry.principal_of_hardware(&hardware).await {
        Ok(known) if known.principal.tenant == tenant => {
            not_revoked(registry, &known.principal).await?;
            (Standing::Member, known.principal.name)
        }
        Ok(_) => return Err(Refusal::NotReleased),
        Err(StoreError::NotFound { .. }) => {
            (Standing::New, new_name(registry, &maker, &hardware.serial).await?)
        }
        Err(e) => return Err(e.into()),
    };
    let principal = Principal { tenant, role: Role::Device, name };
    let holder = Holder { standing, principal, hardware: Some(&hardware), keeper: None, claim_code: None };
    certify(shared, &turn, holder, request, now).await
}

/// The key that signed a thing's certificate: the same whatever a tenant calls the maker, and whichever of its
/// authorities the tenant trusts.
fn issuer_key(
    leaf: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    maker: &Maker,
    now: Timestamp,
) -> Option<Digest> {
    let mut authorities = chain.iter().map(|der| der.to_vec()).chain(maker.certificates.iter().cloned());
    let signed_leaf =
        |der: &Vec<u8>| verify_client_chain(slice::from_ref(leaf), slice::from_ref(der), now).is_ok();
    authority_key(&authorities.find(signed_leaf)?).ok()
}

/// The makers that a tenant trusts, in the order of their names.
///
/// # Errors
///
/// What the registry says.
pub(crate) async fn makers_of(registry: &Registry, tenant: &TenantName) -> Result<Vec<Maker>, StoreError> {
    let mut makers = registry.makers(Some((tenant, "")), LIST_MAX).await?;
    makers.retain(|m| m.tenant == *tenant);
    Ok(makers)
}

/// A thing that was revoked comes back only after its owner released it.
async fn not_revoked(registry: &Registry, member: &Principal) -> Result<(), Refusal> {
    let keys = registry.keys(&member.tenant, &member.name).await?;
    match keys.first() {
        Some(newest) if newest.revoked.is_some() => Err(Refusal::Revoked),
        _ => Ok(()),
    }
}

/// The name of a thing that is new here.
async fn new_name(registry: &Registry, maker: &Maker, serial: &str) -> Result<DeviceName, Refusal> {
    let expected = registry.expected_serial(&maker.tenant, &maker.name, serial).await?;
    if expected.is_none() && maker.admit == Admit::Listed {
        return Err(Refusal::UnexpectedSerial { serial: serial.to_owned() });
    }
    let name = expected
        .and_then(|e| e.name)
        .or_else(|| name_from_serial(serial))
        .ok_or_else(|| Refusal::NoName { serial: serial.to_owned() })?;
    match registry.principal(&maker.tenant, &name).await {
        Ok(known) if known.state != PrincipalState::Released => {
            Err(Refusal::NameInUse { name: name.to_string() })
        }
        Ok(_) | Err(StoreError::NotFound { .. }) => Ok(name),
        Err(e) => Err(e.into()),
    }
}

/// A serial number as a name: what a name cannot have becomes `-`.
fn name_from_serial(serial: &str) -> Option<DeviceName> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = serial.chars().map(plain).collect();
    name.trim_start_matches(['-', '_', '.']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_becomes_the_nearest_name() {
        for (serial, name) in [
            ("4711", Some("4711")),
            ("SN 12/A", Some("SN-12-A")),
            ("-x", Some("x")),
            ("///", None),
            (&"9".repeat(64), None),
        ] {
            assert_eq!(name_from_serial(serial), name.map(|n| n.parse().unwrap()), "{serial}");
        }
    }
}
