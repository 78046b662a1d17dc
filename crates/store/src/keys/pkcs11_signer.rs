//! An ECDSA P-256 key on a PKCS#11 token.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{CryptoError, Signer, VerifyingKey, sha256};

use crate::error::StoreError;
use crate::keys::Pkcs11Reference;
use crate::keys::pkcs11::{Access, Token};

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
pub struct Pkcs11Signer {
    token: Token,
    label: String,
    public: VerifyingKey,
}

impl Pkcs11Signer {
    /// Opens the key with the label `<object>-<name>`, where `object` is the reference's; makes it on the token,
    /// not extractable, when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] says what is missing or refused.
    pub fn open_or_create(reference: &Pkcs11Reference, name: &str) -> Result<Self, StoreError> {
        let token = Token::open(reference)?;
        let label = format!("{}-{name}", reference.object);
        let public = token.with_session(Access::Write, |session| {
            let wanted = key_attributes(ObjectClass::PUBLIC_KEY, &label);
            let public = match token.find(session, &wanted)? {
                Some(public) => public,
                None => generate(&token, session, &label)?,
            };
            read_public(&token, session, public)
        })?;
        Ok(Self { token, label, public })
    }
}

fn key_attributes(class: ObjectClass, label: &str) -> [Attribute; 3] {
    [Attribute::Class(class), Attribute::KeyType(KeyType::EC), Attribute::Label(label.as_bytes().to_vec())]
}

fn generate(token: &Token, session: &Session, label: &str) -> Result<ObjectHandle, StoreError> {
    let public = [
        Attribute::Token(true),
        Attribute::Verify(true),
        Attribute::EcParams(P256_PARAMETERS.to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let pair = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    pair.map(|(public, _)| public).map_err(|e| token.unusable("make a key", e))
}

fn read_public(token: &Token, session: &Session, key: ObjectHandle) -> Result<VerifyingKey, StoreError> {
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

impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        let signature = self.token.with_session(Access::Read, |session| {
            let wanted = key_attributes(ObjectClass::PRIVATE_KEY, &self.label);
            let found = self.token.find(session, &wanted)?;
            let key = found.ok_or_else(|| self.token.unusable("sign", "the private key is gone"))?;
            session
                .sign(&Mechanism::Ecdsa, key, &sha256(&[message]))
                .map_err(|e| self.token.unusable("sign", e))
        });
        signature.ok().and_then(|s| s.try_into().ok()).ok_or(CryptoError)
    }
}
