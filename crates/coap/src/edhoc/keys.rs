//! Diffie-Hellman keys on P-256, and who has them.

use alloc::vec::Vec;

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::cbor::{write_bytes, write_head};
use super::{CredentialId, EdhocError};

/// Length of a private key and of the x-coordinate that is its public key, in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// The x-coordinate of a point: RFC 9528 §3.7.
pub(super) type PublicX = [u8; KEY_BYTES];

/// A private key, static or ephemeral. Wiped when dropped; never printed.
pub struct DhKey(SecretKey);

impl DhKey {
    /// The key of these bytes, which are uniformly random.
    ///
    /// # Errors
    ///
    /// [`EdhocError::PublicKey`] for the few bytes that are no key.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Result<Self, EdhocError> {
        SecretKey::from_slice(bytes).map(Self).map_err(|_| EdhocError::PublicKey)
    }

    /// A new key, and the bytes that bring it back. `random` fills what it is given.
    #[must_use]
    pub fn fresh(mut random: impl FnMut(&mut [u8])) -> (Self, Zeroizing<[u8; KEY_BYTES]>) {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        loop {
            random(bytes.as_mut_slice());
            // Few bytes are no key.
            if let Ok(key) = Self::new(&bytes) {
                return (key, bytes);
            }
        }
    }

    /// The x-coordinate of the public key.
    #[must_use]
    pub fn public(&self) -> PublicX {
        let compressed = self.0.public_key().to_sec1_point(true);
        compressed.as_bytes().last_chunk().copied().unwrap_or_default()
    }

    /// The coordinates of the public key's point.
    #[must_use]
    pub fn point(&self) -> (PublicX, PublicX) {
        let uncompressed = self.0.public_key().to_sec1_point(false);
        let both = uncompressed.as_bytes();
        let x = both.get(1..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        (x, both.last_chunk().copied().unwrap_or_default())
    }

    /// The x-coordinate that is shared with the other key's owner: which of the two points it has makes no difference.
    pub(super) fn agree(&self, other: &PublicX) -> Result<Zeroizing<[u8; KEY_BYTES]>, EdhocError> {
        let mut compressed = [2; 1 + KEY_BYTES];
        compressed.iter_mut().skip(1).zip(other).for_each(|(byte, other)| *byte = *other);
        let other = PublicKey::from_sec1_bytes(&compressed).map_err(|_| EdhocError::PublicKey)?;
        let own = Zeroizing::new(self.0.to_nonzero_scalar());
        let shared = p256::ecdh::diffie_hellman(&*own, other.as_affine());
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        bytes.copy_from_slice(shared.raw_secret_bytes());
        Ok(bytes)
    }
}

/// Who has a static key, as both endpoints know it: RFC 9528 §3.5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it goes by in messages.
    pub id: CredentialId,
    /// The x-coordinate of its public key.
    pub public: PublicX,
    /// CRED_x: the whole credential as a CBOR item, a CWT Claims Set for example.
    pub bytes: Vec<u8>,
}

impl Credential {
    /// A CWT Claims Set of a name and this key, which goes by value: RFC 9528 §3.5.2, in the form of RFC 9529 §3.2.
    #[must_use]
    pub fn claims_set(subject: &str, key: &DhKey) -> Self {
        let (x, y) = key.point();
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
        Self { id: CredentialId::Value(bytes.clone()), public: x, bytes }
    }

    /// A CWT Claims Set that came by value: a map with a COSE key on P-256 as its confirmation. What else is in it says
    /// nothing that anybody here vouches for.
    ///
    /// # Errors
    ///
    /// [`EdhocError::Malformed`] when it is none.
    pub fn from_claims_set(bytes: &[u8]) -> Result<Self, EdhocError> {
        let public = public_key(bytes).ok_or(EdhocError::Malformed)?;
        Ok(Self { id: CredentialId::Value(bytes.to_vec()), public, bytes: bytes.to_vec() })
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
