//! Evidence of what a device runs and where its key is: an Entity Attestation Token (RFC 9711) as a CWT, signed with the
//! key that the device's certificate is for. `docs/wire/attestation.cddl` has the structure.
//!
//! Nothing here allocates, so that a chip makes the same token. What a TPM says travels as it is; `thingward-tpm` checks it.

#![cfg_attr(not(test), no_std)]

use minicbor::data::Tag;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder, decode, encode};
use thingward_crypto::{
    CryptoError, Digest, SIGNATURE_BYTES, SignatureAlgorithm, Signer, VerifyingKey, sha256,
};

/// Largest token that is read, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 4096;
/// Longest name or version of software, in bytes.
pub const TEXT_BYTES_MAX: usize = 64;
/// Room that signing and verifying need besides the token, in bytes.
pub const ROOM_BYTES: usize = EVIDENCE_BYTES_MAX + 64;

/// CBOR tag of COSE_Sign1: RFC 9052 §2.
const SIGN1: u64 = 18;
/// Header label: RFC 9052 §3.1.
const ALGORITHM: i64 = 1;

/// Claims: RFC 9711 §4.
const NONCE: i64 = 10;
const UEID: i64 = 256;
const SOFTWARE_NAME: i64 = 270;
const SOFTWARE_VERSION: i64 = 271;
/// Our own, where RFC 8392 §9.1 leaves room for private use.
const TPM: i64 = -70_001;

/// A UEID whose rest is random, or as good as that: RFC 9711 §4.2.1.
const UEID_RANDOM: u8 = 1;

/// Why there is no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttestError {
    /// It is not such a token.
    Malformed,
    /// It is larger than [`EVIDENCE_BYTES_MAX`], or the buffer too small.
    TooLarge,
    /// It is not signed with the device's key.
    Signature,
    /// It answers another question: it is old, or was made for somebody else.
    Nonce,
    /// It is about another device.
    Device,
}

impl core::fmt::Display for AttestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no evidence that this version reads",
            Self::TooLarge => "it is larger than evidence may be",
            Self::Signature => "it is not signed with the key of the device",
            Self::Nonce => "it does not answer this nonce",
            Self::Device => "it is about another device",
        })
    }
}

impl core::error::Error for AttestError {}

impl From<decode::Error> for AttestError {
    fn from(_: decode::Error) -> Self {
        Self::Malformed
    }
}

impl<E> From<encode::Error<E>> for AttestError {
    fn from(_: encode::Error<E>) -> Self {
        Self::TooLarge
    }
}

impl From<CryptoError> for AttestError {
    fn from(_: CryptoError) -> Self {
        Self::Signature
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims<'a> {
    /// What the service asked with.
    pub nonce: &'a [u8],
    /// The name of its software.
    pub software: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What its TPM says about its key and how the machine was started.
    pub tpm: Option<&'a [u8]>,
}

impl Claims<'_> {
    /// The token, in `out`. `room` holds [`ROOM_BYTES`].
    ///
    /// # Errors
    ///
    /// [`AttestError::TooLarge`], or [`AttestError::Signature`] when the key does not sign.
    pub fn sign<'o>(
        &self,
        signer: &dyn Signer,
        room: &mut [u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], AttestError> {
        let key = signer.public_key();
        let mut e = encoder(out);
        e.map(4 + u64::from(self.tpm.is_some()))?.i64(NONCE)?.bytes(self.nonce)?;
        e.i64(UEID)?.bytes(&ueid(key))?;
        e.i64(SOFTWARE_NAME)?.str(self.software)?.i64(SOFTWARE_VERSION)?.str(self.version)?;
        if let Some(tpm) = self.tpm {
            e.i64(TPM)?.bytes(tpm)?;
        }
        let len = e.writer().position();
        let payload = out.get(..len).ok_or(AttestError::TooLarge)?;
        let protected = protected(key.algorithm())?;
        let signature = signer.sign(sig_structure(room, &protected, payload)?)?;
        let mut e = encoder(room);
        e.tag(Tag::new(SIGN1))?.array(4)?.bytes(&protected)?.map(0)?.bytes(payload)?.bytes(&signature)?;
        let len = e.writer().position();
        let (signed, token) = (room.get(..len), out.get_mut(..len));
        let (signed, token) = signed.zip(token).ok_or(AttestError::TooLarge)?;
        token.copy_from_slice(signed);
        if len > EVIDENCE_BYTES_MAX { Err(AttestError::TooLarge) } else { Ok(token) }
    }
}

