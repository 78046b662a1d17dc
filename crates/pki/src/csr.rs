//! Certificate signing requests: PKCS#10, RFC 2986.

use der::{Decode, Encode};
use thingward_crypto::{Signer, VerifyingKey};
use thingward_model::DeviceName;
use x509_cert::request::{CertReq, RequestBuilder};
use x509_cert::spki::ObjectIdentifier;

use crate::PkiError;
use crate::profile::{distinguished_name, to_der};
use crate::signer::{build, check_signature};

/// Largest request that is read, in bytes. One with a P-256 key and a few extensions has under 1 KiB.
pub const CSR_BYTES_MAX: usize = 8 * 1024;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A request whose signature shows that the sender holds the key. Subject and extensions are not kept: the
/// profile decides what a certificate says, never the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// The key to certify.
    pub key: VerifyingKey,
    /// The request itself, in DER: what its sender signed.
    pub der: Vec<u8>,
}

impl SigningRequest {
    /// Reads a request in DER and checks its signature.
    ///
    /// # Errors
    ///
    /// [`PkiError`] says whether size, form, key algorithm or signature is wrong.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        if der.len() > CSR_BYTES_MAX {
            return Err(PkiError::TooLarge { what: "signing request", limit_bytes: CSR_BYTES_MAX });
        }
        let malformed = |_| PkiError::Malformed { what: "signing request" };
        let request = CertReq::from_der(der).map_err(malformed)?;
        let spki = request.info.public_key.to_der().map_err(malformed)?;
        let key = VerifyingKey::from_spki(&spki).map_err(|_| PkiError::KeyAlgorithm)?;
        check_signature(der, &key)?;
        Ok(Self { key, der: der.to_vec() })
    }

    /// Makes a request, in DER. The name in it is for a human who looks at it.
    ///
    /// # Errors
    ///
    /// [`PkiError::Signer`] when the signer fails.
    pub fn create(name: &DeviceName, signer: &dyn Signer) -> Result<Vec<u8>, PkiError> {
        let builder = RequestBuilder::new(distinguished_name(&[(COMMON_NAME, name.to_string())]))
            .map_err(|_| PkiError::Signer)?;
        to_der(&build(builder, signer)?)
    }
}
