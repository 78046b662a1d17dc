//! An AES key on a token, for other keys.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use rand_core::Rng;
use thingward_crypto::system_rng;
use zeroize::Zeroizing;

use crate::token::Access;
use crate::{KeyName, Token, TokenError};

const NONCE_BYTES: usize = 12;
/// The full GCM tag, in bits.
const TAG_BITS: u64 = 128;
/// Of keys that are made here, in bytes: AES-256.
const KEY_BYTES: u64 = 32;

/// A secret key of CKK_AES on a token, used through CKM_AES_GCM.
pub struct SecretKey {
    token: Token,
    name: KeyName,
}

impl SecretKey {
    /// Makes sure that the key is there.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`] says what is missing: library, token, PIN or key.
    pub fn open(token: Token, name: KeyName) -> Result<Self, TokenError> {
        let key = Self { token, name };
        key.with_key(|_, _| Ok(()))?;
        Ok(key)
    }

    /// Makes the key on the token, not extractable.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`].
    pub fn make(token: Token, name: KeyName) -> Result<Self, TokenError> {
        let of_its_own = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(Ulong::new(KEY_BYTES)),
        ];
        let template = [name.attributes(), of_its_own.to_vec()].concat();
        token.with_session(Access::Write, |session| {
            let made = session.generate_key(&Mechanism::AesKeyGen, &template);
            made.map(drop).map_err(|e| token.unusable("make a key", e))
        })?;
        Ok(Self { token, name })
    }

    /// Encrypts `key`: `nonce(12) || ciphertext || tag(16)` of AES-GCM with `aad`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`].
    pub fn wrap(&self, key: &[u8], aad: &[u8]) -> Result<Vec<u8>, TokenError> {
        let mut nonce = [0; NONCE_BYTES];
        system_rng().fill_bytes(&mut nonce);
        let mut boxed = nonce.to_vec();
        self.with_key(|session, kek| {
            let params = GcmParams::new(&mut nonce, aad, Ulong::new(TAG_BITS));
            let mechanism = Mechanism::AesGcm(params.map_err(|e| self.token.unusable("wrap", e))?);
            let body = session.encrypt(&mechanism, kek, key).map_err(|e| self.token.unusable("wrap", e))?;
            boxed.extend_from_slice(&body);
            Ok(())
        })?;
        Ok(boxed)
    }

    /// Opens what [`Self::wrap`] made.
    ///
    /// # Errors
    ///
    /// [`TokenError::WrongKey`] when it was made under another key, with another `aad` or is damaged, and
    /// [`TokenError::Unusable`].
    pub fn unwrap(&self, boxed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let (nonce, body) = boxed.split_first_chunk::<NONCE_BYTES>().ok_or(TokenError::WrongKey)?;
        let mut nonce = *nonce;
        self.with_key(|session, kek| {
            let params = GcmParams::new(&mut nonce, aad, Ulong::new(TAG_BITS));
            let mechanism = Mechanism::AesGcm(params.map_err(|e| self.token.unusable("unwrap", e))?);
            match session.decrypt(&mechanism, kek, body) {
                Ok(key) => Ok(Zeroizing::new(key)),
                // Tokens disagree on which of these a bad tag is.
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::GeneralError
                    | RvError::FunctionFailed,
                    _,
                )) => Err(TokenError::WrongKey),
                Err(e) => Err(self.token.unusable("unwrap", e)),
            }
        })
    }

    fn with_key<T>(
        &self,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let wanted = self.name.wanted(ObjectClass::SECRET_KEY, KeyType::AES);
        self.token.with_session(Access::Read, |session| match self.token.find(session, &wanted)? {
            Some(key) => work(session, key),
            None => Err(self.token.unusable("look for the key", "there is no AES key with this label")),
        })
    }
}
