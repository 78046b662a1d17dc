//! Evidence of what a device runs and where its key is: an Entity Attestation Token (RFC 9711) as a CWT, signed with the
//! key that the device's certificate is for. `docs/wire/attestation.cddl` has the structure.
//!
//! Nothing here allocates, so that a chip makes the same token. What a TPM says travels as it is; `thingward-tpm` checks it.

#![cfg_attr(not(test), no_std)]

mod firmware;

pub use firmware::{ENDORSEMENT_BYTES, Endorsement};

use thingward_crypto::{
    CryptoError, Digest, SIGNATURE_BYTES, SignatureAlgorithm, Signer, VerifyingKey, sha256,
};
use thingward_model::cbor::{Full, Malformed, Reader, Writer};

/// Largest token that is read, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 4096;
/// Longest name or version of software, in bytes.
pub const TEXT_BYTES_MAX: usize = 64;
/// Shortest and longest nonce that is answered, in bytes: RFC 9711 §4.1.
pub const NONCE_BYTES: core::ops::RangeInclusive<usize> = 8..=64;
/// Room that verifying needs besides the token, in bytes.
pub const ROOM_BYTES: usize = EVIDENCE_BYTES_MAX + 64;
/// Room in front of the claims while they are signed: for what a signature covers besides them, and then for what the token
/// has there.
const FRONT_BYTES: usize = 24;

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
const FIRMWARE: i64 = -70_002;

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

impl From<Malformed> for AttestError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Full> for AttestError {
    fn from(_: Full) -> Self {
        Self::TooLarge
    }
}

impl From<CryptoError> for AttestError {
    fn from(_: CryptoError) -> Self {
        Self::Signature
    }
}

/// What proves where a device's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    /// What its TPM says about the key and how the machine was started.
    Tpm(&'a [u8]),
    /// What the part says about the key and the firmware that has it.
    Firmware(Endorsement),
}

/// What a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims<'a> {
    /// What the service asked with: [`NONCE_BYTES`].
    pub nonce: &'a [u8],
    /// The name of its software.
    pub software: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What others say of its key.
    pub root: Option<Root<'a>>,
}

impl Claims<'_> {
    /// The token, at the front of `out`, which has room for [`ROOM_BYTES`], or 160 bytes more than texts, nonce and root take.
    ///
    /// # Errors
    ///
    /// [`AttestError::TooLarge`], or [`AttestError::Signature`] when the key does not sign.
    pub fn sign<'o>(&self, signer: &dyn Signer, out: &'o mut [u8]) -> Result<&'o [u8], AttestError> {
        let key = signer.public_key();
        let protected = protected(key.algorithm())?;
        let claims = out.get_mut(FRONT_BYTES..).ok_or(AttestError::TooLarge)?;
        let end = FRONT_BYTES + self.write(key, claims)?;
        let start = before(out, |e| sig_structure_head(e, &protected, end - FRONT_BYTES))?;
        let signature = signer.sign(out.get(start..end).ok_or(AttestError::TooLarge)?)?;
        let start = before(out, |e| {
            e.tag(SIGN1)?.array(4)?.bytes(&protected)?.map(0)?.bytes_len(end - FRONT_BYTES).map(drop)
        })?;
        let mut e = Writer::new(out.get_mut(end..).ok_or(AttestError::TooLarge)?);
        e.bytes(&signature)?;
        let end = end + e.position();
        out.copy_within(start..end, 0);
        out.get(..end - start).filter(|token| token.len() <= EVIDENCE_BYTES_MAX).ok_or(AttestError::TooLarge)
    }

    /// The claims, and their length. In the order of RFC 8949 §4.2.1.
    fn write(&self, key: &VerifyingKey, out: &mut [u8]) -> Result<usize, AttestError> {
        let mut e = Writer::new(out);
        e.map(4 + usize::from(self.root.is_some()))?.int(NONCE)?.bytes(self.nonce)?;
        e.int(UEID)?.bytes(&ueid(key))?;
        e.int(SOFTWARE_NAME)?.str(self.software)?.int(SOFTWARE_VERSION)?.str(self.version)?;
        match &self.root {
            None => {}
            Some(Root::Tpm(said)) => drop(e.int(TPM)?.bytes(said)?),
            Some(Root::Firmware(said)) => drop(e.int(FIRMWARE)?.bytes(&said.to_bytes())?),
        }
        Ok(e.position())
    }
}

