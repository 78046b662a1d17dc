//! What a verified certificate says about its holder.

use std::fmt;

use der::{Decode, Encode};
use thingward_crypto::{Digest, VerifyingKey, sha256};
use thingward_model::{Principal, Role, TenantName, Timestamp};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::PkiError;
use crate::profile::SERIAL_NUMBER;

/// A member of a tenant, from a certificate that our authority issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafIdentity {
    /// Who.
    pub principal: Principal,
    /// The certificate's serial number.
    pub serial: Vec<u8>,
    /// The holder's key.
    pub key: VerifyingKey,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid to.
    pub not_after: Timestamp,
}

impl LeafIdentity {
    /// Reads the identity of a certificate whose chain was verified to our root.
    ///
    /// # Errors
    ///
    /// [`PkiError::Malformed`] when the certificate names nobody of `trust_domain`.
    pub fn from_verified(der: &[u8], trust_domain: &str) -> Result<Self, PkiError> {
        let malformed = || PkiError::Malformed { what: "certificate identity" };
        let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
        let principal = spiffe_id(&certificate)
            .and_then(|id| Principal::from_spiffe_id(&id, trust_domain))
            .ok_or_else(malformed)?;
        let tbs = certificate.tbs_certificate();
        Ok(Self {
            principal,
            serial: tbs.serial_number().as_bytes().to_vec(),
            key: key_of(&certificate)?,
            not_before: crate::ca::timestamp(tbs.validity().not_before),
            not_after: crate::ca::timestamp(tbs.validity().not_after),
        })
    }
}

/// Who answers members: they speak to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The service of the installation.
    Service,
    /// A gateway of a tenant.
    Gateway(Principal),
}

impl Server {
    /// Reads a SPIFFE ID of this trust domain; `None` when it is nobody's who answers.
    #[must_use]
    pub fn from_spiffe_id(id: &str, trust_domain: &str) -> Option<Self> {
        let path = id.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(trust_domain));
        if path == Some("/service") {
            return Some(Self::Service);
        }
        let principal = Principal::from_spiffe_id(id, trust_domain)?;
        (principal.role == Role::Gateway).then_some(Self::Gateway(principal))
    }

    /// Whether members of this tenant speak to it.
    #[must_use]
    pub fn is_of(&self, tenant: TenantName) -> bool {
        match self {
            Self::Service => true,
            Self::Gateway(gateway) => gateway.tenant == tenant,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("/service"),
            Self::Gateway(gateway) => gateway.fmt(f),
        }
    }
}

/// Who answers, by a certificate whose chain was verified to our root, and its key.
///
/// # Errors
///
/// [`PkiError::Malformed`] when it names nobody who does.
pub(crate) fn server_of(der: &[u8], trust_domain: &str) -> Result<(Server, VerifyingKey), PkiError> {
    let malformed = || PkiError::Malformed { what: "server identity" };
    let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
    let id = spiffe_id(&certificate).ok_or_else(malformed)?;
    let server = Server::from_spiffe_id(&id, trust_domain).ok_or_else(malformed)?;
    Ok((server, key_of(&certificate)?))
}

pub(crate) fn key_of(certificate: &Certificate) -> Result<VerifyingKey, PkiError> {
    let malformed = |_| PkiError::Malformed { what: "certificate identity" };
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(malformed)?;
    VerifyingKey::from_spki(&spki).map_err(|_| PkiError::KeyAlgorithm)
}

/// A device as its maker made it: IDevID of IEEE 802.1AR §8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialIdentity {
    /// The maker's serial number of the device.
    pub serial_number: String,
}

impl InitialIdentity {
    /// Reads the serial number of a certificate whose chain was verified to a maker's authority.
    ///
    /// # Errors
    ///
    /// [`PkiError::Malformed`] when the subject has no serial number: then it is no IDevID.
    pub fn from_verified(der: &[u8]) -> Result<Self, PkiError> {
        let malformed = || PkiError::Malformed { what: "IDevID certificate" };
        let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
        let subject = certificate.tbs_certificate().subject();
        let value = subject
            .iter()
            .find(|a| a.oid == SERIAL_NUMBER)
            .and_then(|a| std::str::from_utf8(a.value.value()).ok())
            .filter(|s| !s.is_empty() && s.len() <= 64 && s.chars().all(|c| c.is_ascii_graphic() || c == ' '))
            .ok_or_else(malformed)?;
        Ok(Self { serial_number: value.to_owned() })
    }
}

/// Names an authority by its key, whatever certificate it has: SHA-256 of its SubjectPublicKeyInfo.
///
/// # Errors
///
/// [`PkiError::Malformed`] when the bytes are no certificate.
pub fn authority_key(der: &[u8]) -> Result<Digest, PkiError> {
    let malformed = |_| PkiError::Malformed { what: "CA certificate" };
    let certificate = Certificate::from_der(der).map_err(malformed)?;
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(malformed)?;
    Ok(sha256(&[&spki]))
}

/// The one URI among the alternative names; SPIFFE allows no second.
pub(crate) fn spiffe_id(certificate: &Certificate) -> Option<String> {
    let (_, names) = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()??;
    let mut uris = names.0.iter().filter_map(|n| match n {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
        _ => None,
    });
    let id = uris.next()?;
    uris.next().is_none().then_some(id)
}
