//! AES-256-GCM boxes, key derivation and secrets that wipe themselves: the only place that touches primitives.
//!
//! A *box* is `nonce (12 bytes) || ciphertext || tag (16 bytes)`, the layout that Parquet's key tools use too.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, rand};
use zeroize::Zeroizing;

use crate::error::StoreError;

/// Length of every symmetric key here, in bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// What a box is longer than its content, in bytes.
pub(crate) const BOX_OVERHEAD_BYTES: usize = NONCE_LEN + 16;

/// Key bytes: wiped on drop, never shown.
pub(crate) struct Secret(Zeroizing<[u8; KEY_BYTES]>);

impl Secret {
    pub(crate) fn random() -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// `None` when `bytes` has another length.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|b| Self(Zeroizing::new(b)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key for one `purpose`: HKDF-Expand with SHA-256 (RFC 5869, §2.3) over this secret.
    pub(crate) fn derive(&self, purpose: &[&[u8]]) -> Result<Self, StoreError> {
        let mut out = Zeroizing::new([0; KEY_BYTES]);
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.as_bytes())
            .expand(purpose, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(out.as_mut_slice()))
            .map_err(|_| StoreError::Invalid { what: "key derivation label is too long" })?;
        Ok(Self(out))
    }

    /// Puts `plain` into a box that opens only with this key and the same `aad`.
    pub(crate) fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut out = Vec::with_capacity(plain.len() + BOX_OVERHEAD_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let (_, body) = out.split_at_mut(NONCE_LEN);
        let tag = self
            .cipher()?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
            .map_err(|_| StoreError::Invalid { what: "text is too long to seal" })?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens a box. `None` when the key, the `aad` or the bytes are not those of [`Self::seal`].
    pub(crate) fn open(&self, boxed: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = boxed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.cipher().ok()?.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
        body.truncate(plain);
        Some(body)
    }

    fn cipher(&self) -> Result<LessSafeKey, StoreError> {
        UnboundKey::new(&AES_256_GCM, self.as_bytes())
            .map(LessSafeKey::new)
            .map_err(|_| StoreError::Invalid { what: "key is not one of AES-256" })
    }
}

/// Fills `out` from the operating system's generator.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), StoreError> {
    rand::fill(out).map_err(|_| StoreError::Io {
        what: "read random bytes".to_owned(),
        source: std::io::Error::other("the generator failed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_opens_only_with_its_key_its_context_and_its_bytes() {
        let key = Secret::random().unwrap();
        let boxed = key.seal(b"21.5", b"meter").unwrap();
        assert_eq!(key.open(&boxed, b"meter").unwrap().as_slice(), b"21.5");
        assert!(key.open(&boxed, b"other").is_none());
        assert!(Secret::random().unwrap().open(&boxed, b"meter").is_none());
        for bit in 0..boxed.len() * 8 {
            let mut bad = boxed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&bad, b"meter").is_none(), "bit {bit}");
        }
        for cut in 0..boxed.len() {
            assert!(key.open(&boxed[..cut], b"meter").is_none(), "cut to {cut}");
        }
    }

    #[test]
    fn keys_of_two_purposes_differ() {
        let key = Secret::random().unwrap();
        let (a, b) = (key.derive(&[b"a"]).unwrap(), key.derive(&[b"b"]).unwrap());
        assert_ne!(a.as_bytes(), b.as_bytes());
        assert_eq!(a.as_bytes(), key.derive(&[b"a"]).unwrap().as_bytes());
    }
}
