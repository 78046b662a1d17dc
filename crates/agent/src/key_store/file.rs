//! Keys in files.

use std::path::Path;

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey, system_rng};
use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError, KeyStoreReference};
use crate::home::{HomeError, at};
use crate::stream::SharedSigner;

/// The sealing key itself.
pub(crate) const SEALING_KEY: &str = "sealing.key";

struct FileStore(SealingKey);

pub(super) fn open(home: &Path) -> Result<Box<dyn KeyStore>, HomeError> {
    let path = home.join(SEALING_KEY);
    let sealing = SealingKey::load_or_create(&path).map_err(at(&path))?;
    Ok(Box::new(FileStore(sealing)))
}

impl KeyStore for FileStore {
    fn reference(&self) -> &KeyStoreReference {
        &KeyStoreReference::File
    }

    fn sealing_key(&self) -> &SealingKey {
        &self.0
    }

    fn label(&self) -> &'static [u8] {
        b"identity"
    }

    fn create(&self, algorithm: SignatureAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        SoftwareKey::generate(algorithm, &mut system_rng()).to_pkcs8().map_err(|_| KeyStoreError::NoKey)
    }

    fn load(&self, kept: &[u8]) -> Result<SharedSigner, KeyStoreError> {
        let key = SoftwareKey::from_pkcs8(kept).map_err(|_| KeyStoreError::NoKey)?;
        Ok(std::sync::Arc::new(key))
    }

    fn evidence(&self, _nonce: &[u8]) -> Result<Option<Vec<u8>>, KeyStoreError> {
        Ok(None)
    }
}
