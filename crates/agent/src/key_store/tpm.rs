//! Keys in a TPM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use thingward_crypto::sealed::{SealingKey, write_private};
use thingward_crypto::{SignatureAlgorithm, system_rng};
use thingward_tpm::{Blob, PcrSelection, PcrValues, Tpm, TpmError, TpmKey};
use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError, KeyStoreReference};
use crate::home::{HomeError, at};
use crate::stream::SharedSigner;

/// The sealing key as the TPM sealed it.
pub(crate) const SEALED_KEY: &str = "sealing.tpm";

struct TpmStore {
    reference: KeyStoreReference,
    tpm: Arc<Tpm>,
    sealing: SealingKey,
    /// The one private key of the home, once it is loaded: there is little room in a TPM.
    loaded: Mutex<Option<Arc<TpmKey>>>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct SealedKey {
    device: PathBuf,
    /// The registers and what they were, in hexadecimal digits, so that an error can name those that changed.
    pcrs: BTreeMap<u8, String>,
    /// Both in base64.
    public: String,
    private: String,
}

impl SealedKey {
    fn read(home: &Path) -> Result<Self, HomeError> {
        let path = home.join(SEALED_KEY);
        let text = fs::read(&path).map_err(at(&path))?;
        serde_json::from_slice(&text).map_err(|e| HomeError::Damaged { path, reason: e.to_string() })
    }

    fn selection(&self) -> Option<PcrSelection> {
        PcrSelection::new(self.pcrs.keys().copied())
    }

    fn blob(&self) -> Option<Blob> {
        let (public, private) = (STANDARD.decode(&self.public).ok()?, STANDARD.decode(&self.private).ok()?);
        Some(Blob { public, private })
    }
}

/// What the home's file says.
pub(super) fn reference(home: &Path) -> Result<KeyStoreReference, HomeError> {
    let sealed = SealedKey::read(home)?;
    let pcrs = sealed.selection().ok_or_else(|| damaged(home, "it names no PCRs"))?;
    Ok(KeyStoreReference::Tpm { device: sealed.device, pcrs })
}

fn damaged(home: &Path, reason: &str) -> HomeError {
    HomeError::Damaged { path: home.join(SEALED_KEY), reason: reason.to_owned() }
}

pub(super) fn open(home: &Path, device: &Path, pcrs: PcrSelection) -> Result<Box<dyn KeyStore>, HomeError> {
    let failed = |source| HomeError::Tpm { path: home.join(SEALED_KEY), source };
    let tpm = Tpm::open(device).map_err(failed)?;
    if !home.join(SEALED_KEY).exists() {
        create(home, device, &tpm, pcrs)?;
    }
    let sealed = SealedKey::read(home)?;
    let blob = sealed.blob().ok_or_else(|| damaged(home, "it is not base64"))?;
    let secret = tpm.unseal(&blob, pcrs).map_err(|error| match error {
        TpmError::OtherPcrs => match tpm.pcrs(pcrs) {
            Ok(now) => other_pcrs(home, &sealed, &now),
            Err(error) => failed(error),
        },
        error => failed(error),
    })?;
    let sealing = SealingKey::from_bytes(&secret).map_err(|_| damaged(home, "it holds no key"))?;
    let reference = KeyStoreReference::Tpm { device: device.to_owned(), pcrs };
    Ok(Box::new(TpmStore { reference, tpm, sealing, loaded: Mutex::new(None) }))
}

fn create(home: &Path, device: &Path, tpm: &Tpm, pcrs: PcrSelection) -> Result<(), HomeError> {
    let path = home.join(SEALED_KEY);
    let mut key = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(key.as_mut());
    let sealed = tpm.pcrs(pcrs).and_then(|values| Ok((tpm.seal(key.as_ref(), pcrs, &values)?, values)));
    let (blob, values) = sealed.map_err(|source| HomeError::Tpm { path: path.clone(), source })?;
    let file = SealedKey {
        device: device.to_owned(),
        pcrs: values.iter().map(|(number, value)| (*number, base16ct::lower::encode_string(value))).collect(),
        public: STANDARD.encode(&blob.public),
        private: STANDARD.encode(&blob.private),
    };
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    write_private(&path, &text).map_err(at(&path))
}

fn other_pcrs(home: &Path, sealed: &SealedKey, now: &PcrValues) -> HomeError {
    let changed = now.iter().filter_map(|(number, value)| {
        let now = base16ct::lower::encode_string(value);
        let was = sealed.pcrs.get(number).filter(|was| **was != now)?;
        Some(format!("PCR {number} is {now} and was {was}"))
    });
    let changed: Vec<String> = changed.collect();
    HomeError::OtherBoot { path: home.to_owned(), changed: changed.join(", ") }
}

impl KeyStore for TpmStore {
    fn reference(&self) -> &KeyStoreReference {
        &self.reference
    }

    fn sealing_key(&self) -> &SealingKey {
        &self.sealing
    }

    fn label(&self) -> &'static [u8] {
        b"identity in a TPM"
    }

    /// Its password, the length of its public part, that, and the private one.
    fn create(&self, algorithm: SignatureAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        if algorithm != SignatureAlgorithm::EcdsaP256 {
            return Err(TpmError::Unsupported("keys but P-256").into());
        }
        let mut password = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(password.as_mut());
        let blob = self.tpm.create_key(&password)?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let len = u16::try_from(blob.public.len()).map_err(|_| KeyStoreError::NoKey)?;
        Ok(Zeroizing::new([password.as_slice(), &len.to_be_bytes(), &blob.public, &blob.private].concat()))
    }

    fn load(&self, kept: &[u8]) -> Result<SharedSigner, KeyStoreError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = loaded.as_ref() {
            return Ok(Arc::<TpmKey>::clone(key));
        }
        let (password, blob) = split(kept).ok_or(KeyStoreError::NoKey)?;
        let key = Arc::new(self.tpm.load_key(&blob, password)?);
        *loaded = Some(Arc::clone(&key));
        Ok(key)
    }

    fn evidence(&self, nonce: &[u8]) -> Result<Option<Vec<u8>>, KeyStoreError> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Some(loaded.ok_or(KeyStoreError::NoKey)?.evidence(nonce)?))
    }
}

fn split(kept: &[u8]) -> Option<(Zeroizing<[u8; 32]>, Blob)> {
    let (password, rest) = kept.split_first_chunk::<32>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (public, private) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((Zeroizing::new(*password), Blob { public: public.to_vec(), private: private.to_vec() }))
}
