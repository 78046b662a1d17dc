//! What an operator hands to a device: a one-time code and the fingerprint of the root to trust.

use std::fmt;
use std::str::FromStr;

use thingward_crypto::sha256;
use zeroize::Zeroizing;

const CODE_CHARS: usize = 26;
const FINGERPRINT_BYTES: usize = 16;

/// The first half of the SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let digest = sha256(&[der]);
        let mut bytes = [0; FINGERPRINT_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(digest) {
            *slot = byte;
        }
        Self(bytes)
    }
}

/// Lower-case hex.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text is no [`Fingerprint`] or [`Claim`]. It says nothing of the text, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The fingerprint is not 32 hex digits.
    #[error("fingerprint is not 32 hex digits")]
    Fingerprint,
    /// There is no dot.
    #[error("claim is not CODE.FINGERPRINT")]
    Form,
    /// The code is not 26 base32 characters.
    #[error("the claim's code is not 26 characters of A-Z and 2-7")]
    Code,
}

impl FromStr for Fingerprint {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        if text.len() != 2 * FINGERPRINT_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ClaimError::Fingerprint);
        }
        let value = u128::from_str_radix(text, 16).map_err(|_| ClaimError::Fingerprint)?;
        Ok(Self(value.to_be_bytes()))
    }
}

/// A claim, written `CODE.FINGERPRINT`. The code is wiped when dropped and never printed.
#[derive(Clone)]
pub struct Claim {
    /// The one-time password.
    pub code: Zeroizing<String>,
    /// Of the root to trust.
    pub root: Fingerprint,
}

impl FromStr for Claim {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let (code, root) = text.trim().split_once('.').ok_or(ClaimError::Form)?;
        let is_base32 = |b: u8| b.is_ascii_alphabetic() || (b'2'..=b'7').contains(&b);
        if code.len() != CODE_CHARS || !code.bytes().all(is_base32) {
            return Err(ClaimError::Code);
        }
        Ok(Self { code: Zeroizing::new(code.to_owned()), root: root.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<(), ClaimError>) {
        assert_eq!(text.parse::<Claim>().map(|_| ()), want, "{text}");
    }

    #[test]
    fn a_claim_is_a_code_a_dot_and_a_fingerprint() {
        let (code, root) = ("ABCDEFGHIJKLMNOPQRSTUVWX27", "00112233445566778899aabbccddeeff");
        check(&format!("{code}.{root}"), Ok(()));
        check(&format!(" {code}.{root}\n"), Ok(()));
        check(code, Err(ClaimError::Form));
        check(&format!("{code}1.{root}"), Err(ClaimError::Code));
        check(&format!("{}1.{root}", &code[1..]), Err(ClaimError::Code));
        check(&format!("{code}.{root}00"), Err(ClaimError::Fingerprint));
        check(&format!("{code}.+{}", &root[1..]), Err(ClaimError::Fingerprint));
        let claim: Claim = format!("{code}.{root}").parse().unwrap();
        assert_eq!(claim.root.to_string(), root);
    }

    #[test]
    fn a_fingerprint_is_the_first_half_of_the_hash() {
        // SHA-256 of nothing, as every table of it says.
        assert_eq!(Fingerprint::of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb924");
    }
}
