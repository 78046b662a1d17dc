//! What can go wrong between leaving for a provider and coming back.

use std::fmt;

/// Why nobody is signed in. Texts are for logs; no code, token or secret is in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The provider is not there, or not the one that its certificate should name.
    #[error("the provider does not answer: {0}")]
    Unreachable(String),
    /// The provider answers, but not with what the standard wants.
    #[error("the provider's answer cannot be used: {0}")]
    Unusable(&'static str),
    /// Too much time went by since it began.
    #[error("the sign-in began too long ago")]
    Expired,
    /// The answer is to no sign-in that began in this browser, or comes from another provider.
    #[error("the answer does not belong to this sign-in: {0}")]
    Foreign(&'static str),
    /// The provider says no: the person turned back, or may not.
    #[error("the provider did not sign the person in: {0}")]
    Declined(ErrorCode),
    /// The provider does not take the code or our secret.
    #[error("the provider did not take the code: {0}")]
    Refused(ErrorCode),
    /// The ID token proves nothing.
    #[error("the ID token is not valid: {0}")]
    Token(TokenFault),
}

impl OidcError {
    /// A word that stands for this error in a URL. It does not change.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "provider-unreachable",
            Self::Unusable(_) => "provider-unusable",
            Self::Expired => "sign-in-expired",
            Self::Foreign(_) => "sign-in-foreign",
            Self::Declined(_) => "provider-declined",
            Self::Refused(_) => "code-refused",
            Self::Token(_) => "token-invalid",
        }
    }
}

impl From<TokenFault> for OidcError {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// It is no signed JWT, or too large.
    #[error("it is no signed JWT")]
    Malformed,
    /// Its algorithm is none of RS256, ES256 and EdDSA.
    #[error("it is not signed with RS256, ES256 or EdDSA")]
    Algorithm,
    /// The provider publishes no such key.
    #[error("the provider does not publish the key that it names")]
    Key,
    /// No key made this signature.
    #[error("its signature is wrong")]
    Signature,
    /// Somebody else issued it.
    #[error("its issuer is another one")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another client")]
    Audience,
    /// It was given to somebody else.
    #[error("it was given to another client")]
    AuthorizedParty,
    /// It is over, or says no end.
    #[error("it has expired")]
    Expired,
    /// It is from the future, or says no beginning.
    #[error("it is not valid yet")]
    NotYet,
    /// It answers another request.
    #[error("it answers another request")]
    Nonce,
    /// It does not say about whom it is, or in a form that nobody allows.
    #[error("it names nobody")]
    Subject,
}

/// The `error` of an OAuth answer: a word of the standards, or `unknown` in place of anything that is not a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCode(String);

impl ErrorCode {
    /// Longest word that is taken.
    const BYTES_MAX: usize = 64;

    pub(crate) fn new(text: &str) -> Self {
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !text.is_empty() && text.len() <= Self::BYTES_MAX && text.bytes().all(is_word) {
            Self(text.to_owned())
        } else {
            Self("unknown".to_owned())
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
