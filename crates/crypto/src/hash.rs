//! SHA-256, the hash of the reading chain.

use sha2::Digest as _;

/// A SHA-256 value.
pub type Digest = [u8; 32];

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
