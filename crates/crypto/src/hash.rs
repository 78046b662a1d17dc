//! SHA-256, the hash of the reading chain.

#[cfg(not(target_os = "none"))]
use sha2::Digest as _;

/// A SHA-256 value.
pub type Digest = [u8; 32];

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    sha256_of(parts.iter().copied())
}

/// As [`sha256`], of parts that stand in no slice.
#[cfg(not(target_os = "none"))]
pub(crate) fn sha256_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = sha2::Sha256::new();
    parts.for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

#[cfg(target_os = "none")]
pub(crate) use thingward_sha256::sha256 as sha256_of;