impl<'a> Claims<'a> {
    /// What the device with this key says, in answer to a nonce that `is_asked` knows. `room` holds [`ROOM_BYTES`]. What a
    /// TPM says is not checked here.
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
        let (payload, signature) = split(token, key.algorithm())?;
        let message = sig_structure(room, &protected(key.algorithm())?, payload)?;
        key.verify(message, signature)?;
        let (claims, about) = Self::decode(payload)?;
        if about != ueid(key) {
            return Err(AttestError::Device);
        }
        if let Some(Root::Firmware(said)) = &claims.root {
            said.verify(key)?;
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
        Ok(Self::decode(split(token, key.algorithm())?.0)?.0)
    }

    /// The key that a token says a part endorses. Nothing of it is verified.
    #[must_use]
    pub fn endorsed_key(token: &'a [u8]) -> Option<VerifyingKey> {
        let (payload, _) = split(token, SignatureAlgorithm::Ed25519).ok()?;
        match Self::decode(payload).ok()?.0.root? {
            Root::Firmware(said) => VerifyingKey::from_ed25519(&said.key).ok(),
            Root::Tpm(_) => None,
        }
    }

    fn decode(payload: &'a [u8]) -> Result<(Self, &'a [u8]), AttestError> {
        let mut r = Reader::new(payload);
        let claims = r.map()?;
        let nonce = next(&mut r, NONCE)?.bytes()?;
        let about = next(&mut r, UEID)?.bytes()?;
        let software = next(&mut r, SOFTWARE_NAME)?.str()?;
        let version = next(&mut r, SOFTWARE_VERSION)?.str()?;
        let root = match claims {
            4 => None,
            5 => Some(Root::read(&mut r)?),
            _ => return Err(AttestError::Malformed),
        };
        r.end()?;
        if software.len().max(version.len()) > TEXT_BYTES_MAX || !NONCE_BYTES.contains(&nonce.len()) {
            return Err(AttestError::Malformed);
        }
        Ok((Self { nonce, software, version, root }, about))
    }
}

impl<'a> Root<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, AttestError> {
        match r.int()? {
            TPM => Ok(Self::Tpm(r.bytes()?)),
            FIRMWARE => Endorsement::read(r.bytes()?).map(Self::Firmware).ok_or(AttestError::Malformed),
            _ => Err(AttestError::Malformed),
        }
    }
}

/// The next claim, which has to be this one: they are in the order of RFC 8949 §4.2.1.
fn next<'r, 'a>(r: &'r mut Reader<'a>, claim: i64) -> Result<&'r mut Reader<'a>, AttestError> {
    if r.int()? == claim { Ok(r) } else { Err(AttestError::Malformed) }
}

/// Payload and signature.
fn split(
    token: &[u8],
    algorithm: SignatureAlgorithm,
) -> Result<(&[u8], &[u8; SIGNATURE_BYTES]), AttestError> {
    let mut r = Reader::new(token);
    if r.tag()? != SIGN1 || r.array()? != 4 {
        return Err(AttestError::Malformed);
    }
    if r.bytes()? != protected(algorithm)? {
        return Err(AttestError::Signature);
    }
    if r.map()? != 0 {
        return Err(AttestError::Malformed);
    }
    let (payload, signature) = (r.bytes()?, r.byte_array()?);
    r.end()?;
    Ok((payload, signature))
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
    Writer::new(&mut bytes).map(1)?.int(ALGORITHM)?.int(algorithm.cose_id())?;
    Ok(bytes)
}

/// RFC 9052 §4.4, without external data.
fn sig_structure<'r>(room: &'r mut [u8], protected: &[u8], payload: &[u8]) -> Result<&'r [u8], AttestError> {
    let mut e = Writer::new(room);
    sig_structure_head(&mut e, protected, payload.len())?;
    let len = e.raw(payload)?.position();
    room.get(..len).ok_or(AttestError::TooLarge)
}

/// All of it that stands in front of a payload of this length.
fn sig_structure_head(e: &mut Writer<'_>, protected: &[u8], payload: usize) -> Result<(), Full> {
    e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes_len(payload).map(drop)
}

