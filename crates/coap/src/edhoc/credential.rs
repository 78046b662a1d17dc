//! Who has a key, as both endpoints know it: RFC 9528 §3.5.2.

use alloc::vec::Vec;

use thingward_crypto::VerifyingKey;

use super::cbor::{write_bytes, write_head};
use super::id::{Chain, CredentialId, Thumbprint};
use super::keys::{DhKey, PublicX};
use super::{Curve, EdhocError, Proof, Suite};

/// Somebody with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it goes by in messages.
    pub id: CredentialId,
    /// Its public key.
    pub key: PublicKey,
    /// CRED_x: the whole credential as a CBOR item, a CWT Claims Set or a certificate for example.
    pub bytes: Vec<u8>,
}

/// What somebody proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// A static key, as messages have it.
    Static {
        /// Its curve.
        curve: Curve,
        /// See [`DhKey::public`].
        public: PublicX,
    },
    /// A key that signs.
    Signature(VerifyingKey),
}

impl PublicKey {
    /// The static key on P-256 with this x-coordinate.
    #[must_use]
    pub const fn p256(x: PublicX) -> Self {
        Self::Static { curve: Curve::P256, public: x }
    }
}

impl Credential {
    /// A CWT Claims Set of a name and this key, which goes by value: RFC 9528 §3.5.2, in the form of RFC 9529 §3.2.
    ///
    /// # Errors
    ///
    /// [`EdhocError::Credential`] for a key that is not on P-256.
    pub fn claims_set(subject: &str, key: &DhKey) -> Result<Self, EdhocError> {
        let (x, y) = key.point().ok_or(EdhocError::Credential)?;
        let mut bytes = Vec::from([0xa2, SUBJECT]);
        write_head(0x60, subject.len(), &mut bytes);
        bytes.extend_from_slice(subject.as_bytes());
        bytes.extend_from_slice(&[CONFIRMATION, 0xa1, COSE_KEY, 0xa5, KEY_TYPE, EC2]);
        // Nothing is found by it here, but others read no key without it.
        let [kid, ..] = x;
        bytes.extend_from_slice(&[KEY_ID, 0x41, kid, CURVE, P256, X]);
        write_bytes(&x, &mut bytes);
        bytes.push(Y);
        write_bytes(&y, &mut bytes);
        Ok(Self { id: CredentialId::Value(bytes.clone()), key: PublicKey::p256(x), bytes })
    }

    /// A CWT Claims Set that came by value: a map with a COSE key on P-256 as its confirmation. What else is in it says
    /// nothing that anybody here vouches for.
    ///
    /// # Errors
    ///
    /// [`EdhocError::Malformed`] when it is none.
    pub fn from_claims_set(bytes: &[u8]) -> Result<Self, EdhocError> {
        let public = public_key(bytes).ok_or(EdhocError::Malformed)?;
        Ok(Self {
            id: CredentialId::Value(bytes.to_vec()),
            key: PublicKey::p256(public),
            bytes: bytes.to_vec(),
        })
    }

    /// A certificate in DER with this key, which is shown with those between it and a root: `x5chain`. CRED_x is the
    /// certificate alone, as a byte string: RFC 9528 §3.5.2. Whoever makes this looks that the key is the certificate's.
    ///
    /// # Errors
    ///
    /// [`EdhocError::ChainTooLong`] when there are more than can be shown, or none.
    pub fn chain(certificates: &[Vec<u8>], key: VerifyingKey) -> Result<Self, EdhocError> {
        let chain = Chain::new(certificates)?;
        let mut bytes = Vec::new();
        write_bytes(chain.leaf(), &mut bytes);
        Ok(Self { id: CredentialId::Chain(chain), key: PublicKey::Signature(key), bytes })
    }

    /// A certificate in DER with this key, which the other end has already: `x5t`.
    #[must_use]
    pub fn thumbprint(certificate: &[u8], key: VerifyingKey) -> Self {
        let mut bytes = Vec::new();
        write_bytes(certificate, &mut bytes);
        let id = CredentialId::Thumbprint(Thumbprint::of(certificate));
        Self { id, key: PublicKey::Signature(key), bytes }
    }

    /// The static key; `None` of who signs.
    #[must_use]
    pub const fn static_key(&self) -> Option<&PublicX> {
        match &self.key {
            PublicKey::Static { public, .. } => Some(public),
            PublicKey::Signature(_) => None,
        }
    }

    /// That its key is what the method wants and the suite has.
    pub(super) fn check(&self, proof: Proof, suite: Suite) -> Result<(), EdhocError> {
        let fits = match (&self.key, proof) {
            (PublicKey::Static { curve, .. }, Proof::StaticDh) => *curve == suite.curve(),
            (PublicKey::Signature(key), Proof::Signature) => key.algorithm() == suite.signature(),
            _ => false,
        };
        if fits { Ok(()) } else { Err(EdhocError::Credential) }
    }
}

/// Claims of RFC 8392 §4 and RFC 8747 §7, and parameters of COSE keys, RFC 9053 §7.1, as they are encoded.
const SUBJECT: u8 = 2;
const CONFIRMATION: u8 = 8;
const COSE_KEY: u8 = 1;
const KEY_TYPE: u8 = 1;
const EC2: u8 = 2;
const KEY_ID: u8 = 2;
const CURVE: u8 = 0x20;
const P256: u8 = 1;
const X: u8 = 0x21;
const Y: u8 = 0x22;
/// Most entries of one of the maps.
const ENTRIES_MAX: u64 = 16;

/// The x-coordinate in a claims set.
fn public_key(claims: &[u8]) -> Option<PublicX> {
    let key = entry(entry(claims, CONFIRMATION.into())?, COSE_KEY.into())?;
    let is_ours = entry(key, KEY_TYPE.into())? == [EC2] && entry(key, -1)? == [P256];
    entry(key, -2).filter(|_| is_ours)?.strip_prefix(&[0x58, 32])?.try_into().ok()
}

/// The encoded value of a key in a map that is all of `map`.
fn entry(map: &[u8], wanted: i64) -> Option<&[u8]> {
    let mut decoder = minicbor::Decoder::new(map);
    let entries = decoder.map().ok()?.filter(|entries| *entries <= ENTRIES_MAX)?;
    let mut found = None;
    for _ in 0..entries {
        let key = decoder.i64().ok()?;
        let start = decoder.position();
        decoder.skip().ok()?;
        if key == wanted && found.replace(map.get(start..decoder.position())?).is_some() {
            return None;
        }
    }
    found.filter(|_| decoder.position() == map.len())
}
