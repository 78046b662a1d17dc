//! Who gets a certificate: the decisions of EST (RFC 7030), without HTTP around them.
//!
//! Four ways in: a one-time claim code, a maker's certificate (IDevID) whose maker the tenant trusts, the certificate that is
//! about to end, and for a thing of a radio its gateway, while somebody lets that. Each shows that the key in the request is the device's own, and names a
//! tenant that the device did not choose: the code's, the path's checked against the maker, the certificate's.

mod certify;
mod claim;
mod kept;
mod maker;
mod refusal;
mod renewal;

pub use certify::CERTIFICATES_MAX;
pub use claim::{Admits, Claimed, NewClaim, create_claim, enrol_with_claim, fingerprint};
pub use kept::{KEPT_MAX, enrol_child};
pub use maker::enrol_with_initial_identity;
pub(crate) use maker::makers_of;
pub use refusal::Refusal;
pub use renewal::{child_of, member_of, renew, renew_child, renew_known};

/// RFC 4648 §6 without padding: what people can read out and type.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0_u16, 0_u8);
    let symbol = |value: u16| char::from(ALPHABET.get(usize::from(value & 31)).copied().unwrap_or(b'A'));
    for byte in bytes {
        buffer = (buffer << 8) | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(symbol(buffer >> bits));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(symbol(buffer << (5 - bits)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(&[0xff; 16]).len(), 26);
    }
}
