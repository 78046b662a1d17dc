//! Our signers in the forms that the X.509 builder and TLS ask for.

use std::fmt;
use std::sync::Arc;

use der::asn1::{BitString, BitStringRef, UintRef};
use der::{AnyRef, Decode, Encode, Sequence};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};
use signature::Keypair;
use thingward_crypto::{SignatureAlgorithm, Signer, VerifyingKey};
use x509_cert::builder::Builder;
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, AlgorithmIdentifierRef, Document, DynSignatureAlgorithmIdentifier,
    EncodePublicKey, ObjectIdentifier,
};

use crate::PkiError;

/// RFC 5758 §3.2.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// RFC 3279 §2.2.3.
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

const fn signature_oid(algorithm: SignatureAlgorithm) -> ObjectIdentifier {
    match algorithm {
        SignatureAlgorithm::Ed25519 => ED25519,
        SignatureAlgorithm::EcdsaP256 => ECDSA_WITH_SHA256,
    }
}

/// A signature in the encoding that certificates carry.
fn encode_signature(algorithm: SignatureAlgorithm, raw: &[u8; 64]) -> der::Result<BitString> {
    match algorithm {
        SignatureAlgorithm::Ed25519 => BitString::from_bytes(raw),
        SignatureAlgorithm::EcdsaP256 => {
            let (r, s) = raw.split_at(32);
            BitString::from_bytes(&EcdsaSignature { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()?)
        }
    }
}

/// The raw form of a signature as certificates carry it; `None` when it is malformed.
fn decode_signature(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Option<[u8; 64]> {
    match algorithm {
        SignatureAlgorithm::Ed25519 => bytes.try_into().ok(),
        SignatureAlgorithm::EcdsaP256 => {
            let decoded = EcdsaSignature::from_der(bytes).ok()?;
            let mut raw = [0; 64];
            for (half, number) in raw.chunks_exact_mut(32).zip([decoded.r, decoded.s]) {
                let number = number.as_bytes();
                let at = half.len().checked_sub(number.len())?;
                half.get_mut(at..)?.copy_from_slice(number);
            }
            Some(raw)
        }
    }
}

/// What is signed, and its signature: the form of certificates, requests and CRLs (RFC 5280 §4.1 and §5.1, RFC 2986 §4.2).
#[derive(Sequence)]
struct SignedDer<'a> {
    signed: AnyRef<'a>,
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: BitStringRef<'a>,
}

/// Checks the signature of a certificate, request or CRL.
///
/// # Errors
///
/// [`PkiError::KeyAlgorithm`] when it is of another kind of key, [`PkiError::Signature`] when it is not of this one.
pub(crate) fn check_signature(der: &[u8], key: &VerifyingKey) -> Result<(), PkiError> {
    let malformed = |_| PkiError::Malformed { what: "signed DER" };
    let SignedDer { signed, algorithm, signature } = SignedDer::from_der(der).map_err(malformed)?;
    if algorithm.oid != signature_oid(key.algorithm()) {
        return Err(PkiError::KeyAlgorithm);
    }
    // The exact signed bytes, not our encoding of what we understood.
    let signed = signed.to_der().map_err(malformed)?;
    let signature = signature.as_bytes().and_then(|bytes| decode_signature(key.algorithm(), bytes));
    key.verify(&signed, &signature.ok_or(PkiError::Signature)?).map_err(|_| PkiError::Signature)
}

/// Builds and signs a certificate, request or CRL.
pub(crate) fn build<B: Builder>(mut builder: B, signer: &dyn Signer) -> Result<B::Output, PkiError> {
    let adapter = Adapter(signer.public_key());
    let tbs = builder.finalize(&adapter).map_err(|_| PkiError::Signer)?;
    let raw = signer.sign(&tbs)?;
    let signature = encode_signature(signer.public_key().algorithm(), &raw).map_err(|_| PkiError::Signer)?;
    builder.assemble(signature, &adapter).map_err(|_| PkiError::Signer)
}

struct Adapter<'a>(&'a VerifyingKey);

#[derive(Clone)]
pub(crate) struct PublicKey(VerifyingKey);

impl Keypair for Adapter<'_> {
    type VerifyingKey = PublicKey;
    fn verifying_key(&self) -> PublicKey {
        PublicKey(self.0.clone())
    }
}

impl EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Document::try_from(self.0.to_spki()).map_err(Into::into)
    }
}

impl DynSignatureAlgorithmIdentifier for Adapter<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned { oid: signature_oid(self.0.algorithm()), parameters: None })
    }
}

/// A key in TLS, wherever it is.
#[derive(Clone)]
pub(crate) struct TlsKey(pub(crate) Arc<dyn Signer + Send + Sync>);

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsKey")
    }
}

impl TlsKey {
    fn the_scheme(&self) -> SignatureScheme {
        match self.0.public_key().algorithm() {
            SignatureAlgorithm::Ed25519 => SignatureScheme::ED25519,
            SignatureAlgorithm::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered.contains(&self.the_scheme()).then(|| Box::new(self.clone()) as _)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key().to_spki().into())
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.0.public_key().algorithm() {
            SignatureAlgorithm::Ed25519 => rustls::SignatureAlgorithm::ED25519,
            SignatureAlgorithm::EcdsaP256 => rustls::SignatureAlgorithm::ECDSA,
        }
    }
}

impl rustls::sign::Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::General("the private key does not sign".to_owned());
        let raw = self.0.sign(message).map_err(failed)?;
        let encoded = encode_signature(self.0.public_key().algorithm(), &raw);
        let encoded = encoded.map_err(|_| Error::General("a signature does not encode".to_owned()))?;
        Ok(encoded.raw_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        self.the_scheme()
    }
}
