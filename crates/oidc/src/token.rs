//! Whether an ID token proves who signed in: OpenID Connect Core §3.1.3.7.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use thingward_model::Timestamp;

use crate::error::TokenFault;
use crate::keys::{ALGORITHMS, KeySet};

/// Longest token, in bytes: some carry hundreds of groups.
pub(crate) const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// How far the provider's clock may be from ours.
const SKEW_SECONDS: f64 = 60.0;
/// Longest subject, in bytes: OpenID Connect Core §2.
const SUBJECT_BYTES_MAX: usize = 255;
/// Most audiences that are looked at.
const AUDIENCES_MAX: usize = 16;

/// What a token has to say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: Timestamp,
}

/// How a token says that it is signed. Nothing of it is believed but as a choice among keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<String>,
}

impl Header {
    pub(crate) fn read(token: &str) -> Result<Self, TokenFault> {
        #[derive(Deserialize)]
        struct Said {
            alg: String,
            kid: Option<String>,
            typ: Option<String>,
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let (encoded, _) = token.split_once('.').ok_or(TokenFault::Malformed)?;
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenFault::Malformed)?;
        let Said { alg, kid, typ } = serde_json::from_slice(&json).map_err(|_| TokenFault::Malformed)?;
        // RFC 8725 §3.11: a logout token or an access token is not an ID token, whoever signed it.
        if typ.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
            return Err(TokenFault::Malformed);
        }
        let known = ALGORITHMS.iter().find(|(name, _)| *name == alg);
        let (_, algorithm) = known.ok_or(TokenFault::Algorithm)?;
        Ok(Self { algorithm: *algorithm, key: kid })
    }
}

/// The claims of a token that says what is expected, signed by one of the keys.
pub(crate) fn check(
    token: &str,
    header: &Header,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Value, TokenFault> {
    let mut validation = Validation::new(header.algorithm);
    // The claims are checked below, with our clock.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let mut fault = TokenFault::Key;
    for key in keys.candidates(header.algorithm, header.key.as_deref()) {
        match jsonwebtoken::decode::<Value>(token, &key.key, &validation) {
            Ok(token) => return claims(token.claims, expected),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_)
                ) =>
            {
                return Err(TokenFault::Malformed);
            }
            Err(_) => fault = TokenFault::Signature,
        }
    }
    Err(fault)
}

fn claims(claims: Value, expected: &Expected<'_>) -> Result<Value, TokenFault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenFault::Issuer);
    }
    audience(&claims, expected.client_id)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let now = expected.now.as_seconds() as f64;
    if !seconds("exp").is_some_and(|end| now < end + SKEW_SECONDS) {
        return Err(TokenFault::Expired);
    }
    let begun = |from: f64| from <= now + SKEW_SECONDS;
    if !seconds("iat").is_some_and(begun) {
        return Err(TokenFault::NotYet);
    }
    if claims.get("nbf").is_some_and(|from| !from.as_f64().is_some_and(begun)) {
        return Err(TokenFault::NotYet);
    }
    let nonce = text("nonce").unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(TokenFault::Nonce);
    }
    subject(&claims).ok_or(TokenFault::Subject)?;
    Ok(claims)
}

fn audience(claims: &Value, client_id: &str) -> Result<(), TokenFault> {
    let several = match claims.get("aud") {
        Some(Value::String(one)) if one == client_id => false,
        Some(Value::Array(all)) if all.len() <= AUDIENCES_MAX => {
            if !all.iter().any(|one| one == client_id) {
                return Err(TokenFault::Audience);
            }
            all.len() > 1
        }
        _ => return Err(TokenFault::Audience),
    };
    match claims.get("azp") {
        Some(party) if party == client_id => Ok(()),
        // With several audiences only this says which of them it was given to.
        None if !several => Ok(()),
        _ => Err(TokenFault::AuthorizedParty),
    }
}

/// Who it is about.
pub(crate) fn subject(claims: &Value) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fits = (1..=SUBJECT_BYTES_MAX).contains(&subject.len());
    (fits && !subject.contains(char::is_control)).then_some(subject)
}
