//! The keys that a provider signs with: a JWK Set, RFC 7517 and 7518 §6.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::error::OidcError;

/// What tokens may be signed with, and the name of it. There is no way from `none` or a shared secret into this list.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 3] =
    [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)];
/// Most keys that are looked at.
const KEYS_MAX: usize = 64;

/// A key as it is published.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that checks signatures of one algorithm.
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// All of them.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// Keys for other purposes or algorithms are left out.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, OidcError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(body).map_err(|_| OidcError::Unusable("its keys are no JWK Set"))?;
        if document.keys.len() > KEYS_MAX {
            return Err(OidcError::Unusable("it has too many keys"));
        }
        let published = document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(published.filter_map(key).collect()))
    }

    /// Those that may have signed a token with this header.
    pub(crate) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let named = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        self.0.iter().filter(move |key| key.algorithm == algorithm).filter(named)
    }
}

fn key(published: Published) -> Option<Key> {
    let Published { kty, kid, purpose, key_ops, alg, crv, n, e, x, y } = published;
    if purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if key_ops.is_some_and(|all| !all.iter().any(|operation| operation == "verify")) {
        return None;
    }
    let (algorithm, key) = match (kty.as_str(), crv.as_deref()) {
        ("RSA", None) => (Algorithm::RS256, DecodingKey::from_rsa_components(&n?, &e?)),
        ("EC", Some("P-256")) => (Algorithm::ES256, DecodingKey::from_ec_components(&x?, &y?)),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, DecodingKey::from_ed_components(&x?)),
        _ => return None,
    };
    let name = ALGORITHMS.iter().find(|(_, known)| *known == algorithm)?.0;
    if alg.is_some_and(|alg| alg != name) {
        return None;
    }
    Some(Key { id: kid, algorithm, key: key.ok()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_for_anything_else_are_left_out() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let set = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a" },
            { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "b", "use": "sig", "alg": "EdDSA", "key_ops": ["verify"] },
            { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "encrypts", "use": "enc" },
            { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "wraps", "key_ops": ["wrapKey"] },
            { "kty": "OKP", "crv": "X25519", "x": x, "kid": "agrees" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "nothing in it" },
            { "kty": "OKP", "crv": "Ed25519", "x": "*", "kid": "no base64url" },
            { "kty": "oct", "k": x, "kid": "shared" },
            { "kty": "EC", "crv": "P-384", "x": x, "y": x, "kid": "another curve" },
            { "kty": "RSA", "n": x, "e": "AQAB", "alg": "RS512", "kid": "another hash" },
            { "kty": 1 },
            7,
        ]});
        let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
        let ids: Vec<_> = set.0.iter().map(|key| key.id.as_deref()).collect();
        assert_eq!(ids, [Some("a"), Some("b")]);
        assert_eq!(set.candidates(Algorithm::EdDSA, None).count(), 2);
        assert_eq!(set.candidates(Algorithm::EdDSA, Some("b")).count(), 1);
        assert_eq!(set.candidates(Algorithm::RS256, Some("b")).count(), 0);
        let many = json!({ "keys": vec![0; KEYS_MAX + 1] });
        assert!(KeySet::parse(many.to_string().as_bytes()).is_err());
        assert!(KeySet::parse(b"[]").is_err());
    }
}
