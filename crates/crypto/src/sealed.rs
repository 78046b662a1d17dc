//! Files sealed under a key of this machine: AES-256-GCM with a random nonce, bound to a label.
//!
//! Unless a TPM or PKCS#11 token holds it, the sealing key is a file of its own that only its owner may read;
//! destroying it destroys everything sealed under it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::vec::Vec;

use rand_core::{CryptoRng, Rng};
use zeroize::Zeroizing;

use crate::aead::{AeadAlgorithm, AeadKey, TAG_BYTES};
use crate::{CryptoError, system_rng};

const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// The key that local secrets and buffers are sealed under. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct SealingKey(AeadKey);

impl SealingKey {
    /// A new key that no file holds.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] never, in practice.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(bytes.as_mut());
        Self::from_bytes(bytes.as_ref())
    }

    /// # Errors
    ///
    /// [`CryptoError`] when `bytes` are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        AeadKey::new(AeadAlgorithm::Aes256Gcm, bytes).map(Self)
    }

    /// Reads the key file, or makes it with mode 0600 when there is none.
    ///
    /// # Errors
    ///
    /// An I/O error; kind `PermissionDenied` when others than the owner may read the file, `InvalidData` when
    /// it does not hold a key.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate(&mut system_rng()).map_err(io::Error::other)?;
                write_private(path, key.0.expose())?;
                Ok(key)
            }
            loaded => loaded,
        }
    }

    /// Reads the key file.
    ///
    /// # Errors
    ///
    /// As [`Self::load_or_create`]; kind `NotFound` when there is none.
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::from_bytes(&read_private(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// A key for one `purpose`: HKDF-Expand with SHA-256 (RFC 5869 §2.3).
    ///
    /// # Errors
    ///
    /// [`CryptoError`] never for a purpose of reasonable length.
    pub fn derive(&self, purpose: &[u8]) -> Result<AeadKey, CryptoError> {
        let expand = hkdf::Hkdf::<sha2::Sha256>::from_prk(self.0.expose()).map_err(|_| CryptoError)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        expand.expand(purpose, bytes.as_mut()).map_err(|_| CryptoError)?;
        AeadKey::new(AeadAlgorithm::Aes256Gcm, bytes.as_ref())
    }

    /// The same as a sealing key of its own. Random nonces allow 2^32 uses of a key (NIST SP 800-38D §8.3), so who seals
    /// without end takes one for each part of it.
    ///
    /// # Errors
    ///
    /// As [`Self::derive`].
    pub fn derive_sealing(&self, purpose: &[u8]) -> Result<Self, CryptoError> {
        self.derive(purpose).map(Self)
    }

    /// Seals `plaintext`; `label` must be given again to open it.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when the plaintext is longer than the cipher takes.
    pub fn seal(&self, label: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut nonce = [0; NONCE_BYTES];
        system_rng().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let tag = self.0.seal(&nonce, label, sealed.get_mut(NONCE_BYTES..).ok_or(CryptoError)?)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made with the same label.
    ///
    /// # Errors
    ///
    /// [`CryptoError`] when it was not, or was changed since.
    pub fn open(&self, label: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or(CryptoError)?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(CryptoError)?;
        let mut plaintext = Zeroizing::new(text.to_vec());
        self.0.open(nonce, label, &mut plaintext, tag)?;
        Ok(plaintext)
    }
}

/// Reads a file that only its owner may read.
///
/// # Errors
///
/// An I/O error; kind `PermissionDenied` when group or others have any right to it.
pub fn read_private(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = std::format!("{} has mode {mode:03o}; run: chmod 600 {0}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file by one with mode 0600, so that after a crash there is the old one or the new one, whole.
///
/// # Errors
///
/// An I/O error; the old file is then still there.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes the directory entry of `path` durable.
///
/// # Errors
///
/// An I/O error.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_whole_with_its_key_and_label() {
        let mut rng = system_rng();
        let (key, other) = (SealingKey::generate(&mut rng).unwrap(), SealingKey::generate(&mut rng).unwrap());
        let sealed = key.seal(b"identity", b"secret").unwrap();
        assert_eq!(key.open(b"identity", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(key.open(b"spool", &sealed), Err(CryptoError));
        assert_eq!(other.open(b"identity", &sealed), Err(CryptoError));
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(key.open(b"identity", &bent), Err(CryptoError), "bit flipped in byte {at}");
            assert_eq!(key.open(b"identity", &sealed[..at]), Err(CryptoError), "cut to {at} bytes");
        }
    }
}
