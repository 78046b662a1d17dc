//! A record: one SenML pack, sealed as COSE_Encrypt0 under the chain's key. RFC 9052 §5.2.
//!
//! ```text
//! 16([ << {1: algorithm} >>, {4: chain id, 6: sequence number}, ciphertext ‖ tag ])
//! ```
//!
//! The nonce is the chain's base IV with the sequence number, left-padded with zeros, XORed in (§3.1, Partial
//! IV). A key belongs to one chain and a number is used once in it, so no nonce comes twice.

#[cfg(feature = "hpke")]
mod recipient;

use thingward_crypto::aead::{KEY_BYTES_MAX, NONCE_BYTES_MAX, TAG_BYTES};
use thingward_crypto::{AeadAlgorithm, AeadKey};
use thingward_model::cbor::{Reader, Writer};
use thingward_model::limits::RECORD_BYTES_MAX;
use thingward_model::{Reading, senml};
use zeroize::Zeroizing;

use crate::cose::{self, ENCRYPT0_TAG, Protected};
use crate::{ChainId, FormatError};

/// Key, then base IV.
const SECRET_BYTES: usize = KEY_BYTES_MAX + NONCE_BYTES_MAX;

/// The key and base IV of one chain. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct RecordKey {
    key: AeadKey,
    base_iv: Zeroizing<[u8; NONCE_BYTES_MAX]>,
}

impl RecordKey {
    /// The key from the bytes that [`Self::expose`] gave.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] never for bytes of the right length.
    pub fn from_secret(algorithm: AeadAlgorithm, secret: &[u8; SECRET_BYTES]) -> Result<Self, FormatError> {
        let (key, iv) = secret.split_at(KEY_BYTES_MAX);
        let key = AeadKey::new(algorithm, key.get(..algorithm.key_bytes()).unwrap_or_default())?;
        let mut base_iv = Zeroizing::new([0; NONCE_BYTES_MAX]);
        base_iv.copy_from_slice(iv);
        Ok(Self { key, base_iv })
    }

    /// The secret bytes, for sealing them: key padded to 32 bytes, then base IV of 16.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let (key, iv) = secret.split_at_mut(KEY_BYTES_MAX);
        for (slot, byte) in key.iter_mut().zip(self.key.expose()) {
            *slot = *byte;
        }
        iv.copy_from_slice(self.base_iv.as_ref());
        secret
    }

    /// The cipher of the chain.
    #[must_use]
    pub const fn algorithm(&self) -> AeadAlgorithm {
        self.key.algorithm()
    }

    fn nonce(&self, seq: u64) -> [u8; NONCE_BYTES_MAX] {
        let mut nonce = *self.base_iv;
        let end = self.algorithm().nonce_bytes();
        for (slot, byte) in nonce.iter_mut().take(end).rev().zip(seq.to_be_bytes().iter().rev()) {
            *slot ^= byte;
        }
        nonce
    }

    /// Seals `readings` as record `seq` into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when a reading is outside the limits, or the record would be larger than
    /// [`RECORD_BYTES_MAX`] or `out`.
    pub fn seal(
        &self,
        chain: &ChainId,
        seq: u64,
        readings: &[Reading<'_>],
        out: &mut [u8],
    ) -> Result<usize, FormatError> {
        let algorithm = self.algorithm();
        let protected = Protected::new(algorithm.cose_id())?;
        let mut e = Writer::new(out);
        e.tag(ENCRYPT0_TAG)?.array(3)?.bytes(protected.as_bytes())?;
        cose::encode_record_header(&mut e, chain, seq)?;
        let header = e.position();

        // The pack goes where it ends up when its length takes three bytes, and is moved when it takes less.
        let at = header + 3;
        let text = out.get_mut(at..).ok_or(FormatError::BufferTooSmall)?;
        let text_len = senml::encode(readings, text).map_err(FormatError::Senml)?;
        let text = text.get_mut(..text_len).ok_or(FormatError::BufferTooSmall)?;
        let mut aad = [0; 24];
        let aad = cose::enc_structure(&mut aad, protected.as_bytes())?;
        let nonce = self.nonce(seq);
        let nonce = nonce.get(..algorithm.nonce_bytes()).unwrap_or_default();
        let tag = self.key.seal(nonce, aad, text)?;
        let sealed_len = text_len + TAG_BYTES;
        let end = at + text_len;
        out.get_mut(end..end + TAG_BYTES).ok_or(FormatError::BufferTooSmall)?.copy_from_slice(&tag);

        let length = out.get_mut(header..).ok_or(FormatError::BufferTooSmall)?;
        let mut e = Writer::new(length);
        e.bytes_len(sealed_len)?;
        let start = header + e.position();
        out.copy_within(at..at + sealed_len, start);
        let len = start + sealed_len;
        if len > RECORD_BYTES_MAX { Err(FormatError::TooLarge) } else { Ok(len) }
    }
}

/// A well-formed record that nobody has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The exact bytes, as they enter the chain's hash.
    pub bytes: &'a [u8],
    /// The chain it claims to belong to.
    pub chain: ChainId,
    /// Its place in the chain, from 1.
    pub seq: u64,
    algorithm: AeadAlgorithm,
    sealed: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one record, leaving `r` behind it.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = r.position();
        if r.tag()? != ENCRYPT0_TAG || r.array()? != 3 {
            return Err(FormatError::Malformed);
        }
        let algorithm = cose::algorithm(r.bytes()?)?;
        let (chain, seq) = cose::read_record_header(r)?;
        let sealed = r.bytes()?;
        let bytes = r.since(start)?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        if sealed.len() <= TAG_BYTES {
            return Err(FormatError::Malformed);
        }
        let algorithm = AeadAlgorithm::from_cose_id(algorithm).ok_or(FormatError::UnknownVersion)?;
        Ok(Self { bytes, chain, seq, algorithm, sealed })
    }

    /// The last bytes of the ciphertext. Two records of one chain and number are the same record exactly when
    /// their tags are equal.
    #[must_use]
    pub fn tag(&self) -> [u8; TAG_BYTES] {
        self.sealed.last_chunk().copied().unwrap_or_default()
    }

    /// Opens the record into `out` and returns the length of the pack in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the record was not sealed under `key` with this number, or was changed.
    pub fn open(&self, key: &RecordKey, out: &mut [u8]) -> Result<usize, FormatError> {
        if self.algorithm != key.algorithm() {
            return Err(FormatError::Crypto);
        }
        let (text, tag) = self.sealed.split_last_chunk::<TAG_BYTES>().ok_or(FormatError::Malformed)?;
        let out = out.get_mut(..text.len()).ok_or(FormatError::BufferTooSmall)?;
        out.copy_from_slice(text);
        let protected = Protected::new(self.algorithm.cose_id())?;
        let mut aad = [0; 24];
        let aad = cose::enc_structure(&mut aad, protected.as_bytes())?;
        let nonce = key.nonce(self.seq);
        let nonce = nonce.get(..self.algorithm.nonce_bytes()).unwrap_or_default();
        key.key.open(nonce, aad, out, tag)?;
        Ok(text.len())
    }
}