/// Writes something that ends where the claims begin; where it starts.
fn before(
    out: &mut [u8],
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<usize, AttestError> {
    let mut front = [0; FRONT_BYTES];
    let mut e = Writer::new(&mut front);
    write(&mut e)?;
    let start = FRONT_BYTES - e.position();
    let place = out.get_mut(start..FRONT_BYTES).ok_or(AttestError::TooLarge)?;
    place.iter_mut().zip(front).for_each(|(to, from)| *to = from);
    Ok(start)
}

#[cfg(test)]
mod tests {
    use thingward_crypto::{SoftwareKey, system_rng};

    use super::*;

    const CLAIMS: Claims<'_> = Claims {
        nonce: b"what is asked",
        software: "thingward",
        version: "0.1.0",
        root: Some(Root::Tpm(b"what a TPM says")),
    };

    fn key(algorithm: SignatureAlgorithm) -> SoftwareKey {
        SoftwareKey::generate(algorithm, &mut system_rng())
    }

    fn token(claims: &Claims<'_>, key: &SoftwareKey) -> Vec<u8> {
        claims.sign(key, &mut [0; EVIDENCE_BYTES_MAX]).unwrap().to_vec()
    }

    fn verify<'a>(token: &'a [u8], key: &SoftwareKey, nonce: &[u8]) -> Result<Claims<'a>, AttestError> {
        Claims::verify(token, key.public_key(), |asked| asked == nonce, &mut [0; ROOM_BYTES])
    }

    fn endorsed(key: &SoftwareKey) -> Endorsement {
        let part = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[7; 32]).unwrap();
        Endorsement::sign(&part, [8; 32], key.public_key()).unwrap()
    }

    #[test]
    fn evidence_says_what_the_device_said_with_either_kind_of_key() {
        for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
            let key = key(algorithm);
            for root in [None, CLAIMS.root] {
                let claims = Claims { root, ..CLAIMS };
                let token = token(&claims, &key);
                assert_eq!(verify(&token, &key, CLAIMS.nonce), Ok(claims));
                assert_eq!(Claims::from_verified(&token, key.public_key()), Ok(claims));
                assert_eq!(Claims::endorsed_key(&token), None);
            }
        }
    }

    #[test]
    fn a_chip_says_which_firmware_has_its_key_in_a_frame_of_its_line() {
        let key = key(SignatureAlgorithm::Ed25519);
        let claims = Claims { root: Some(Root::Firmware(endorsed(&key))), nonce: &[5; 64], ..CLAIMS };
        let mut frame = [0; 512];
        let token = claims.sign(&key, &mut frame).unwrap();
        assert_eq!(verify(token, &key, claims.nonce), Ok(claims));
        assert_eq!(Claims::endorsed_key(token).as_ref(), Some(key.public_key()));
        let len = token.len();
        let mut small = vec![0; len];
        assert_eq!(claims.sign(&key, &mut small).map(<[u8]>::len).err(), Some(AttestError::TooLarge));
    }

    #[test]
    fn what_a_part_says_of_another_key_proves_nothing() {
        let (key, other) = (key(SignatureAlgorithm::Ed25519), key(SignatureAlgorithm::Ed25519));
        let claims = Claims { root: Some(Root::Firmware(endorsed(&other))), ..CLAIMS };
        assert_eq!(verify(&token(&claims, &key), &key, CLAIMS.nonce), Err(AttestError::Signature));
        let mut bent = endorsed(&key);
        bent.firmware[0] ^= 1;
        let claims = Claims { root: Some(Root::Firmware(bent)), ..CLAIMS };
        assert_eq!(verify(&token(&claims, &key), &key, CLAIMS.nonce), Err(AttestError::Signature));
    }

    #[test]
    fn evidence_that_was_changed_cut_or_is_of_another_key_or_nonce_is_refused() {
        let (key, other) = (key(SignatureAlgorithm::EcdsaP256), key(SignatureAlgorithm::EcdsaP256));
        let token = token(&CLAIMS, &key);
        for at in 0..token.len() {
            let mut bent = token.clone();
            bent[at] ^= 1;
            assert!(verify(&bent, &key, CLAIMS.nonce).is_err(), "bit flipped in byte {at}");
            assert!(verify(&token[..at], &key, CLAIMS.nonce).is_err(), "cut to {at} bytes");
        }
        assert_eq!(verify(&token, &other, CLAIMS.nonce), Err(AttestError::Signature));
        assert_eq!(verify(&token, &key, b"something else"), Err(AttestError::Nonce));
        let long = [token.as_slice(), &[0; EVIDENCE_BYTES_MAX]].concat();
        assert_eq!(verify(&long, &key, CLAIMS.nonce), Err(AttestError::TooLarge));
        for nonce in [&[1; 7][..], &[1; 65]] {
            let token = self::token(&Claims { nonce, ..CLAIMS }, &key);
            assert_eq!(verify(&token, &key, nonce), Err(AttestError::Malformed));
        }
    }
}
