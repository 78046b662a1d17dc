//! What a browser brings back from a provider.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::error::OidcError;

/// Longest query, in bytes. Codes of some providers are JWTs.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// The parameters of RFC 6749 §4.1.2 and RFC 9207 §2. Others mean nothing here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) code: Option<Cow<'a, str>>,
    pub(crate) state: Option<Cow<'a, str>>,
    pub(crate) issuer: Option<Cow<'a, str>>,
    pub(crate) error: Option<Cow<'a, str>>,
}

impl<'a> Answer<'a> {
    pub(crate) fn parse(query: &'a str) -> Result<Self, OidcError> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(OidcError::Foreign("it is too long"));
        }
        let mut answer = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*key {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.issuer,
                "error" => &mut answer.error,
                _ => continue,
            };
            // RFC 6749 §3.1: never more than once. Two readers could take different ones.
            if slot.replace(value).is_some() {
                return Err(OidcError::Foreign("a parameter is there twice"));
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_there_once_and_others_mean_nothing() {
        let answer = Answer::parse("code=a%2Bb&state=s&iss=https%3A%2F%2Fid&session_state=x").unwrap();
        let want = Answer {
            code: Some("a+b".into()),
            state: Some("s".into()),
            issuer: Some("https://id".into()),
            error: None,
        };
        assert_eq!(answer, want);
        assert!(Answer::parse("code=a&code=a").is_err());
        assert!(Answer::parse(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