impl<'a> Claims<'a> {
    /// What the device with this key says, in answer to a nonce that `is_asked` knows. `room` holds [`ROOM_BYTES`].
    ///
    /// # Errors
    ///
    /// [`AttestError`] says what is wrong with the token.
    pub fn verify(
        token: &'a [u8],
        key: &VerifyingKey,
        is_asked: impl FnOnce(&[u8]) -> bool,
        room: &mut [u8],
    ) -> Result<Self, AttestError> {
        if token.len() > EVIDENCE_BYTES_MAX {
            return Err(AttestError::TooLarge);
        }
        let (payload, signature) = split(token, key)?;
        let message = sig_structure(room, &protected(key.algorithm())?, payload)?;
        key.verify(message, signature)?;
        let (claims, about) = Self::decode(payload)?;
        if about != ueid(key) {
            return Err(AttestError::Device);
        }
        if !is_asked(claims.nonce) {
            return Err(AttestError::Nonce);
        }
        Ok(claims)
    }

    /// What a token says that was verified before, by this key.
    ///
    /// # Errors
    ///
    /// [`AttestError::Malformed`].
    pub fn from_verified(token: &'a [u8], key: &VerifyingKey) -> Result<Self, AttestError> {
        Ok(Self::decode(split(token, key)?.0)?.0)
    }

    fn decode(payload: &'a [u8]) -> Result<(Self, &'a [u8]), AttestError> {
        let mut d = Decoder::new(payload);
        let claims = d.map()?.ok_or(AttestError::Malformed)?;
        let nonce = next(&mut d, NONCE)?.bytes()?;
        let about = next(&mut d, UEID)?.bytes()?;
        let software = next(&mut d, SOFTWARE_NAME)?.str()?;
        let version = next(&mut d, SOFTWARE_VERSION)?.str()?;
        let tpm = match claims {
            4 => None,
            5 => Some(next(&mut d, TPM)?.bytes()?),
            _ => return Err(AttestError::Malformed),
        };
        if d.position() != payload.len() || software.len().max(version.len()) > TEXT_BYTES_MAX {
            return Err(AttestError::Malformed);
        }
        Ok((Self { nonce, software, version, tpm }, about))
    }
}

/// The next claim, which has to be this one: they are in the order of RFC 8949 §4.2.1.
fn next<'d, 'a>(d: &'d mut Decoder<'a>, claim: i64) -> Result<&'d mut Decoder<'a>, AttestError> {
    if d.i64()? == claim { Ok(d) } else { Err(AttestError::Malformed) }
}

/// Payload and signature.
fn split<'a>(
    token: &'a [u8],
    key: &VerifyingKey,
) -> Result<(&'a [u8], &'a [u8; SIGNATURE_BYTES]), AttestError> {
    let mut d = Decoder::new(token);
    if d.tag()? != Tag::new(SIGN1) || d.array()? != Some(4) {
        return Err(AttestError::Malformed);
    }
    if d.bytes()? != protected(key.algorithm())? {
        return Err(AttestError::Signature);
    }
    if d.map()? != Some(0) {
        return Err(AttestError::Malformed);
    }
    let (payload, signature) = (d.bytes()?, d.bytes()?);
    if d.position() != token.len() {
        return Err(AttestError::Malformed);
    }
    Ok((payload, signature.try_into().map_err(|_| AttestError::Malformed)?))
}

