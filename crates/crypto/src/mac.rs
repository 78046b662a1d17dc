//! HMAC-SHA256 (RFC 2104, FIPS 198-1), between two who share a key.

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::CryptoError;

/// Length of a key in bytes: that of the hash, below which RFC 2104 §3 discourages keys.
pub const MAC_KEY_BYTES: usize = 32;
/// Length of a tag in bytes.
pub const MAC_TAG_BYTES: usize = 32;

/// What authenticates a message.
pub type MacTag = [u8; MAC_TAG_BYTES];

/// A key for message authentication. Wiped when dropped; never printed.
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
        self.over(parts).finalize().into_bytes().into()
    }

    /// The tag over the concatenation of `parts` as a key, which nobody may see who may not have it.
    #[must_use]
    pub fn derive(&self, parts: &[&[u8]]) -> Self {
        let mut key = Zeroizing::new([0; MAC_KEY_BYTES]);
        self.over(parts).finalize_into((&mut *key).into());
        Self(key)
    }

    /// Compares in constant time.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when `tag` is not this key's over the concatenation of `parts`.
    pub fn verify(&self, parts: &[&[u8]], tag: &MacTag) -> Result<(), CryptoError> {
        self.over(parts).verify_slice(tag).map_err(|_| CryptoError)
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // RFC 2104 §2: a key is used with zeros appended to the length of a block.
        let mut block = Zeroizing::new([0; 64]);
        for (slot, byte) in block.iter_mut().zip(self.0.iter()) {
            *slot = *byte;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests;
