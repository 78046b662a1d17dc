//! The revocation list of the issuing authority: RFC 5280 §5.

use std::collections::BTreeSet;

use der::Decode;
use thingward_model::Timestamp;
use x509_cert::Certificate;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;

use crate::PkiError;
use crate::ca::timestamp;
use crate::identity::key_of;
use crate::signer::check_signature;

/// What a list says that its authority signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    /// Serial numbers of the certificates that are revoked.
    pub revoked: BTreeSet<Vec<u8>>,
    /// It says nothing about a time from here on.
    pub next_update: Timestamp,
}

impl Crl {
    /// Reads a list of the authority with this certificate, both in DER.
    ///
    /// # Errors
    ///
    /// [`PkiError::Malformed`], also for a list that is not of all certificates or has no end;
    /// [`PkiError::Signature`] when it is of another authority.
    pub fn read(der: &[u8], issuing: &[u8]) -> Result<Self, PkiError> {
        let malformed = || PkiError::Malformed { what: "CRL" };
        let issuing = Certificate::from_der(issuing)
            .map_err(|_| PkiError::Malformed { what: "issuing certificate" })?;
        let list = CertificateList::<Rfc5280>::from_der(der).map_err(|_| malformed())?.tbs_cert_list;
        // It may be only of a part of the certificates, for one: RFC 5280 §5.2.
        if list.crl_extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(malformed());
        }
        check_signature(der, &key_of(&issuing)?)?;
        let revoked = list.revoked_certificates.iter().flatten();
        Ok(Self {
            revoked: revoked.map(|entry| entry.serial_number.as_bytes().to_vec()).collect(),
            next_update: timestamp(list.next_update.ok_or_else(malformed)?),
        })
    }
}
