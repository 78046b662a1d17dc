//! What ends a session, and what the other endpoint is told of it: RFC 9528 §6.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Suites;
use super::cbor::write_head;

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdhocError {
    /// Not the CBOR that RFC 9528 §5 and §3.3 say.
    #[error("the message is not well-formed")]
    Malformed,
    #[error("the method is not one that is taken")]
    Method,
    #[error("the selected cipher suite is none of {0}")]
    Suite(Suites),
    /// RFC 9528 §9.2.
    #[error("a public key is not a point of the curve")]
    PublicKey,
    /// RFC 9528 §3.8.
    #[error("the message has critical data that is not known")]
    CriticalData,
    /// A key that signs where a static one is needed, of another algorithm, or shown otherwise.
    #[error("the credential does not fit the method and the suite")]
    Credential,
    /// There are more certificates than anybody needs.
    #[error("the chain of certificates is too long")]
    ChainTooLong,
    /// It goes by something that says nothing here.
    #[error("the credential is not known")]
    UnknownCredential,
    /// The own key is out of reach.
    #[error("the own key does not sign")]
    Signer,
    /// Deliberately without detail.
    #[error("the message is not authentic")]
    NotAuthentic,
}

/// ERR_CODE of RFC 9528 §6.
const UNSPECIFIED: u8 = 1;
const WRONG_SUITE: u8 = 2;
const UNKNOWN_CREDENTIAL: u8 = 3;
const TRUE: u8 = 0xf5;

impl EdhocError {
    /// The error message that says so.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        match self {
            Self::Suite(taken) => {
                let mut out = Vec::from([WRONG_SUITE]);
                taken.write(&mut out);
                out
            }
            Self::UnknownCredential => Vec::from([UNKNOWN_CREDENTIAL, TRUE]),
            other => error_message(&other.to_string()),
        }
    }
}

/// An error message with a sentence for people: §6.2.
#[must_use]
pub fn error_message(text: &str) -> Vec<u8> {
    let mut out = Vec::from([UNSPECIFIED]);
    write_head(0x60, text.len(), &mut out);
    out.extend_from_slice(text.as_bytes());
    out
}

/// The sentence of an error message; `None` where it has none, or is none.
#[must_use]
pub fn error_text(message: &[u8]) -> Option<&str> {
    let mut decoder = minicbor::Decoder::new(message.strip_prefix(&[UNSPECIFIED])?);
    let text = decoder.str().ok()?;
    (decoder.position() + 1 == message.len()).then_some(text)
}
