//! How a witness is known: by the SHA-256 of its certificate.

use std::fmt;
use std::str::FromStr;

use thingward_crypto::{Digest, sha256};

/// The SHA-256 of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(Digest);

impl Fingerprint {
    /// Of this certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(&[certificate]))
    }

    /// The hash itself.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

/// A text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: 64 hex digits, as `openssl x509 -fingerprint -sha256` shows it")]
pub struct NoFingerprint;

/// 64 hex digits of either case, with or without colons.
impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let mut digest = Digest::default();
        let digits = text.replace(':', "");
        let decoded = base16ct::mixed::decode(&digits, &mut digest).map_err(|_| NoFingerprint)?;
        if decoded.len() == digest.len() { Ok(Self(digest)) } else { Err(NoFingerprint) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_and_we_write_it() {
        let mine = Fingerprint::of(b"certificate");
        let text = mine.to_string();
        let pairs: Vec<_> = text.as_bytes().chunks(2).map(|p| std::str::from_utf8(p).unwrap()).collect();
        assert_eq!(text.parse(), Ok(mine));
        assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(mine));
        for wrong in ["", "00", &text[1..], &text[2..], &format!("{text}00"), &text.replace(&text[..1], "g")]
        {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }
}
