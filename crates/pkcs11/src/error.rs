//! What goes wrong with a token.

use std::fmt::Display;

use crate::TokenReference;

/// What goes wrong with a token. No text here contains a key or a PIN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Library, token, PIN or key are not there, or the token refuses.
    #[error("key `{reference}` cannot be used: {problem}")]
    Unusable {
        /// The token, as a URI.
        reference: String,
        /// What is wrong.
        problem: String,
    },
    /// What was to be opened was made under another key, for another purpose, or is damaged.
    #[error("it does not open under this key")]
    WrongKey,
}

impl TokenError {
    pub(crate) fn unusable(reference: &TokenReference, step: &str, problem: impl Display) -> Self {
        Self::Unusable { reference: reference.to_string(), problem: format!("cannot {step}: {problem}") }
    }
}
