//! A signing request for the device's key: PKCS#10 (RFC 2986), which has the same bytes for each device but for the key and
//! the signature.

use thingward_crypto::{CryptoError, Signer};

use crate::link::{REQUEST_BYTES, put};

/// Version 0 and the subject `CN=device`: the service decides what a certificate says.
const SUBJECT: [u8; 22] = *b"\x02\x01\x00\x30\x11\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06device";
const ATTRIBUTES: [u8; 2] = [0xa0, 0x00];
const SPKI_BYTES: usize = 44;
const INFO_BYTES: usize = 2 + SUBJECT.len() + SPKI_BYTES + ATTRIBUTES.len();
/// Ed25519 (RFC 8410 §3), and a signature of 64 bytes behind it.
const SIGNATURE: [u8; 10] = *b"\x30\x05\x06\x03\x2b\x65\x70\x03\x41\x00";

/// Writes it to the front of `out`.
pub(crate) fn write(key: &impl Signer, out: &mut [u8]) -> Result<usize, CryptoError> {
    let mut spki = [0; thingward_crypto::sign::SPKI_BYTES_MAX];
    let len = key.public_key().write_spki(&mut spki);
    let spki = spki.get(..len).filter(|spki| spki.len() == SPKI_BYTES).ok_or(CryptoError)?;
    let mut info = [0; INFO_BYTES];
    put(&mut info, &[&[0x30, 68][..], &SUBJECT, spki, &ATTRIBUTES]).ok_or(CryptoError)?;
    let signature = key.sign(&info)?;
    let out = out.get_mut(..REQUEST_BYTES).ok_or(CryptoError)?;
    put(out, &[&[0x30, 0x81, 0x90][..], &info, &SIGNATURE, &signature]).ok_or(CryptoError)
}
