//! Where a customer key is, as text: `file:/path` or a PKCS#11 URI.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thingward_pkcs11::{ReferenceError, TokenReference, decode, encode};

/// Where a customer key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KekReference {
    /// In a file: `file:/path`.
    File(PathBuf),
    /// On a token.
    Token(TokenReference),
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KekReferenceError {
    /// Neither `file:` nor `pkcs11:`.
    #[error("does not start with `file:` or `pkcs11:`")]
    UnknownScheme,
    /// The path after `file:` does not start with `/`.
    #[error("names no absolute path, as in `file:/etc/thingward/customer.key`")]
    RelativePath,
    /// No PKCS#11 URI, or not percent-encoded.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl FromStr for KekReference {
    type Err = KekReferenceError;

    fn from_str(text: &str) -> Result<Self, KekReferenceError> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = decode(path.strip_prefix("//").unwrap_or(path))?;
            let absolute = path.starts_with('/').then(|| PathBuf::from(path));
            return absolute.map(Self::File).ok_or(KekReferenceError::RelativePath);
        }
        if !text.starts_with("pkcs11:") {
            return Err(KekReferenceError::UnknownScheme);
        }
        Ok(Self::Token(text.parse()?))
    }
}

impl fmt::Display for KekReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", encode(&path.to_string_lossy())),
            Self::Token(token) => token.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&str, KekReferenceError>) {
        let got = text.parse::<KekReference>();
        let shown = got.clone().map(|r| r.to_string());
        assert_eq!(shown, want.map(str::to_owned), "{text}");
        if let Ok(reference) = got {
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        }
    }

    #[test]
    fn references_name_a_file_or_a_key_on_a_token() {
        let whole = "pkcs11:token=acme;object=kek?module-path=/usr/lib/p11.so&pin-source=/etc/pin";
        check("file:/etc/customer.key", Ok("file:/etc/customer.key"));
        check("file:///etc/customer.key", Ok("file:/etc/customer.key"));
        check("file:/a%20b", Ok("file:/a%20b"));
        check(whole, Ok(whole));
    }

    #[test]
    fn a_text_that_is_no_reference_is_told_why() {
        use KekReferenceError as E;
        check("", Err(E::UnknownScheme));
        check("/etc/customer.key", Err(E::UnknownScheme));
        check("file:customer.key", Err(E::RelativePath));
        check("file:/a%2", Err(ReferenceError::BadEncoding("/a%2".into()).into()));
        check("pkcs11:token", Err(ReferenceError::NoValue("token".into()).into()));
    }
}
