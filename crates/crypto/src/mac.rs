//! HMAC-SHA256 (RFC 2104, FIPS 198-1), between two who share a key.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::hash::sha256_of;
use crate::{CryptoError, Digest};

/// Length of a key in bytes: that of the hash, below which RFC 2104 §3 discourages keys.
pub const MAC_KEY_BYTES: usize = 32;
/// Length of a tag in bytes.
pub const MAC_TAG_BYTES: usize = 32;

/// Length of a block of the hash, in bytes.
const BLOCK_BYTES: usize = 64;
/// How many bytes of the padded key go into the hash at once: for a whole block more a chip has no stack.
const PIECE_BYTES: usize = 8;
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

/// What authenticates a message.
pub type MacTag = Digest;

/// A key for message authentication. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct MacKey(Zeroizing<[u8; MAC_KEY_BYTES]>);

impl MacKey {
    /// The key of these bytes, which have to be uniformly random.
    #[must_use]
    pub fn new(bytes: &[u8; MAC_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The key itself, for sealing it under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8; MAC_KEY_BYTES] {
        &self.0
    }

    /// The tag over the concatenation of `parts`.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> MacTag {
        self.hash(OUTER, &[&self.hash(INNER, parts)])
    }

    /// The tag over the concatenation of `parts` as a key, which nobody may see who may not have it.
    #[must_use]
    pub fn derive(&self, parts: &[&[u8]]) -> Self {
        Self(Zeroizing::new(self.tag(parts)))
    }

    /// Compares in constant time.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when `tag` is not this key's over the concatenation of `parts`.
    pub fn verify(&self, parts: &[&[u8]], tag: &MacTag) -> Result<(), CryptoError> {
        if self.tag(parts).ct_eq(tag).into() { Ok(()) } else { Err(CryptoError) }
    }

    /// RFC 2104 §2: a key has zeros appended to the length of a block, and each bit of `pad` on it. One hash after the
    /// other and not both at once, for the sake of a chip's stack.
    #[inline(never)]
    fn hash(&self, pad: u8, parts: &[&[u8]]) -> Digest {
        sha256_of(|hasher| {
            let (pieces, _) = self.0.as_chunks::<PIECE_BYTES>();
            for piece in pieces {
                hasher.update(Zeroizing::new(piece.map(|byte| byte ^ pad)).as_slice());
            }
            for _ in pieces.len()..BLOCK_BYTES / PIECE_BYTES {
                hasher.update(&[pad; PIECE_BYTES]);
            }
            parts.iter().for_each(|part| hasher.update(part));
        })
    }
}

#[cfg(test)]
mod tests;
