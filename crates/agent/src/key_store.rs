//! Where a home has its keys: in files of its own, in a TPM, or on a PKCS#11 token.
//!
//! In each case the home's files are sealed under one sealing key. In a TPM that key is sealed to registers, and the private
//! key is made inside and never leaves: what the home keeps of it is of use to that TPM only. On a token the sealing key is
//! encrypted under a key of the token's, and the private key stays there too.

mod file;
mod token;
mod tpm;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thingward_crypto::SignatureAlgorithm;
use thingward_crypto::sealed::SealingKey;
use thingward_pkcs11::TokenReference;
use thingward_tpm::PcrSelection;
use zeroize::Zeroizing;

use crate::home::HomeError;
use crate::stream::SharedSigner;
pub(crate) use file::SEALING_KEY;
pub(crate) use token::WRAPPED_KEY;
pub(crate) use tpm::SEALED_KEY;

/// The register that a TPM seals to when none is named: which keys may start the machine (Secure Boot).
const PCR: u8 = 7;

/// Where a home has its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStoreReference {
    /// In files that only their owner may read.
    File,
    /// In a TPM 2.0.
    Tpm {
        /// The kernel's device, or the Unix socket of a software TPM.
        device: PathBuf,
        /// The registers that decide whether the home opens.
        pcrs: PcrSelection,
    },
    /// On a PKCS#11 token.
    Token(Box<TokenReference>),
}

/// The text names no key store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no place for keys; write file, tpm:/dev/tpmrm0, tpm:/dev/tpmrm0?pcrs=0,2,7 or \
         pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/module.so&pin-source=/etc/thingward/pin"
)]
pub struct KeyStoreReferenceError;

impl FromStr for KeyStoreReference {
    type Err = KeyStoreReferenceError;

    fn from_str(text: &str) -> Result<Self, KeyStoreReferenceError> {
        if text == "file" {
            return Ok(Self::File);
        }
        if text.starts_with("pkcs11:") {
            return text.parse().map(Box::new).map(Self::Token).map_err(|_| KeyStoreReferenceError);
        }
        let rest = text.strip_prefix("tpm:").ok_or(KeyStoreReferenceError)?;
        let (device, pcrs) = match rest.split_once("?pcrs=") {
            Some((device, pcrs)) => (device, pcrs.parse().ok()),
            None => (rest, PcrSelection::new([PCR])),
        };
        let device = Some(PathBuf::from(device)).filter(|device| device.is_absolute());
        let (device, pcrs) = device.zip(pcrs).ok_or(KeyStoreReferenceError)?;
        Ok(Self::Tpm { device, pcrs })
    }
}

impl fmt::Display for KeyStoreReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Tpm { device, pcrs } => write!(f, "tpm:{}?pcrs={pcrs}", device.display()),
            Self::Token(token) => token.fmt(f),
        }
    }
}

/// An open key store.
pub(crate) trait KeyStore: Send + Sync {
    /// What it is.
    fn reference(&self) -> &KeyStoreReference;

    /// The key that everything secret of the home is sealed under.
    fn sealing_key(&self) -> &SealingKey;

    /// What [`Self::load`] wants sealed with, so that a file of one store is none of another.
    fn label(&self) -> &'static [u8];

    /// Makes a private key; gives what brings it back, for the home to seal.
    fn create(&self, algorithm: SignatureAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyStoreError>;

    /// The private key of which [`Self::create`] gave this.
    fn load(&self, kept: &[u8]) -> Result<SharedSigner, KeyStoreError>;

    /// What a TPM says about the private key, once it is loaded; `None` where there is no TPM.
    fn evidence(&self, nonce: &[u8]) -> Result<Option<Vec<u8>>, KeyStoreError>;
}

/// Why there is no private key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyStoreError {
    #[error("it holds no key of this store")]
    NoKey,
    #[error("tokens make keys on P-256 here, and no others")]
    Algorithm,
    #[error(transparent)]
    Tpm(#[from] thingward_tpm::TpmError),
    #[error(transparent)]
    Token(#[from] thingward_pkcs11::TokenError),
}

/// Opens the key store of a home; makes `wanted`, or files, where there is none.
pub(crate) fn open(home: &Path, wanted: Option<&KeyStoreReference>) -> Result<Box<dyn KeyStore>, HomeError> {
    let there = if home.join(SEALED_KEY).exists() {
        Some(tpm::reference(home)?)
    } else if home.join(WRAPPED_KEY).exists() {
        Some(token::reference(home)?)
    } else {
        home.join(SEALING_KEY).exists().then_some(KeyStoreReference::File)
    };
    let reference = match (there, wanted) {
        (Some(there), Some(wanted)) if there != *wanted => {
            return Err(HomeError::OtherKeyStore { path: home.to_owned(), there, wanted: wanted.clone() });
        }
        (Some(there), _) => there,
        (None, wanted) => wanted.cloned().unwrap_or(KeyStoreReference::File),
    };
    match reference {
        KeyStoreReference::File => file::open(home),
        KeyStoreReference::Tpm { device, pcrs } => tpm::open(home, &device, pcrs),
        KeyStoreReference::Token(token) => token::open(home, &token),
    }
}

/// Destroys the keys of a home that are not in its folder.
pub(crate) fn destroy(home: &Path) -> Result<(), HomeError> {
    if home.join(WRAPPED_KEY).exists() { token::destroy(home) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_store_is_what_its_text_says_and_nothing_else_is_one() {
        for (text, shown) in [
            ("file", "file"),
            ("tpm:/dev/tpmrm0", "tpm:/dev/tpmrm0?pcrs=7"),
            ("tpm:/run/swtpm.sock?pcrs=2,0", "tpm:/run/swtpm.sock?pcrs=0,2"),
            (
                "pkcs11:token=a;object=b?pin-source=/p&module-path=/m",
                "pkcs11:token=a;object=b?module-path=/m&pin-source=/p",
            ),
        ] {
            assert_eq!(text.parse::<KeyStoreReference>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "tpm",
            "tpm:",
            "tpm:tpmrm0",
            "tpm:/dev/tpmrm0?pcrs=",
            "tpm:/dev/tpmrm0?pcrs=24",
            "files",
            "pkcs11:token=a",
        ] {
            assert_eq!(wrong.parse::<KeyStoreReference>(), Err(KeyStoreReferenceError), "{wrong}");
        }
    }
}
