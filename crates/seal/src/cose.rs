//! The subset of COSE that chains use: tagged Sign1 and Encrypt0 with one protected header. RFC 9052 §4.2, §5.2.

use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{KeyId, SignatureAlgorithm, Signer, VerifyingKey};
use thingward_model::cbor::{Reader, Writer};

use crate::{FormatError, SEQUENCE_MAX};

/// CBOR tag of COSE_Encrypt0: RFC 9052 §2.
pub(crate) const ENCRYPT0_TAG: u64 = 16;
/// CBOR tag of COSE_Sign1.
pub(crate) const SIGN1_TAG: u64 = 18;

/// Header labels: RFC 9052 §3.1.
const ALGORITHM: i64 = 1;
const KEY_ID: i64 = 4;
const PARTIAL_IV: i64 = 6;

/// Largest payload of a statement, in bytes: one that opens a chain with three names of 63 bytes fits.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 512;
/// Room for the context and the structure around a payload that is signed, in bytes.
pub(crate) const SIG_STRUCTURE_BYTES: usize = 64;

/// A protected header with the algorithm only, encoded.
pub(crate) struct Protected {
    bytes: [u8; 8],
    len: usize,
}

impl Protected {
    pub(crate) fn new(algorithm: i64) -> Result<Self, FormatError> {
        let mut bytes = [0; 8];
        let mut e = Writer::new(&mut bytes);
        e.map(1)?.int(ALGORITHM)?.int(algorithm)?;
        let len = e.position();
        Ok(Self { bytes, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Reads a protected header that must hold the algorithm and nothing else.
pub(crate) fn algorithm(protected: &[u8]) -> Result<i64, FormatError> {
    let mut r = Reader::new(protected);
    if r.map()? != 1 || r.int()? != ALGORITHM {
        return Err(FormatError::Malformed);
    }
    let algorithm = r.int()?;
    r.end()?;
    Ok(algorithm)
}

/// A signed structure whose signature nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sign1<'a> {
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) key_id: KeyId,
    pub(crate) payload: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> Sign1<'a> {
    /// Reads one tagged COSE_Sign1, leaving `r` behind it.
    #[inline(never)]
    pub(crate) fn read(r: &mut Reader<'a>, payload_bytes_max: usize) -> Result<Self, FormatError> {
        if r.tag()? != SIGN1_TAG || r.array()? != 4 {
            return Err(FormatError::Malformed);
        }
        let algorithm = algorithm(r.bytes()?)?;
        if r.map()? != 1 || r.int()? != KEY_ID {
            return Err(FormatError::Malformed);
        }
        let key_id = *r.byte_array()?;
        let payload = r.bytes()?;
        let signature = r.byte_array()?;
        if payload.len() > payload_bytes_max {
            return Err(FormatError::TooLarge);
        }
        let algorithm = SignatureAlgorithm::from_cose_id(algorithm).ok_or(FormatError::UnknownVersion)?;
        Ok(Self { algorithm, key_id, payload, signature })
    }

    /// Takes no room for a copy of the payload: chips verify, too.
    ///
    /// # Errors
    ///
    /// [`FormatError::Crypto`] when the signature is not `key`'s over this payload and `context`.
    pub(crate) fn verify(&self, key: &VerifyingKey, context: &[u8]) -> Result<(), FormatError> {
        if key.algorithm() != self.algorithm {
            return Err(FormatError::Crypto);
        }
        let mut room = [0; SIG_STRUCTURE_BYTES];
        let len = sig_structure_head(&mut room, self.algorithm, context, self.payload.len())?;
        let head = room.get(..len).ok_or(FormatError::BufferTooSmall)?;
        Ok(key.verify_parts(&[head, self.payload], self.signature)?)
    }
}

/// Signs the payload that `write` makes, of at most `payload_bytes_max`, and writes the tagged COSE_Sign1 to the front of `out`; returns its length in
/// bytes. All of it happens there: a chip has no room for the payload and a copy of it.
pub(crate) fn sign1(
    signer: &impl Signer,
    context: &[u8],
    payload_bytes_max: usize,
    out: &mut [u8],
    write: impl FnOnce(&mut [u8]) -> Result<usize, FormatError>,
) -> Result<usize, FormatError> {
    let payload = out.get_mut(SIG_STRUCTURE_BYTES..).ok_or(FormatError::BufferTooSmall)?;
    let room = payload.len().min(payload_bytes_max);
    let len = write(payload.get_mut(..room).unwrap_or_default())?;
    sign_payload(signer, context, out, len)
}

/// Signs so many bytes that stand behind [`SIG_STRUCTURE_BYTES`].
#[inline(never)]
fn sign_payload(
    signer: &impl Signer,
    context: &[u8],
    out: &mut [u8],
    payload_bytes: usize,
) -> Result<usize, FormatError> {
    let key = signer.public_key();
    let payload = SIG_STRUCTURE_BYTES..SIG_STRUCTURE_BYTES + payload_bytes;
    let mut room = [0; SIG_STRUCTURE_BYTES];
    let len = sig_structure_head(&mut room, key.algorithm(), context, payload_bytes)?;
    let start = SIG_STRUCTURE_BYTES - len;
    let head = room.get(..len).ok_or(FormatError::BufferTooSmall)?;
    out.get_mut(start..payload.start).ok_or(FormatError::BufferTooSmall)?.copy_from_slice(head);
    let signed = out.get(start..payload.end).ok_or(FormatError::BufferTooSmall)?;
    let signature = signer.sign(signed)?;

    let mut e = Writer::new(&mut room);
    e.tag(SIGN1_TAG)?.array(4)?;
    e.bytes(Protected::new(key.algorithm().cose_id())?.as_bytes())?;
    e.map(1)?.int(KEY_ID)?.bytes(&key.id())?.bytes_len(payload_bytes)?;
    let at = e.position();
    out.copy_within(payload, at);
    let head = room.get(..at).ok_or(FormatError::BufferTooSmall)?;
    out.get_mut(..at).ok_or(FormatError::BufferTooSmall)?.copy_from_slice(head);
    let at = at + payload_bytes;
    let mut e = Writer::new(out.get_mut(at..).unwrap_or_default());
    e.bytes(&signature)?;
    Ok(at + e.position())
}

/// RFC 9052 §4.4, all of the structure up to the payload; its length in bytes. `context` is the externally supplied data: it
/// keeps a signature made for one purpose from being taken for another.
#[inline(never)]
fn sig_structure_head(
    buffer: &mut [u8],
    algorithm: SignatureAlgorithm,
    context: &[u8],
    payload_bytes: usize,
) -> Result<usize, FormatError> {
    let mut e = Writer::new(buffer);
    e.array(4)?.str("Signature1")?.bytes(Protected::new(algorithm.cose_id())?.as_bytes())?;
    e.bytes(context)?.bytes_len(payload_bytes)?;
    Ok(e.position())
}

/// The unprotected header of a record: the chain as key id, the sequence number as partial IV.
#[inline(never)]
pub(crate) fn encode_record_header(e: &mut Writer<'_>, chain: &[u8; 8], seq: u64) -> Result<(), FormatError> {
    let bytes = seq.to_be_bytes();
    e.map(2)?.int(KEY_ID)?.bytes(chain)?.int(PARTIAL_IV)?.bytes(without_leading_zeros(&bytes))?;
    Ok(())
}

/// Reads what [`encode_record_header`] wrote; a sequence number with leading zeros is malformed.
pub(crate) fn read_record_header(r: &mut Reader<'_>) -> Result<([u8; 8], u64), FormatError> {
    if r.map()? != 2 || r.int()? != KEY_ID {
        return Err(FormatError::Malformed);
    }
    let chain = *r.byte_array()?;
    if r.int()? != PARTIAL_IV {
        return Err(FormatError::Malformed);
    }
    let iv = r.bytes()?;
    if iv.is_empty() || iv.len() > 8 || iv.first() == Some(&0) {
        return Err(FormatError::Malformed);
    }
    let seq = iv.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    if seq > SEQUENCE_MAX { Err(FormatError::Malformed) } else { Ok((chain, seq)) }
}

fn without_leading_zeros(bytes: &[u8; 8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|b| **b == 0).count().min(7);
    bytes.get(zeros..).unwrap_or_default()
}

/// RFC 9052 §5.3, with no externally supplied data. Longest: 11 bytes and the protected header.
#[inline(never)]
pub(crate) fn enc_structure<'a>(buffer: &'a mut [u8; 24], protected: &[u8]) -> Result<&'a [u8], FormatError> {
    let mut e = Writer::new(buffer);
    e.array(3)?.str("Encrypt0")?.bytes(protected)?.bytes(&[])?;
    let len = e.position();
    buffer.get(..len).ok_or(FormatError::BufferTooSmall)
}
