//! An ECDSA P-256 key on a PKCS#11 token.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{CryptoError, Signer, VerifyingKey, sha256};

use crate::token::Access;
use crate::{KeyName, Token, TokenError};

/// DER of the object identifier of P-256: RFC 5480 §2.1.1.1.
const P256_PARAMETERS: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// DER of `SubjectPublicKeyInfo` in front of an uncompressed P-256 point.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Length of an uncompressed P-256 point in bytes.
const POINT_BYTES: usize = 65;

/// Signs with a key that never leaves its token.
pub struct TokenSigner {
    token: Token,
    name: KeyName,
    public: VerifyingKey,
}

impl TokenSigner {
    /// Opens the key; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`] says what is missing or refused.
    pub fn open(token: Token, name: KeyName) -> Result<Option<Self>, TokenError> {
        let wanted = name.wanted(ObjectClass::PUBLIC_KEY, KeyType::EC);
        let public = token.with_session(Access::Read, |session| {
            token.find(session, &wanted)?.map(|public| read_public(&token, session, public)).transpose()
        })?;
        Ok(public.map(|public| Self { token, name, public }))
    }

    /// Makes the key on the token, not extractable.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unusable`].
    pub fn make(token: Token, name: KeyName) -> Result<Self, TokenError> {
        let public = token.with_session(Access::Write, |session| {
            let public = generate(&token, session, &name)?;
            read_public(&token, session, public)
        })?;
        Ok(Self { token, name, public })
    }

    /// Opens the key; makes it when there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_or_make(token: Token, name: KeyName) -> Result<Self, TokenError> {
        match Self::open(token.clone(), name.clone())? {
            Some(signer) => Ok(signer),
            None => Self::make(token, name),
        }
    }
}

fn generate(token: &Token, session: &Session, name: &KeyName) -> Result<ObjectHandle, TokenError> {
    let public =
        [Attribute::Token(true), Attribute::Verify(true), Attribute::EcParams(P256_PARAMETERS.to_vec())];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let named = |template: &[Attribute]| [name.attributes(), template.to_vec()].concat();
    let pair = session.generate_key_pair(&Mechanism::EccKeyPairGen, &named(&public), &named(&private));
    pair.map(|(public, _)| public).map_err(|e| token.unusable("make a key", e))
}

fn read_public(token: &Token, session: &Session, key: ObjectHandle) -> Result<VerifyingKey, TokenError> {
    let values = session.get_attributes(key, &[AttributeType::EcPoint]);
    let values = values.map_err(|e| token.unusable("read the public key", e))?;
    let point = values.iter().find_map(|a| match a {
        Attribute::EcPoint(point) => Some(point.as_slice()),
        _ => None,
    });
    // The point is wrapped in a DER octet string: PKCS#11 v3.1, §6.3.3.
    let point = point.and_then(|p| p.strip_prefix(&[0x04, 0x41])).filter(|p| p.len() == POINT_BYTES);
    let spki = point.map(|p| [&P256_SPKI_PREFIX, p].concat()).unwrap_or_default();
    VerifyingKey::from_spki(&spki).map_err(|_| token.unusable("read the public key", "it is no P-256 point"))
}

impl Signer for TokenSigner {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        let signature = self.token.with_session(Access::Read, |session| {
            let wanted = self.name.wanted(ObjectClass::PRIVATE_KEY, KeyType::EC);
            let found = self.token.find(session, &wanted)?;
            let key = found.ok_or_else(|| self.token.unusable("sign", "the private key is gone"))?;
            session
                .sign(&Mechanism::Ecdsa, key, &sha256(&[message]))
                .map_err(|e| self.token.unusable("sign", e))
        });
        signature.ok().and_then(|s| s.try_into().ok()).ok_or(CryptoError)
    }
}
