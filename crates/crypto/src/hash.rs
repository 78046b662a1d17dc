//! SHA-256, the hash of the reading chain.

#[cfg(not(target_os = "none"))]
use sha2::Digest as _;

/// A SHA-256 value.
pub type Digest = [u8; 32];

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    sha256_of(|hasher| parts.iter().for_each(|part| hasher.update(part)))
}

/// Takes what is hashed, piece by piece.
#[cfg(not(target_os = "none"))]
pub(crate) struct Hasher(sha2::Sha256);

#[cfg(not(target_os = "none"))]
impl Hasher {
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }
}

/// SHA-256 over what `feed` hands to the hasher.
#[cfg(not(target_os = "none"))]
pub(crate) fn sha256_of(feed: impl FnOnce(&mut Hasher)) -> Digest {
    let mut hasher = Hasher(sha2::Sha256::new());
    feed(&mut hasher);
    hasher.0.finalize().into()
}

#[cfg(target_os = "none")]
pub(crate) use thingward_sha256::sha256 as sha256_of;
