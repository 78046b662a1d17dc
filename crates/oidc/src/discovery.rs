//! What a provider publishes about itself: OpenID Connect Discovery 1.0, §3.

use serde::Deserialize;
use url::Url;

use crate::error::OidcError;
use crate::keys::ALGORITHMS;
use crate::settings::{Issuer, https};

/// The document, as far as it is read.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    id_token_signing_alg_values_supported: Vec<String>,
    /// RFC 8414 §2: `client_secret_basic` when it is not there.
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where a provider is asked, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) keys: Url,
    pub(crate) user_info: Option<Url>,
    pub(crate) authentication: Authentication,
    /// Whether each answer names its issuer: RFC 9207.
    pub(crate) names_issuer: bool,
}

/// How we show our secret: OpenID Connect Core §9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

impl Metadata {
    pub(crate) fn parse(body: &[u8], issuer: &Issuer) -> Result<Self, OidcError> {
        let bad = OidcError::Unusable;
        let document: Document =
            serde_json::from_slice(body).map_err(|_| bad("its configuration is not that of a provider"))?;
        // §4.3: letter by letter. Else somebody could publish a configuration in another's name.
        if document.issuer != issuer.as_str() {
            return Err(bad("its configuration is of another issuer"));
        }
        let known = |name: &String| ALGORITHMS.iter().any(|(known, _)| known == name);
        if !document.id_token_signing_alg_values_supported.iter().any(known) {
            return Err(bad("it signs with none of RS256, ES256 and EdDSA"));
        }
        let url = |text: &str| https(text).ok_or(bad("an address in its configuration is not https"));
        let authentication = match document.token_endpoint_auth_methods_supported {
            None => Authentication::Basic,
            Some(methods) if methods.iter().any(|m| m == "client_secret_basic") => Authentication::Basic,
            Some(methods) if methods.iter().any(|m| m == "client_secret_post") => Authentication::Post,
            Some(_) => return Err(bad("it takes no client secret")),
        };
        Ok(Self {
            authorization: url(&document.authorization_endpoint)?,
            token: url(&document.token_endpoint)?,
            keys: url(&document.jwks_uri)?,
            user_info: document.userinfo_endpoint.as_deref().map(url).transpose()?,
            authentication,
            names_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(change: impl Fn(&mut Value)) -> Result<Metadata, OidcError> {
        let mut document = json!({
            "issuer": "https://id.example.com",
            "authorization_endpoint": "https://id.example.com/a?x=1",
            "token_endpoint": "https://id.example.com/t",
            "jwks_uri": "https://id.example.com/k",
            "id_token_signing_alg_values_supported": ["RS256"],
            "unknown": [{}],
        });
        change(&mut document);
        Metadata::parse(document.to_string().as_bytes(), &"https://id.example.com".parse().unwrap())
    }

    #[test]
    fn a_configuration_is_of_its_issuer_and_asks_over_https_only() {
        let metadata = parse(|_| ()).unwrap();
        assert_eq!((metadata.authentication, metadata.names_issuer), (Authentication::Basic, false));
        let unusable = |change: fn(&mut Value)| match parse(change) {
            Err(OidcError::Unusable(text)) => text,
            other => panic!("{other:?}"),
        };
        let other = "its configuration is of another issuer";
        assert_eq!(unusable(|d| d["issuer"] = json!("https://id.example.com/")), other);
        let plain = "an address in its configuration is not https";
        assert_eq!(unusable(|d| d["token_endpoint"] = json!("http://id.example.com/t")), plain);
        assert_eq!(unusable(|d| d["userinfo_endpoint"] = json!("file:///etc/passwd")), plain);
        let none = "it signs with none of RS256, ES256 and EdDSA";
        assert_eq!(unusable(|d| d["id_token_signing_alg_values_supported"] = json!(["none", "HS256"])), none);
        let no_secret = "it takes no client secret";
        assert_eq!(
            unusable(|d| d["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"])),
            no_secret
        );
        let nothing = "its configuration is not that of a provider";
        assert_eq!(unusable(|d| *d = json!([])), nothing);
        assert_eq!(unusable(|d| d["jwks_uri"] = json!(null)), nothing);
    }

    #[test]
    fn the_secret_is_shown_as_the_provider_wants_it() {
        let of = |methods: Value| {
            let change = |d: &mut Value| d["token_endpoint_auth_methods_supported"] = methods.clone();
            parse(change).unwrap().authentication
        };
        assert_eq!(of(json!(["client_secret_post"])), Authentication::Post);
        assert_eq!(of(json!(["client_secret_post", "client_secret_basic"])), Authentication::Basic);
    }
}
