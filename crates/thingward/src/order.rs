//! Signing what a call changes, with the token's own key, so that nobody else can say it did.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use thingward_audit::order::Order;
use thingward_crypto::{CryptoError, SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The header that a signed order is sent in.
pub(crate) const ORDER: &str = "thingward-order";

/// What a call may be asked to sign: the log's action and target. `$` stands for the same name on both sides, `*` for any.
const DEEDS: &[(Method, &str, &[&str], &str)] = &[
    (Method::PUT, "users/*", &["user.add", "user.roles"], "user/*"),
    (Method::DELETE, "users/*", &["user.remove"], "user/*"),
    (Method::DELETE, "users/*/passkeys/*", &["passkey.remove"], "passkey/*"),
    (Method::DELETE, "sessions/$", &["session.end"], "session/$"),
    (Method::PUT, "groups/$/*/*", &["group.add"], "group/$"),
    (Method::DELETE, "groups/$/*/*", &["group.remove"], "group/$"),
    (Method::PUT, "policy", &["policy.apply"], "policy/*"),
    (Method::POST, "tokens", &["token.create"], "token/*"),
    (Method::DELETE, "tokens/$", &["token.revoke"], "token/$"),
    (Method::POST, "claims", &["device.claim"], "*/*"),
    (Method::POST, "devices/$/release", &["device.release"], "*/$"),
    (Method::POST, "devices/$/revoke", &["device.revoke"], "*/$"),
    (Method::POST, "devices/$/attestation/ask", &["evidence.ask"], "*/$"),
    (Method::POST, "devices/$/attestation/accept", &["evidence.accept"], "*/$"),
    (Method::POST, "gateways/$/admission", &["gateway.admit"], "gateway/$"),
    (Method::DELETE, "gateways/$/admission", &["gateway.close"], "gateway/$"),
    (Method::POST, "gateways/$/roll", &["gateway.roll"], "gateway/$"),
    (Method::PUT, "makers/$", &["maker.trust"], "maker/$"),
    (Method::DELETE, "makers/$", &["maker.remove"], "maker/$"),
    (Method::PUT, "makers/$/serials/*", &["maker.expect"], "maker/$"),
    (Method::POST, "key/withdraw", &["key.withdraw"], "key"),
    (Method::POST, "key/restore", &["key.restore"], "key"),
    (Method::POST, "key/rotate", &["key.rotate"], "key"),
    (Method::PUT, "key/recipient", &["key.recipient"], "key"),
    (Method::POST, "devices/$/commands", &["command.send"], "operation/$/*"),
    (Method::POST, "grants", &["grant.issue"], "grant/*"),
    (Method::PUT, "devices/$/offer", &["offer.set"], "device/$"),
    (Method::DELETE, "devices/$/offer", &["offer.remove"], "device/$"),
    (Method::POST, "purchases/$/refund", &["purchase.refund"], "purchase/$"),
    (Method::DELETE, "grants/$", &["grant.revoke"], "grant/$"),
    (Method::DELETE, "devices/$/commands/*", &["command.cancel"], "operation/$/*"),
];

/// A token as its owner has it: what is shown, and what it signs with.
pub(crate) struct Token {
    /// Sent as `Authorization: Bearer`.
    pub(crate) bearer: Zeroizing<String>,
    /// Boxed, as it is much larger than all else that says where a service is.
    key: Option<Box<SoftwareKey>>,
}

/// The text is no token.
#[derive(Debug)]
pub(crate) struct NotAToken;

impl fmt::Display for NotAToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it holds no token as `thingward token create` shows it")
    }
}

impl Token {
    /// Reads the text that was shown when it was made: the token, and behind a dot its key, when it has one.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAToken> {
        let (bearer, key) = text.split_once('.').map_or((text, None), |(bearer, key)| (bearer, Some(key)));
        let key = key.map(|key| key_from(key).map(Box::new).ok_or(NotAToken)).transpose()?;
        Ok(Self { bearer: Zeroizing::new(bearer.to_owned()), key })
    }

    /// The value of the header for what the service asks to be signed, when it is what a call to `path` does.
    pub(crate) fn sign(&self, method: &Method, path: &str, asked: &str) -> Result<String, Failure> {
        let none = "the token has no key, so it only reads; make one whose scopes change something";
        let key = self.key.as_ref().ok_or_else(|| Failure::NotPermitted(none.to_owned()))?;
        let message = URL_SAFE_NO_PAD.decode(asked).map_err(Failure::of)?;
        let order = Order::decode(&message).map_err(Failure::of)?;
        if order.key_id() != key.public_key().id() || !is_of_call(&order, method, path) {
            let said = order.claimed_unverified();
            return Err(Failure::Failed(format!(
                "the service asks for a signature over something else, which it does not get: {} of {}",
                said.action, said.target
            )));
        }
        let signature = key.sign(order.message()).map_err(Failure::of)?;
        Ok(format!("{asked}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A key for a new token: what the service is told of it, and what stands behind the dot.
pub(crate) fn new_key() -> Result<(String, Zeroizing<String>), CryptoError> {
    use rand_core::Rng;
    let mut scalar = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(scalar.as_mut());
    let key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &scalar)?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(scalar.as_slice()));
    Ok((URL_SAFE_NO_PAD.encode(key.public_key().to_spki()), secret))
}

fn key_from(text: &str) -> Option<SoftwareKey> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    let scalar = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
    SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &scalar).ok()
}

