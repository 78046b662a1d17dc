//! A customer key in a file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::{KekReference, KeyProvider};
use crate::secret::Secret;

/// Mode bits that let anyone but the owner at the file.
const OTHERS_MASK: u32 = 0o077;
/// Longest file that can hold a key: base64 of 32 bytes and a line end, with room for spaces. Bytes.
const FILE_BYTES_MAX: u64 = 128;

/// A customer key of 32 bytes, raw or as base64, in a file that only its owner reads.
pub struct FileKek(Secret);

impl FileKek {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] when the file is not there, open to others, or holds no 32 bytes.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |problem: String| StoreError::KeyUnusable {
            reference: KekReference::File(path.to_owned()).to_string(),
            problem,
        };
        let mut file = File::open(path).map_err(|e| unusable(e.to_string()))?;
        let mode = file.metadata().map_err(|e| unusable(e.to_string()))?.mode() & 0o7777;
        if mode & OTHERS_MASK != 0 {
            return Err(unusable(format!("its mode is {mode:04o}; a key file must have 0600 or 0400")));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let mut bounded = Read::by_ref(&mut file).take(FILE_BYTES_MAX);
        bounded.read_to_end(&mut bytes).map_err(|e| unusable(e.to_string()))?;
        parse(&bytes).map(Self).ok_or_else(|| unusable("it holds neither 32 bytes nor base64 of them".into()))
    }
}

fn parse(bytes: &[u8]) -> Option<Secret> {
    if let Some(raw) = Secret::from_slice(bytes) {
        return Some(raw);
    }
    let decoded = Zeroizing::new(STANDARD.decode(bytes.trim_ascii()).ok()?);
    Secret::from_slice(&decoded)
}

impl KeyProvider for FileKek {
    fn wrap(&self, key: &[u8], aad: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.0.seal(key, aad)
    }

    fn unwrap(&self, boxed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.0.open(boxed, aad).ok_or(StoreError::WrongKey { what: "a boxed tenant key" })
    }
}
