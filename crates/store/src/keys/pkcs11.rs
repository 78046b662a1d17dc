//! Customer keys on a PKCS#11 token.

use thingward_pkcs11::{KeyName, SecretKey, Token, TokenError, TokenReference};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::KeyProvider;

/// A customer's AES key on a token.
pub struct TokenKek(SecretKey);

impl TokenKek {
    /// Loads the vendor's library and makes sure that the key is there.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] says what is missing: library, token, PIN or key.
    pub fn open(reference: &TokenReference) -> Result<Self, StoreError> {
        let token = Token::open(reference)?;
        Ok(Self(SecretKey::open(token, KeyName::labelled(&reference.object))?))
    }
}

impl KeyProvider for TokenKek {
    fn wrap(&self, key: &[u8], aad: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.0.wrap(key, aad)?)
    }

    fn unwrap(&self, boxed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(self.0.unwrap(boxed, aad)?)
    }
}

impl From<TokenError> for StoreError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unusable { reference, problem } => Self::KeyUnusable { reference, problem },
            _ => Self::WrongKey { what: "a boxed tenant key" },
        }
    }
}
