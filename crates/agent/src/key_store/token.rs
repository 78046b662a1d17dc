//! Keys on a PKCS#11 token.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use thingward_crypto::sealed::{SealingKey, write_private};
use thingward_crypto::{SignatureAlgorithm, system_rng};
use thingward_pkcs11::{KeyName, SecretKey, Token, TokenReference, TokenSigner};
use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError, KeyStoreReference};
use crate::home::{HomeError, at};
use crate::stream::SharedSigner;

/// The sealing key, encrypted under a key of the token.
pub(crate) const WRAPPED_KEY: &str = "sealing.pkcs11";
/// What it is encrypted for.
const AAD: &[u8] = b"thingward sealing key";
/// Length of the name that this home has on its token, in bytes.
const ID_BYTES: usize = 16;

struct TokenStore {
    reference: KeyStoreReference,
    token: Token,
    name: KeyName,
    sealing: SealingKey,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct WrappedKey {
    /// A URI.
    token: String,
    /// `CKA_ID` of this home's keys, in hexadecimal digits: other homes may have keys with the same label.
    id: String,
    /// Base64.
    wrapped: String,
}

impl WrappedKey {
    fn read(home: &Path) -> Result<Self, HomeError> {
        let path = home.join(WRAPPED_KEY);
        let text = fs::read(&path).map_err(at(&path))?;
        serde_json::from_slice(&text).map_err(|e| HomeError::Damaged { path, reason: e.to_string() })
    }

    fn id(&self) -> Option<[u8; ID_BYTES]> {
        let mut id = [0; ID_BYTES];
        let bytes = base16ct::lower::decode(&self.id, &mut id).ok()?.len();
        (bytes == ID_BYTES).then_some(id)
    }
}

/// What the home's file says.
pub(super) fn reference(home: &Path) -> Result<KeyStoreReference, HomeError> {
    let token = WrappedKey::read(home)?.token;
    token.parse().map(Box::new).map(KeyStoreReference::Token).map_err(|_| damaged(home, "it names no token"))
}

fn damaged(home: &Path, reason: &str) -> HomeError {
    HomeError::Damaged { path: home.join(WRAPPED_KEY), reason: reason.to_owned() }
}

pub(super) fn open(home: &Path, reference: &TokenReference) -> Result<Box<dyn KeyStore>, HomeError> {
    let failed = |source| HomeError::Token { path: home.join(WRAPPED_KEY), source };
    let token = Token::open(reference).map_err(failed)?;
    if !home.join(WRAPPED_KEY).exists() {
        create(home, &token)?;
    }
    let file = WrappedKey::read(home)?;
    let id = file.id().ok_or_else(|| damaged(home, "it has no id"))?;
    let wrapped = STANDARD.decode(&file.wrapped).map_err(|_| damaged(home, "it is not base64"))?;
    let name = KeyName { label: reference.object.clone(), id: Some(id) };
    let kek = SecretKey::open(token.clone(), name.clone()).map_err(failed)?;
    let secret = kek.unwrap(&wrapped, AAD).map_err(failed)?;
    let sealing = SealingKey::from_bytes(&secret).map_err(|_| damaged(home, "it holds no key"))?;
    let reference = KeyStoreReference::Token(Box::new(reference.clone()));
    Ok(Box::new(TokenStore { reference, token, name, sealing }))
}

fn create(home: &Path, token: &Token) -> Result<(), HomeError> {
    let path = home.join(WRAPPED_KEY);
    let (mut id, mut key) = ([0; ID_BYTES], Zeroizing::new([0; 32]));
    system_rng().fill_bytes(&mut id);
    system_rng().fill_bytes(key.as_mut());
    let name = KeyName { label: token.reference().object.clone(), id: Some(id) };
    let wrapped = SecretKey::make(token.clone(), name).and_then(|kek| kek.wrap(key.as_ref(), AAD));
    let wrapped = wrapped.map_err(|source| HomeError::Token { path: path.clone(), source })?;
    let file = WrappedKey {
        token: token.reference().to_string(),
        id: base16ct::lower::encode_string(&id),
        wrapped: STANDARD.encode(wrapped),
    };
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    write_private(&path, &text).map_err(at(&path))
}

/// Destroys the keys of a home, which does not have to open.
pub(super) fn destroy(home: &Path) -> Result<(), HomeError> {
    let file = WrappedKey::read(home)?;
    let reference: TokenReference = file.token.parse().map_err(|_| damaged(home, "it names no token"))?;
    let id = file.id().ok_or_else(|| damaged(home, "it has no id"))?;
    let name = KeyName { label: reference.object.clone(), id: Some(id) };
    let left = |source| HomeError::KeysLeft { path: home.to_owned(), id: file.id.clone(), source };
    let token = Token::open(&reference).map_err(left)?;
    token.destroy(&pair(&name)).and_then(|()| token.destroy(&name)).map_err(left)
}

/// The name of the key pair of the home whose secret key this is.
fn pair(of: &KeyName) -> KeyName {
    KeyName { label: format!("{}-device", of.label), id: of.id }
}

impl KeyStore for TokenStore {
    fn reference(&self) -> &KeyStoreReference {
        &self.reference
    }

    fn sealing_key(&self) -> &SealingKey {
        &self.sealing
    }

    fn label(&self) -> &'static [u8] {
        b"identity on a token"
    }

    /// Nothing has to be kept: the home knows its keys by their names.
    fn create(&self, algorithm: SignatureAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        if algorithm != SignatureAlgorithm::EcdsaP256 {
            return Err(KeyStoreError::Algorithm);
        }
        // Of an enrolment that did not come to its end.
        self.token.destroy(&pair(&self.name))?;
        TokenSigner::make(self.token.clone(), pair(&self.name))?;
        Ok(Zeroizing::default())
    }

    fn load(&self, _kept: &[u8]) -> Result<SharedSigner, KeyStoreError> {
        let key = TokenSigner::open(self.token.clone(), pair(&self.name))?;
        Ok(Arc::new(key.ok_or(KeyStoreError::NoKey)?))
    }

    /// Tokens have no common word for where a key is.
    fn evidence(&self, _nonce: &[u8]) -> Result<Option<Vec<u8>>, KeyStoreError> {
        Ok(None)
    }
}
