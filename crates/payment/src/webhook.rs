//! Messages of a provider, as Standard Webhooks 1.0.0 signs them: HMAC-SHA256 over `id.timestamp.body`, with a key
//! that both have.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use thingward_crypto::MacKey;
use thingward_crypto::mac::{MAC_KEY_BYTES, MacTag};
use zeroize::Zeroizing;

use crate::secret::{self, SecretError};

/// Names a message; the same one when it is sent again.
pub const ID: &str = "webhook-id";
/// When it was sent, in seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Signatures, with a space between two.
pub const SIGNATURE: &str = "webhook-signature";

/// How far the clocks of both may be apart, the way included, in seconds.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Most signatures that are looked at: a key that is exchanged has two.
const SIGNATURES_MAX: usize = 8;
/// Shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 24;
const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

/// What messages are signed with. Wiped when dropped; never printed.
pub struct WebhookKey(MacKey);

/// Why a message counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFault {
    /// A header is missing, or is none.
    #[error("it has no id, time and signature")]
    Malformed,
    /// It is too old, or from the future.
    #[error("it is of another time")]
    OtherTime,
    /// Nobody with the key signed it.
    #[error("it is not signed by the provider")]
    Forged,
}

/// The headers of a message.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// [`ID`].
    pub id: &'a str,
    /// [`TIMESTAMP`].
    pub timestamp: &'a str,
    /// [`SIGNATURE`].
    pub signature: &'a str,
}

impl WebhookKey {
    /// The key of `whsec_` and 24 to 32 bytes in base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = STANDARD.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded)).ok()?;
        let bytes = Zeroizing::new(bytes);
        // HMAC fills a short key up with zeros itself: RFC 2104 §2.
        let mut key = Zeroizing::new([0; MAC_KEY_BYTES]);
        key.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        (bytes.len() >= SECRET_BYTES_MIN).then(|| Self(MacKey::new(&key)))
    }

    /// That in a file.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        Self::parse(&secret::read_line(path)?).ok_or(SecretError::Other("webhook secret: `whsec_…`"))
    }

    /// That in a file, made when there is none.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn read_or_make(path: &Path) -> Result<Self, SecretError> {
        secret::make(path, PREFIX)?;
        Self::read(path)
    }

    /// [`SIGNATURE`] of a message that is sent at `seconds`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        format!("{VERSION}{}", STANDARD.encode(self.tag(id, &seconds.to_string(), body)))
    }

    /// Checks a message that came at `now`, in seconds.
    ///
    /// # Errors
    ///
    /// [`WebhookFault`].
    pub fn verify(&self, headers: &Headers<'_>, body: &[u8], now: i64) -> Result<(), WebhookFault> {
        let Headers { id, timestamp, signature } = headers;
        let sent: i64 = timestamp.parse().map_err(|_| WebhookFault::Malformed)?;
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.contains('.') {
            return Err(WebhookFault::Malformed);
        }
        if sent.abs_diff(now) > TOLERANCE_SECONDS.unsigned_abs() {
            return Err(WebhookFault::OtherTime);
        }
        let is_ours = |signature: &str| {
            let tag = signature.strip_prefix(VERSION).and_then(|text| STANDARD.decode(text).ok());
            let tag = tag.and_then(|tag| MacTag::try_from(tag).ok());
            tag.is_some_and(|tag| {
                self.0.verify(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body], &tag).is_ok()
            })
        };
        let is_signed = signature.split(' ').take(SIGNATURES_MAX).any(is_ours);
        if is_signed { Ok(()) } else { Err(WebhookFault::Forged) }
    }

    fn tag(&self, id: &str, timestamp: &str, body: &[u8]) -> MacTag {
        self.0.tag(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;

    fn key() -> WebhookKey {
        WebhookKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw").unwrap()
    }

    fn check(headers: Headers<'_>, body: &[u8], now: i64, want: Result<(), WebhookFault>) {
        assert_eq!(key().verify(&headers, body, now), want, "{headers:?}");
    }

    #[test]
    fn a_signature_is_what_another_library_computes() {
        // By the `hmac` of Python's standard library, over `id.timestamp.body`.
        assert_eq!(key().sign(ID, AT, BODY), "v1,q6KMVIJHk4Gs770FfR5f591Ftx7uVJSGl5wHV1ri978=");
    }

    #[test]
    fn a_message_counts_when_one_of_its_signatures_is_the_providers_and_it_is_of_now() {
        let (timestamp, right) = (AT.to_string(), key().sign(ID, AT, BODY));
        let with = |signature| Headers { id: ID, timestamp: &timestamp, signature };
        let two = format!("v1,AAAA {right}");
        check(with(&right), BODY, AT, Ok(()));
        check(with(&two), BODY, AT + TOLERANCE_SECONDS, Ok(()));
        check(with(&right), BODY, AT - TOLERANCE_SECONDS - 1, Err(WebhookFault::OtherTime));
        check(with(&right), BODY, AT + TOLERANCE_SECONDS + 1, Err(WebhookFault::OtherTime));
        check(with(&right), b"{}", AT, Err(WebhookFault::Forged));
        check(with(""), BODY, AT, Err(WebhookFault::Forged));
        check(Headers { id: "msg_other", ..with(&right) }, BODY, AT, Err(WebhookFault::Forged));
        check(Headers { id: "", ..with(&right) }, BODY, AT, Err(WebhookFault::Malformed));
        check(Headers { timestamp: "now", ..with(&right) }, BODY, AT, Err(WebhookFault::Malformed));
        let later = (AT + 1).to_string();
        check(Headers { timestamp: &later, ..with(&right) }, BODY, AT, Err(WebhookFault::Forged));
    }

    #[test]
    fn a_secret_has_its_prefix_and_enough_bytes() {
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw", "whsec_", "whsec_AAAA", "whsec_*"] {
            assert!(WebhookKey::parse(bad).is_none(), "{bad}");
        }
    }
}