/// Names a device by its key.
fn ueid(key: &VerifyingKey) -> [u8; 33] {
    let mut spki = [0; thingward_crypto::sign::SPKI_BYTES_MAX];
    let len = key.write_spki(&mut spki);
    let digest: Digest = sha256(&[spki.get(..len).unwrap_or_default()]);
    let mut ueid = [UEID_RANDOM; 33];
    ueid.iter_mut().skip(1).zip(digest).for_each(|(to, from)| *to = from);
    ueid
}

/// The protected header: the algorithm and nothing else, which takes three bytes for both.
fn protected(algorithm: SignatureAlgorithm) -> Result<[u8; 3], AttestError> {
    let mut bytes = [0; 3];
    encoder(&mut bytes).map(1)?.i64(ALGORITHM)?.i64(algorithm.cose_id())?;
    Ok(bytes)
}

/// RFC 9052 §4.4, without external data.
fn sig_structure<'r>(room: &'r mut [u8], protected: &[u8], payload: &[u8]) -> Result<&'r [u8], AttestError> {
    let mut e = encoder(room);
    e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?;
    let len = e.writer().position();
    room.get(..len).ok_or(AttestError::TooLarge)
}

fn encoder(out: &mut [u8]) -> Encoder<Cursor<&mut [u8]>> {
    Encoder::new(Cursor::new(out))
}

#[cfg(test)]
mod tests {
    use thingward_crypto::{SoftwareKey, system_rng};

    use super::*;

    const CLAIMS: Claims<'_> =
        Claims { nonce: b"asked", software: "thingward", version: "0.1.0", tpm: Some(b"what the TPM says") };

    fn key(algorithm: SignatureAlgorithm) -> SoftwareKey {
        SoftwareKey::generate(algorithm, &mut system_rng())
    }

    fn token(claims: &Claims<'_>, key: &SoftwareKey) -> Vec<u8> {
        let (mut room, mut out) = ([0; ROOM_BYTES], [0; EVIDENCE_BYTES_MAX]);
        claims.sign(key, &mut room, &mut out).unwrap().to_vec()
    }

    fn verify<'a>(token: &'a [u8], key: &SoftwareKey, nonce: &[u8]) -> Result<Claims<'a>, AttestError> {
        Claims::verify(token, key.public_key(), |asked| asked == nonce, &mut [0; ROOM_BYTES])
    }

    #[test]
    fn evidence_says_what_the_device_said_with_either_kind_of_key() {
        for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
            let key = key(algorithm);
            for tpm in [None, CLAIMS.tpm] {
                let claims = Claims { tpm, ..CLAIMS };
                let token = token(&claims, &key);
                assert_eq!(verify(&token, &key, b"asked"), Ok(claims));
                assert_eq!(Claims::from_verified(&token, key.public_key()), Ok(claims));
            }
        }
    }

    #[test]
    fn evidence_that_was_changed_cut_or_is_of_another_key_or_nonce_is_refused() {
        let (key, other) = (key(SignatureAlgorithm::EcdsaP256), key(SignatureAlgorithm::EcdsaP256));
        let token = token(&CLAIMS, &key);
        for at in 0..token.len() {
            let mut bent = token.clone();
            bent[at] ^= 1;
            assert!(verify(&bent, &key, b"asked").is_err(), "bit flipped in byte {at}");
            assert!(verify(&token[..at], &key, b"asked").is_err(), "cut to {at} bytes");
        }
        assert_eq!(verify(&token, &other, b"asked"), Err(AttestError::Signature));
        assert_eq!(verify(&token, &key, b"again"), Err(AttestError::Nonce));
        let long = [token.as_slice(), &[0; EVIDENCE_BYTES_MAX]].concat();
        assert_eq!(verify(&long, &key, b"asked"), Err(AttestError::TooLarge));
    }
}
