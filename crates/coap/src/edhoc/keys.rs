//! Diffie-Hellman keys on P-256, and who has them.

use alloc::vec::Vec;

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::cbor::write_bytes;
use super::{EdhocError, Identifier};

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

    /// The x-coordinate of the public key.
    #[must_use]
    pub fn public(&self) -> PublicX {
        let compressed = self.0.public_key().to_sec1_point(true);
        compressed.as_bytes().last_chunk().copied().unwrap_or_default()
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
#[derive(Debug, Clone)]
pub struct Credential {
    /// What it is found by, `kid`.
    pub id: Identifier,
    /// The x-coordinate of its public key.
    pub public: PublicX,
    /// CRED_x: the whole credential as a CBOR item, a CWT Claims Set for example.
    pub bytes: Vec<u8>,
}

impl Credential {
    /// ID_CRED_x, the map from label 4 to the `kid`.
    pub(super) fn id_map(&self) -> Vec<u8> {
        let mut map = Vec::from([0xa1, 0x04]);
        write_bytes(self.id.as_bytes(), &mut map);
        map
    }
}
