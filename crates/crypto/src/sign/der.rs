//! Signatures in DER.

use super::SIGNATURE_BYTES;
use crate::CryptoError;

/// An ECDSA signature over P-256 as `r ‖ s`, from the DER that X.509 and WebAuthn carry: RFC 3279 §2.2.3.
///
/// # Errors
///
/// [`CryptoError`] when it is no such DER.
pub fn p256_signature_from_der(der: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
    let [0x30, len, rest @ ..] = der else { return Err(CryptoError) };
    if usize::from(*len) != rest.len() {
        return Err(CryptoError);
    }
    let mut out = [0; SIGNATURE_BYTES];
    let (r, s) = out.split_at_mut(SIGNATURE_BYTES / 2);
    let rest = der_integer(rest, r)?;
    if der_integer(rest, s)?.is_empty() { Ok(out) } else { Err(CryptoError) }
}

/// Writes the positive INTEGER that `der` starts with into all of `out`; gives what is behind it.
fn der_integer<'a>(der: &'a [u8], out: &mut [u8]) -> Result<&'a [u8], CryptoError> {
    let [0x02, len, rest @ ..] = der else { return Err(CryptoError) };
    let (number, rest) = rest.split_at_checked(usize::from(*len)).ok_or(CryptoError)?;
    let number = match number {
        // A zero in front only where the number would look negative without it: X.690 §8.3.2.
        [0, digits @ ..] if digits.first().is_some_and(|d| d & 0x80 != 0) => digits,
        [0, ..] | [] => return Err(CryptoError),
        [first, ..] if first & 0x80 != 0 => return Err(CryptoError),
        digits => digits,
    };
    let at = out.len().checked_sub(number.len()).ok_or(CryptoError)?;
    out.get_mut(at..).ok_or(CryptoError)?.copy_from_slice(number);
    Ok(rest)
}
