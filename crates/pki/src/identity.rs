//! What a verified certificate says about its holder.

use der::{Decode, Encode};
use thingward_crypto::{Digest, VerifyingKey, sha256};
use thingward_model::{Principal, Timestamp};
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
        let spki = tbs.subject_public_key_info().to_der().map_err(|_| malformed())?;
        Ok(Self {
            principal,
            serial: tbs.serial_number().as_bytes().to_vec(),
            key: VerifyingKey::from_spki(&spki).map_err(|_| PkiError::KeyAlgorithm)?,
            not_before: crate::ca::timestamp(tbs.validity().not_before),
            not_after: crate::ca::timestamp(tbs.validity().not_after),
        })
    }
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
