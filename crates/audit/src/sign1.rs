//! COSE_Sign1 (RFC 9052 §4.2) in the one form that the log has: algorithm and key id protected, nothing unprotected. What it is
//! signed for is the external data.

use std::vec::Vec;

use minicbor::data::Tag;
use minicbor::{Decoder, Encoder};
use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{KeyId, SignatureAlgorithm, Signer, VerifyingKey};

use crate::entry::EntryError;

const SIGN1_TAG: u64 = 18;
const LABEL_ALGORITHM: i64 = 1;
const LABEL_KEY_ID: i64 = 4;

/// Signs a payload for `context`: a COSE_Sign1.
///
/// # Errors
///
/// [`EntryError::Signer`].
pub fn sign(context: &[u8], payload: &[u8], signer: &(impl Signer + ?Sized)) -> Result<Vec<u8>, EntryError> {
    let protected = protected(signer.public_key())?;
    let sign1 = Sign1 { protected: &protected, payload };
    let signature = signer.sign(&sign1.to_be_signed(context)?).map_err(|_| EntryError::Signer)?;
    sign1.encode(&signature)
}

/// A COSE_Sign1 whose signature nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    sign1: Sign1<'a>,
    signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Signed<'a> {
    /// Reads one that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`EntryError::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let (sign1, signature) = Sign1::decode(bytes)?;
        Ok(Self { sign1, signature })
    }

    /// What is signed, on nobody's word.
    #[must_use]
    pub const fn payload_unverified(&self) -> &'a [u8] {
        self.sign1.payload
    }

    /// The key that it says signed it.
    ///
    /// # Errors
    ///
    /// [`EntryError::Malformed`], [`EntryError::Version`] for an algorithm that is not known here.
    pub fn key_id(&self) -> Result<KeyId, EntryError> {
        self.sign1.key_id()
    }

    /// What is signed, on the word of `key`'s holder, for `context`.
    ///
    /// # Errors
    ///
    /// [`EntryError::Signature`].
    pub fn verify(&self, context: &[u8], key: &VerifyingKey) -> Result<&'a [u8], EntryError> {
        self.sign1.verify(context, key, &self.signature).map(|()| self.sign1.payload)
    }
}

/// A COSE_Sign1, or the Sig_structure of one, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sign1<'a> {
    pub(crate) protected: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Sign1<'a> {
    /// Reads a COSE_Sign1, with its signature.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Self, [u8; SIGNATURE_BYTES]), EntryError> {
        let mut d = Decoder::new(bytes);
        if d.tag()? != Tag::new(SIGN1_TAG) || d.array()? != Some(4) {
            return Err(EntryError::Malformed);
        }
        let protected = d.bytes()?;
        if d.map()? != Some(0) {
            return Err(EntryError::Malformed);
        }
        let payload = d.bytes()?;
        let signature = d.bytes()?.try_into().map_err(|_| EntryError::Malformed)?;
        whole(&d)?;
        Ok((Self { protected, payload }, signature))
    }

    /// Writes a COSE_Sign1.
    pub(crate) fn encode(&self, signature: &[u8; SIGNATURE_BYTES]) -> Result<Vec<u8>, EntryError> {
        let mut e = Encoder::new(Vec::new());
        let written = e.tag(Tag::new(SIGN1_TAG)).and_then(|e| {
            e.array(4)?.bytes(self.protected)?.map(0)?.bytes(self.payload)?.bytes(signature)?.ok()
        });
        written.map_err(|_| EntryError::TooLarge)?;
        Ok(e.into_writer())
    }

    /// The Sig_structure of RFC 9052 §4.4, which is what gets signed; `context` is the external data.
    pub(crate) fn to_be_signed(self, context: &[u8]) -> Result<Vec<u8>, EntryError> {
        let mut e = Encoder::new(Vec::new());
        let written = e.array(4).and_then(|e| {
            e.str("Signature1")?.bytes(self.protected)?.bytes(context)?.bytes(self.payload)?.ok()
        });
        written.map_err(|_| EntryError::TooLarge)?;
        Ok(e.into_writer())
    }

    /// Reads a Sig_structure, with its external data.
    pub(crate) fn from_to_be_signed(message: &'a [u8]) -> Result<(Self, &'a [u8]), EntryError> {
        let mut d = Decoder::new(message);
        if d.array()? != Some(4) || d.str()? != "Signature1" {
            return Err(EntryError::Malformed);
        }
        let (protected, context, payload) = (d.bytes()?, d.bytes()?, d.bytes()?);
        whole(&d)?;
        Ok((Self { protected, payload }, context))
    }

    /// The key that the protected header names.
    pub(crate) fn key_id(&self) -> Result<KeyId, EntryError> {
        let mut d = Decoder::new(self.protected);
        if d.map()? != Some(2) || d.i64()? != LABEL_ALGORITHM {
            return Err(EntryError::Malformed);
        }
        SignatureAlgorithm::from_cose_id(d.i64()?).ok_or(EntryError::Version)?;
        if d.i64()? != LABEL_KEY_ID {
            return Err(EntryError::Malformed);
        }
        let key_id = d.bytes()?.try_into().map_err(|_| EntryError::Malformed)?;
        whole(&d)?;
        Ok(key_id)
    }

    /// Whether `key`'s holder signed it in this context.
    pub(crate) fn verify(
        &self,
        context: &[u8],
        key: &VerifyingKey,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), EntryError> {
        let is_named = self.protected == protected(key)?;
        let holds = is_named && key.verify(&self.to_be_signed(context)?, signature).is_ok();
        if holds { Ok(()) } else { Err(EntryError::Signature) }
    }
}

/// The protected header of what this key signs.
pub(crate) fn protected(key: &VerifyingKey) -> Result<Vec<u8>, EntryError> {
    let mut e = Encoder::new(Vec::new());
    let algorithm = key.algorithm().cose_id();
    let written = e
        .map(2)
        .and_then(|e| e.i64(LABEL_ALGORITHM)?.i64(algorithm)?.i64(LABEL_KEY_ID)?.bytes(&key.id())?.ok());
    written.map_err(|_| EntryError::Signer)?;
    Ok(e.into_writer())
}

fn whole(d: &Decoder<'_>) -> Result<(), EntryError> {
    if d.position() == d.input().len() { Ok(()) } else { Err(EntryError::Malformed) }
}
