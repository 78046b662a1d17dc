//! A browser that stays on our pages, with an authenticator of our own.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use minicbor::Encoder;
use serde_json::{Value as Json, json};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256, system_rng};
use tower::ServiceExt;

use super::{Fixture, ORIGIN, sign};
use crate::http::caller::Peer;
use crate::http::order::ORDER;

/// An authenticator with one passkey.
pub(super) struct Passkey {
    pub(super) key: SoftwareKey,
    pub(super) id: Vec<u8>,
    pub(super) handle: String,
    pub(super) rp_id: String,
    pub(super) origin: String,
}

impl Passkey {
    pub(super) fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        [sha256(&[self.rp_id.as_bytes()]).as_slice(), &[flags], &[0; 4]].concat()
    }

    /// What `navigator.credentials.create` gives.
    pub(super) fn create(options: &Json) -> (Self, Json) {
        let text = |pointer: &str| options.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let id: [u8; 16] = super::rand();
        let passkey = Self {
            key: SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng()),
            id: id.to_vec(),
            handle: text("/user/id"),
            rp_id: text("/rp/id"),
            origin: ORIGIN.to_owned(),
        };
        let answer = passkey.registration(&text("/challenge"));
        (passkey, answer)
    }

    fn registration(&self, challenge: &str) -> Json {
        let spki = self.key.public_key().to_spki();
        let mut key = Encoder::new(Vec::new());
        key.map(4).unwrap().i8(1).unwrap().u8(1).unwrap().i8(3).unwrap().i8(-8).unwrap();
        key.i8(-1).unwrap().u8(6).unwrap().i8(-2).unwrap().bytes(&spki[spki.len() - 32..]).unwrap();
        let head = [self.authenticator_data(0x45).as_slice(), &[0; 16], &[0, 16], &self.id].concat();
        let mut object = Encoder::new(Vec::new());
        object
            .map(3)
            .unwrap()
            .str("fmt")
            .unwrap()
            .str("none")
            .unwrap()
            .str("attStmt")
            .unwrap()
            .map(0)
            .unwrap();
        object.str("authData").unwrap().bytes(&[head, key.into_writer()].concat()).unwrap();
        json!({"id": URL_SAFE_NO_PAD.encode(&self.id), "rawId": URL_SAFE_NO_PAD.encode(&self.id),
            "type": "public-key", "clientExtensionResults": {}, "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", challenge)),
                "attestationObject": URL_SAFE_NO_PAD.encode(object.into_writer()), "transports": ["internal"]}})
    }

    /// What `navigator.credentials.get` gives.
    pub(super) fn get(&self, options: &Json) -> Json {
        let challenge = options["challenge"].as_str().unwrap();
        let (data, client) = (self.authenticator_data(5), self.client_data("webauthn.get", challenge));
        let signature = self.key.sign(&[data.as_slice(), &sha256(&[&client])].concat()).unwrap();
        json!({"id": URL_SAFE_NO_PAD.encode(&self.id), "type": "public-key", "response": {
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client), "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature), "userHandle": self.handle}})
    }
}

/// A browser that stays on our pages.
pub(super) struct Browser<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) cookie: Option<String>,
    /// What its session signs with.
    pub(super) key: SoftwareKey,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Json,
}

impl Browser<'_> {
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        body: &Json,
        headers: &[(&str, &str)],
    ) -> Answer {
        let peer = Peer::Tls { address: "192.0.2.1".parse().unwrap(), chain: Arc::new([]) };
        let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}")).extension(peer);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.fixture.tls().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Signs what has to be.
    pub(super) async fn call(&self, method: &str, path: &str, body: Json) -> (StatusCode, Json) {
        let mut answer = self.send(method, path, &body, &[("origin", ORIGIN)]).await;
        if let Some(order) = sign(&self.key, &answer.body) {
            answer = self.send(method, path, &body, &[("origin", ORIGIN), (ORDER.as_str(), &order)]).await;
        }
        (answer.status, answer.body)
    }

    /// The session's key, as pages send it.
    pub(super) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.public_key().to_spki())
    }

    /// What a passkey is asked for at a sign-in.
    pub(super) async fn begin(&self) -> Json {
        self.call("POST", "sign-in/passkey/begin", json!({"key": self.public()})).await.1["options"].clone()
    }

    async fn keep_session(&mut self, path: &str, body: &Json) -> (StatusCode, Json) {
        let answer = self.send("POST", path, body, &[("origin", ORIGIN)]).await;
        if let Some(cookie) = answer.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-thingward=tws_"), "{cookie}");
            assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age="), "{cookie}");
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        (answer.status, answer.body)
    }

    pub(super) async fn sign_in(&mut self, passkey: &Passkey) -> (StatusCode, Json) {
        let credential = passkey.get(&self.begin().await);
        let answer = json!({"credential": credential, "key": self.public()});
        self.keep_session("sign-in/passkey", &answer).await
    }

    /// Opens a link, makes a passkey for it, and signs in with that.
    pub(super) async fn redeem(&mut self, code: &str, name: Option<&str>) -> (Passkey, StatusCode, Json) {
        let (status, opened) = self.call("POST", "links/open", json!({"code": code})).await;
        assert_eq!(status, 200, "{opened}");
        let (passkey, credential) = Passkey::create(&opened["options"]);
        let mut body = json!({"code": code, "passkey": "phone", "credential": credential});
        if let Some(name) = name {
            body["user"] = name.into();
        }
        assert_eq!(self.call("POST", "links/redeem", body).await.0, 204);
        let (status, answer) = self.sign_in(&passkey).await;
        (passkey, status, answer)
    }
}

impl Fixture {
    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { fixture: self, cookie: None, key: super::p256() }
    }

    pub(super) async fn set_up_code(&self) -> String {
        let (status, made) = self.admin("POST", "/api/v1/tenants/acme/set-up", "").await;
        assert_eq!(status, 201, "{made}");
        code_of(&made)
    }

    /// The first administrator, signed in.
    pub(super) async fn administrator(&self) -> (Browser<'_>, Passkey) {
        let (mut browser, code) = (self.browser(), self.set_up_code().await);
        let (passkey, status, info) = browser.redeem(&code, Some("anna")).await;
        assert_eq!((status, &info["by"]), (StatusCode::OK, &json!("passkey")), "{info}");
        (browser, passkey)
    }

    /// What the log of `acme` says was done.
    pub(super) async fn deeds(&self) -> Vec<String> {
        let (_, log) = self.admin("get", "/api/v1/tenants/acme/log/entries?limit=1000", "").await;
        let text = |e: &Json| format!("{} {} {}", e["actor"], e["action"], e["target"]).replace('"', "");
        log["items"].as_array().unwrap().iter().map(text).collect()
    }
}

pub(super) fn code_of(made: &Json) -> String {
    let link = made["link"].as_str().unwrap();
    let (place, code) = link.split_once('#').unwrap();
    assert_eq!(place, format!("{ORIGIN}/link"));
    code.to_owned()
}
