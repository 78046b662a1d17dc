//! What boxes and opens tenant keys: something that holds a customer's key.

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::{FileKek, KekReference, TokenKek};

/// Holds one customer key and uses it, without giving it away.
pub trait KeyProvider: Send + Sync {
    /// Boxes `key` under the customer key: `nonce(12) || ciphertext || tag(16)` of AES-256-GCM with `aad`.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] when the customer key cannot be reached.
    fn wrap(&self, key: &[u8], aad: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Opens a box of [`Self::wrap`].
    ///
    /// # Errors
    ///
    /// [`StoreError::WrongKey`] when the box is of another key, another `aad` or damaged;
    /// [`StoreError::KeyUnusable`] when the customer key cannot be reached.
    fn unwrap(&self, boxed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError>;
}

/// Reaches the customer key that `reference` names. Blocks on files and tokens.
///
/// # Errors
///
/// [`StoreError::KeyUnusable`] says what is wrong with the file or token.
pub fn connect(reference: &KekReference) -> Result<Box<dyn KeyProvider>, StoreError> {
    Ok(match reference {
        KekReference::File(path) => Box::new(FileKek::open(path)?),
        KekReference::Token(token) => Box::new(TokenKek::open(token)?),
    })
}
