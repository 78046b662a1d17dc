//! Grants and holders' keys as files. A grant is a line of base64url, so that it can be pasted as well; a key is PKCS#8 in
//! PEM, as OpenSSL makes them too.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand_core::Rng;
use thingward_crypto::sealed::read_private;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, system_rng};
use thingward_grant::HolderKey;
use zeroize::Zeroizing;

use super::super::file::{create_private, create_public};
use crate::failure::Failure;

/// What is in front of the seed of an Ed25519 key in PKCS#8: RFC 8410 §7. Without the public half, which not every OpenSSL
/// reads.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A new key, in a new file.
pub(super) fn new_holder_key(path: &Path) -> Result<SoftwareKey, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(seed.as_mut());
    let key = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &seed).map_err(Failure::of)?;
    let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed.as_slice()].concat());
    let text = Zeroizing::new(STANDARD.encode(der.as_slice()));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", text.as_str());
    create_private(path, Zeroizing::new(pem).as_bytes())?;
    Ok(key)
}

/// The key of a holder, from a file that only its owner reads.
pub(in crate::cli) fn read_holder_key(path: &Path) -> Result<SoftwareKey, Failure> {
    let bytes = read_private(path).map_err(Failure::file(path))?;
    let key = std::str::from_utf8(&bytes).ok().and_then(|text| SoftwareKey::from_pkcs8_pem(text).ok());
    let key = key.filter(|key| key.public_key().algorithm() == SignatureAlgorithm::Ed25519);
    key.ok_or_else(|| {
        Failure::Failed(format!(
            "{} holds no Ed25519 key in PEM; `thingward grant key FILE` makes one",
            path.display()
        ))
    })
}

/// How people write the public half.
pub(super) fn holder_of(key: &SoftwareKey) -> Result<String, Failure> {
    HolderKey::from_key(key.public_key()).map(text_of).map_err(Failure::of)
}

pub(super) fn text_of(key: HolderKey) -> String {
    URL_SAFE_NO_PAD.encode(key.to_bytes())
}

/// Reverses [`text_of`].
pub(super) fn holder(text: &str) -> Result<HolderKey, Failure> {
    let bytes = decode(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.filter(|bytes| VerifyingKey::from_ed25519(bytes).is_ok());
    let wrong = || {
        Failure::Usage(format!(
            "`{text}` is no holder's key; whoever shall hold the grant makes one with `thingward grant key FILE`, which shows it"
        ))
    };
    bytes.map(HolderKey::from_bytes).ok_or_else(wrong)
}

pub(super) fn write_grant(path: &Path, grant: &[u8]) -> Result<(), Failure> {
    create_public(path, format!("{}\n", URL_SAFE_NO_PAD.encode(grant)).as_bytes())
}

/// A grant out of its file. Nothing of it is checked but its form.
pub(in crate::cli) fn read_grant(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
    let bytes = decode(text.trim()).filter(|bytes| thingward_grant::Grant::decode(bytes).is_ok());
    bytes.ok_or_else(|| {
        Failure::Failed(format!(
            "{} holds no grant as `thingward grant issue --out` writes it",
            path.display()
        ))
    })
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
