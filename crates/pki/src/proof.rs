//! A member's word about something, with the certificates that say who it is: COSE_Sign1 (RFC 9052 §4.2) with its
//! chain in the protected header (`x5chain`, RFC 9360 §2).

use rustls::pki_types::CertificateDer;
use thingward_crypto::{CryptoError, SignatureAlgorithm, Signer, VerifyingKey};
use thingward_model::Timestamp;
use thingward_model::cbor::{Full, Malformed, Reader, Writer};

use crate::identity::{Server, server_of};
use crate::tls::{verify_client_chain, verify_server_chain};
use crate::{LeafIdentity, PkiError};

/// What a signature is for. It is signed too, so that none is taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A gateway, or the service, says which raw key is its own: over its credential.
    Answerer,
    /// A device says that this session is its own: over bytes that the session exports.
    Join,
}

impl Purpose {
    const fn context(self) -> &'static [u8] {
        match self {
            Self::Answerer => b"thingward coap gateway",
            Self::Join => b"thingward coap join",
        }
    }
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Not the structure.
    #[error("not a proof")]
    Malformed,
    /// Somebody else signed it, or something else.
    #[error("the signature is not of the certificate's key")]
    Signature,
    /// Nobody known vouches for who signed it.
    #[error(transparent)]
    Certificate(#[from] PkiError),
}

impl From<Malformed> for ProofError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Full> for ProofError {
    fn from(Full: Full) -> Self {
        Self::Malformed
    }
}

impl From<CryptoError> for ProofError {
    fn from(CryptoError: CryptoError) -> Self {
        Self::Signature
    }
}

/// CBOR tag of COSE_Sign1: RFC 9052 §2.
const SIGN1_TAG: u64 = 18;
const ALGORITHM: i64 = 1;
const X5CHAIN: i64 = 33;
/// Certificates in a chain: the member's, and those between it and the root.
const CHAIN_MAX: usize = 4;
/// Largest payload, in bytes.
const PAYLOAD_BYTES_MAX: usize = 512;
/// Heads, algorithm and signature.
const OVERHEAD_BYTES: usize = 160;

/// Signs `payload`. `chain` is the signer's certificate, then the issuing ones, in DER.
///
/// # Errors
///
/// [`ProofError::Signature`] when the key does not sign.
pub fn sign(
    signer: &dyn Signer,
    chain: &[Vec<u8>],
    purpose: Purpose,
    payload: &[u8],
) -> Result<Vec<u8>, ProofError> {
    let certificates: usize = chain.iter().map(|der| der.len() + 8).sum();
    let room = OVERHEAD_BYTES + certificates + payload.len();
    let mut protected = vec![0; room];
    let mut e = Writer::new(&mut protected);
    e.map(2)?.int(ALGORITHM)?.int(signer.public_key().algorithm().cose_id())?;
    e.int(X5CHAIN)?.array(chain.len())?;
    for der in chain {
        e.bytes(der)?;
    }
    let len = e.position();
    protected.truncate(len);
    let signature = signer.sign(&to_be_signed(&protected, purpose, payload)?)?;
    let mut out = vec![0; room];
    let mut e = Writer::new(&mut out);
    e.tag(SIGN1_TAG)?.array(4)?.bytes(&protected)?.map(0)?.bytes(payload)?.bytes(&signature)?;
    let len = e.position();
    out.truncate(len);
    Ok(out)
}

/// RFC 9052 §4.4.
fn to_be_signed(protected: &[u8], purpose: Purpose, payload: &[u8]) -> Result<Vec<u8>, Full> {
    let mut out = vec![0; OVERHEAD_BYTES + protected.len() + payload.len()];
    let mut e = Writer::new(&mut out);
    e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(purpose.context())?.bytes(payload)?;
    let len = e.position();
    out.truncate(len);
    Ok(out)
}

/// A member that proved who it is.
#[derive(Debug, Clone)]
pub struct Proved {
    /// Who.
    pub leaf: LeafIdentity,
    /// Its certificate, then the issuing ones, in DER.
    pub chain: Vec<Vec<u8>>,
}

/// The root of an installation, in DER, and its trust domain.
pub type Anchor<'a> = (&'a [u8], &'a str);