fn is_of_call(order: &Order, method: &Method, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let tenant = path.strip_prefix("/api/v1/tenants/").and_then(|rest| rest.split_once('/'));
    let Some((tenant, rest)) = tenant else { return false };
    let said = order.claimed_unverified();
    let is_for_it = order.origin().ends_with(&format!("/tenant/{tenant}"))
        && said.actor.starts_with("token/")
        && said.evidence.as_ref().is_some_and(|nonce| !nonce.is_empty());
    is_for_it
        && DEEDS.iter().any(|(of, place, actions, target)| {
            let name = matches(place, rest);
            of == method
                && actions.contains(&said.action.as_str())
                && name.is_some_and(|name| matches(target, &said.target).is_some_and(|own| own == name))
        })
}

/// What stands at `$`, when the text has this form; nothing where the form has none.
fn matches<'a>(form: &str, text: &'a str) -> Option<&'a str> {
    let mut name = "";
    let (mut wanted, mut parts) = (form.split('/'), text.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return Some(name),
            (Some("$"), Some(part)) => name = part,
            (Some("*"), Some(_)) => {}
            (Some(word), Some(part)) if word == part => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use thingward_audit::entry::Entry;

    use super::*;

    fn asked(token: &Token, action: &str, target: &str) -> String {
        let entry = Entry {
            time: 1,
            action: action.to_owned(),
            actor: "token/1".to_owned(),
            target: target.to_owned(),
            details: BTreeMap::new(),
            evidence: Some(vec![7; 32]),
        };
        let key = token.key.as_ref().unwrap().public_key();
        URL_SAFE_NO_PAD.encode(Order::new("test/tenant/acme", entry, key).unwrap().message())
    }

    #[test]
    fn a_token_signs_what_the_call_does_and_nothing_that_the_service_would_like_instead() {
        let (_, secret) = new_key().unwrap();
        let token = Token::parse(&format!("tw_secret.{}", secret.as_str())).unwrap();
        assert_eq!(token.bearer.as_str(), "tw_secret");
        let path = "/api/v1/tenants/acme/devices/meter-1/revoke";
        let sign = |action, target, path| token.sign(&Method::POST, path, &asked(&token, action, target));
        assert!(sign("device.revoke", "device/meter-1", path).is_ok());
        for (action, target) in [
            ("device.revoke", "device/meter-2"),
            ("device.release", "device/meter-1"),
            ("user.roles", "user/1"),
            ("device.revoke", "device/meter-1/x"),
        ] {
            assert!(sign(action, target, path).is_err(), "{action} {target}");
        }
        let (grants, one) = ("/api/v1/tenants/acme/grants", "/api/v1/tenants/acme/grants/0102030405060708");
        assert!(sign("grant.issue", "grant/0102030405060708", grants).is_ok());
        assert!(sign("grant.issue", "grant/0102030405060708", one).is_err());
        let taken_back = |target| token.sign(&Method::DELETE, one, &asked(&token, "grant.revoke", target));
        assert!(
            taken_back("grant/0102030405060708").is_ok() && taken_back("grant/0102030405060709").is_err()
        );
        assert!(sign("device.revoke", "device/meter-1", "/api/v1/tokens").is_err());
        assert!(sign("device.revoke", "device/meter-1", &path.replace("acme", "other")).is_err());
        let (_, secret) = new_key().unwrap();
        let stranger = Token::parse(&format!("tw_x.{}", secret.as_str())).unwrap();
        let of_stranger = asked(&stranger, "device.revoke", "device/meter-1");
        assert!(token.sign(&Method::POST, path, &of_stranger).is_err());
        assert!(token.sign(&Method::POST, path, "AAAA").is_err());
    }

    #[test]
    fn a_token_without_a_key_signs_nothing_and_text_that_is_no_key_is_none() {
        let (_, secret) = new_key().unwrap();
        let with = Token::parse(&format!("tw_x.{}", secret.as_str())).unwrap();
        let without = Token::parse("tw_x").unwrap();
        let path = "/api/v1/tenants/acme/key/rotate";
        let asked = asked(&with, "key.rotate", "key");
        assert!(with.sign(&Method::POST, path, &asked).is_ok());
        assert!(matches!(without.sign(&Method::POST, path, &asked), Err(Failure::NotPermitted(_))));
        for text in ["tw_x.", "tw_x.AAAA", "tw_x.!", "tw_x.a.b"] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }
}
