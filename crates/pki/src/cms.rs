//! Certs-only CMS: the degenerate `SignedData` in which EST carries certificates. RFC 7030 §4.1.3, RFC 5652 §5.

use der::asn1::{ObjectIdentifier, SetOfVec};
use der::{Any, Decode, Encode, Sequence};
use x509_cert::Certificate;

use crate::PkiError;
use crate::profile::to_der;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// Most certificates that are read from one message.
const CERTIFICATES_MAX: usize = 16;
/// Largest message that is read, in bytes.
pub const CMS_BYTES_MAX: usize = 64 * 1024;

#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

#[derive(Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<Any>,
    content: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    crls: Option<SetOfVec<Any>>,
    signer_infos: SetOfVec<Any>,
}

#[derive(Sequence)]
struct EncapsulatedContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<Any>,
}

/// A certs-only message with these certificates in DER.
///
/// # Errors
///
/// [`PkiError::Malformed`] when one is no certificate.
pub fn encode(certificates: &[Vec<u8>]) -> Result<Vec<u8>, PkiError> {
    let malformed = |_| PkiError::Malformed { what: "certificate" };
    let mut set = SetOfVec::new();
    for der in certificates {
        set.insert(Any::from_der(der).map_err(malformed)?).map_err(malformed)?;
    }
    to_der(&ContentInfo {
        content_type: SIGNED_DATA,
        content: SignedData {
            version: 1,
            digest_algorithms: SetOfVec::new(),
            content: EncapsulatedContentInfo { content_type: DATA, content: None },
            certificates: Some(set),
            crls: None,
            signer_infos: SetOfVec::new(),
        },
    })
}

/// The certificates of a certs-only message, in DER, in no order that means anything.
///
/// # Errors
///
/// [`PkiError`] when the message is something else, too large, or empty.
pub fn decode(der: &[u8]) -> Result<Vec<Vec<u8>>, PkiError> {
    if der.len() > CMS_BYTES_MAX {
        return Err(PkiError::TooLarge { what: "certs-only message", limit_bytes: CMS_BYTES_MAX });
    }
    let malformed = || PkiError::Malformed { what: "certs-only message" };
    let info = ContentInfo::from_der(der).map_err(|_| malformed())?;
    if info.content_type != SIGNED_DATA {
        return Err(malformed());
    }
    let set = info.content.certificates.ok_or_else(malformed)?;
    if set.is_empty() || set.len() > CERTIFICATES_MAX {
        return Err(malformed());
    }
    let certificate = |any: &Any| {
        let der = any.to_der().map_err(|_| malformed())?;
        Certificate::from_der(&der).map_err(|_| malformed())?;
        Ok(der)
    };
    set.iter().map(certificate).collect()
}