/// The member whose word about `payload` this is.
///
/// # Errors
///
/// [`ProofError`].
pub fn verify(
    proof: &[u8],
    purpose: Purpose,
    payload: &[u8],
    anchor: Anchor<'_>,
    now: Timestamp,
) -> Result<Proved, ProofError> {
    let signed = Signed::read(proof, payload)?;
    let leaf = member_of(&signed.chain, anchor, now)?;
    signed.check(purpose, &leaf.key)?;
    Ok(Proved { leaf, chain: signed.chain })
}

/// The gateway, or the service, whose word it is that the credential in `payload` is its own.
///
/// # Errors
///
/// [`ProofError`].
pub fn verify_answerer(
    proof: &[u8],
    payload: &[u8],
    anchor: Anchor<'_>,
    now: Timestamp,
) -> Result<Server, ProofError> {
    let signed = Signed::read(proof, payload)?;
    let (server, key) = answerer_of(&signed.chain, anchor, now)?;
    signed.check(Purpose::Answerer, &key)?;
    Ok(server)
}

/// The member whose certificate is the first of these, in DER. That it is them who show it is to be proved otherwise.
///
/// # Errors
///
/// [`PkiError`] when they do not lead to the root, are not valid now, or name no member.
pub fn member_of(
    chain: &[Vec<u8>],
    (root, trust_domain): Anchor<'_>,
    now: Timestamp,
) -> Result<LeafIdentity, PkiError> {
    verify_client_chain(&certificates(chain), &[root.to_vec()], now)?;
    LeafIdentity::from_verified(chain.first().map(Vec::as_slice).unwrap_or_default(), trust_domain)
}

/// Who answers with the first of these certificates, in DER, and its key. That it is them is to be proved otherwise.
///
/// # Errors
///
/// [`PkiError`] when they do not lead to the root, are not valid now, or name nobody who answers.
pub fn answerer_of(
    chain: &[Vec<u8>],
    (root, trust_domain): Anchor<'_>,
    now: Timestamp,
) -> Result<(Server, VerifyingKey), PkiError> {
    verify_server_chain(&certificates(chain), root, now)?;
    server_of(chain.first().map(Vec::as_slice).unwrap_or_default(), trust_domain)
}

fn certificates(chain: &[Vec<u8>]) -> Vec<CertificateDer<'_>> {
    chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect()
}

/// A proof that was taken apart.
struct Signed<'a> {
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8; 64],
    algorithm: SignatureAlgorithm,
    chain: Vec<Vec<u8>>,
}

impl<'a> Signed<'a> {
    /// Reads what is to be about `payload`.
    fn read(proof: &'a [u8], payload: &[u8]) -> Result<Self, ProofError> {
        let mut r = Reader::new(proof);
        if r.tag()? != SIGN1_TAG || r.array()? != 4 {
            return Err(ProofError::Malformed);
        }
        let protected = r.bytes()?;
        if r.map()? != 0 {
            return Err(ProofError::Malformed);
        }
        let said = r.bytes()?;
        let signature = r.byte_array()?;
        r.end()?;
        if said.len() > PAYLOAD_BYTES_MAX || said != payload {
            return Err(ProofError::Signature);
        }
        let (algorithm, chain) = read_header(protected)?;
        Ok(Self { protected, payload: said, signature, algorithm, chain })
    }

    /// Whether the key of the certificate signed it, for this.
    fn check(&self, purpose: Purpose, key: &VerifyingKey) -> Result<(), ProofError> {
        if key.algorithm() != self.algorithm {
            return Err(ProofError::Signature);
        }
        Ok(key.verify(&to_be_signed(self.protected, purpose, self.payload)?, self.signature)?)
    }
}

fn read_header(protected: &[u8]) -> Result<(SignatureAlgorithm, Vec<Vec<u8>>), ProofError> {
    let mut r = Reader::new(protected);
    if r.map()? != 2 || r.int()? != ALGORITHM {
        return Err(ProofError::Malformed);
    }
    let algorithm = SignatureAlgorithm::from_cose_id(r.int()?).ok_or(ProofError::Malformed)?;
    if r.int()? != X5CHAIN {
        return Err(ProofError::Malformed);
    }
    let count = r.array()?;
    if count == 0 || count > CHAIN_MAX {
        return Err(ProofError::Malformed);
    }
    let chain: Result<Vec<_>, Malformed> = (0..count).map(|_| r.bytes().map(<[u8]>::to_vec)).collect();
    let chain = chain?;
    r.end()?;
    Ok((algorithm, chain))
}
