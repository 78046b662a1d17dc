//! Enrolment over Secure Transport: the bodies of RFC 7030. HTTP around them is the programs' business.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use der::Encode;
use der::asn1::{ObjectIdentifier, SetOfVec};

use crate::PkiError;
use crate::csr::{CSR_BYTES_MAX, SigningRequest};

/// Where EST lives on a server: RFC 7030 §3.2.2.
pub const PATH: &str = "/.well-known/est";
/// Media type of certificates: §4.1.3, RFC 8951 §3.
pub const CERTIFICATES_TYPE: &str = "application/pkcs7-mime; smime-type=certs-only";
/// Media type of a request: §4.2.1.
pub const REQUEST_TYPE: &str = "application/pkcs10";
/// Media type of the attributes: §4.5.2.
pub const ATTRIBUTES_TYPE: &str = "application/csrattrs";
/// Largest request body in bytes: base64 of the largest request, with line breaks.
pub const BODY_BYTES_MAX: usize = CSR_BYTES_MAX * 3 / 2;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Certificates as the body of an EST answer.
///
/// # Errors
///
/// As [`crate::cms::encode`].
pub fn encode_certificates(certificates: &[Vec<u8>]) -> Result<String, PkiError> {
    Ok(wrap(&crate::cms::encode(certificates)?))
}

/// The certificates of an EST answer's body.
///
/// # Errors
///
/// As [`crate::cms::decode`].
pub fn decode_certificates(body: &[u8]) -> Result<Vec<Vec<u8>>, PkiError> {
    crate::cms::decode(&unwrap(body, "certs-only message")?)
}

/// A signing request as the body of an EST request.
#[must_use]
pub fn encode_request(der: &[u8]) -> String {
    wrap(der)
}

/// The signing request of an EST request's body: base64 with or without line breaks, or plain DER, which RFC
/// 8951 §3.1 has servers expect from clients of either reading.
///
/// # Errors
///
/// As [`SigningRequest::from_der`].
pub fn decode_request(body: &[u8]) -> Result<SigningRequest, PkiError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(PkiError::TooLarge { what: "signing request", limit_bytes: BODY_BYTES_MAX });
    }
    const DER_SEQUENCE: u8 = 0x30;
    // Base64 of DER that starts with 0x30 starts with `M`, so the two cannot be confused.
    if body.first() == Some(&DER_SEQUENCE) {
        return SigningRequest::from_der(body);
    }
    SigningRequest::from_der(&unwrap(body, "signing request")?)
}

/// What a request should hold: §4.5.2. A P-256 key and a signature with SHA-256.
///
/// # Errors
///
/// [`PkiError::Signer`] never, in practice: the encoder's own failure.
pub fn attributes() -> Result<String, PkiError> {
    const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    #[derive(der::Sequence)]
    struct KeyType {
        oid: ObjectIdentifier,
        values: SetOfVec<ObjectIdentifier>,
    }
    let encode = || -> der::Result<Vec<u8>> {
        let mut values = SetOfVec::new();
        values.insert(P256)?;
        let key_type = der::Any::encode_from(&KeyType { oid: EC_PUBLIC_KEY, values })?;
        let signature = der::Any::encode_from(&ECDSA_WITH_SHA256)?;
        vec![key_type, signature].to_der()
    };
    Ok(wrap(&encode().map_err(|_| PkiError::Signer)?))
}

/// Base64 in lines of 64 characters, as MIME wants and strict readers of RFC 8951 accept.
fn wrap(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut wrapped = String::with_capacity(text.len() + text.len() / 64 + 1);
    for (i, c) in text.chars().enumerate() {
        if i != 0 && i % 64 == 0 {
            wrapped.push('\n');
        }
        wrapped.push(c);
    }
    wrapped.push('\n');
    wrapped
}

fn unwrap(body: &[u8], what: &'static str) -> Result<Vec<u8>, PkiError> {
    let text: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    LENIENT.decode(text).map_err(|_| PkiError::Malformed { what })
}
