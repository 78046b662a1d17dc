//! Whom a listener for members lets in: who has a certificate of the issuing authority that its CRL does not name.

use std::sync::Arc;

use der::Decode;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use thingward_model::Timestamp;
use x509_cert::Certificate;

use crate::PkiError;
use crate::ca::timestamp;
use crate::crl::Crl;
use crate::identity::key_of;
use crate::signer::check_signature;
use crate::tls::unix;

/// What is the same for all members, the issuing certificate and the CRL, is checked once here and not in each handshake.
#[derive(Debug)]
pub(crate) struct MemberVerifier {
    /// Takes what the issuing authority issued.
    issued: Arc<dyn ClientCertVerifier>,
    /// The issuing certificate ends.
    not_after: Timestamp,
    crl: Crl,
}

impl MemberVerifier {
    /// `issued` takes certificates of the authority with the certificate `issuing`, which the root signed.
    ///
    /// # Errors
    ///
    /// [`PkiError`] says what of them is malformed, or not signed as it should be.
    pub(crate) fn new(
        root: &[u8],
        issuing: &[u8],
        crl: &[u8],
        issued: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, PkiError> {
        check_signature(issuing, &key_of(&read(root)?)?)?;
        let not_after = timestamp(read(issuing)?.tbs_certificate().validity().not_after);
        Ok(Self { issued, not_after, crl: Crl::read(crl, issuing)? })
    }
}

fn read(certificate: &[u8]) -> Result<Certificate, PkiError> {
    Certificate::from_der(certificate).map_err(|_| PkiError::Malformed { what: "CA certificate" })
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        time: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.issued.verify_client_cert(leaf, intermediates, time)?;
        let (not_after, next_update) = (unix(self.not_after), unix(self.crl.next_update));
        if time > not_after {
            return Err(CertificateError::ExpiredContext { time, not_after }.into());
        }
        if time >= next_update {
            return Err(CertificateError::ExpiredRevocationListContext { time, next_update }.into());
        }
        let leaf = Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        if self.crl.revoked.contains(leaf.tbs_certificate().serial_number().as_bytes()) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}
