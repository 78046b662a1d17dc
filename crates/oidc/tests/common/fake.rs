//! A provider on this machine that says what it is told to say, and signs it with keys of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use thingward_pki::tls::{ALPN_HTTP, Credentials, anonymous_server_config};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Place;

/// A signing key.
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half, as it is published under this id.
    pub(crate) fn published(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let n = base64url(public.modulus().big_endian_without_leading_zero());
                let e = base64url(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "kid": id, "use": "sig", "n": n, "e": e })
            }
            Self::P256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y })
            }
            Self::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64url(key.public_key()) })
            }
        }
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).unwrap();
                signature
            }
            Self::P256(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", base64url(signature))
    }
}

/// A JWT before its last dot.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()))
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) form: BTreeMap<String, String>,
}

type Answers = Arc<Mutex<BTreeMap<String, (u16, String)>>>;

/// The provider.
pub(crate) struct Fake {
    pub(crate) port: u16,
    answers: Answers,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// Answers with a configuration, and 404 to everything else yet.
    pub(crate) async fn start(place: &Place) -> Self {
        let credentials = Credentials::new(&place.chain, &place.key).unwrap();
        let tls = TlsAcceptor::from(anonymous_server_config(credentials, ALPN_HTTP).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Self { port, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&fake.answers), Arc::clone(&fake.asked));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, answers, asked) = (tls.clone(), Arc::clone(&answers), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(tcp).await else { return };
                    let service = service_fn(|request| answer(request, &answers, &asked));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        fake.says("/.well-known/openid-configuration", 200, &fake.configuration());
        fake
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub(crate) fn configuration(&self) -> Value {
        json!({
            "issuer": self.url(""),
            "authorization_endpoint": self.url("/authorize?tenant=1"),
            "token_endpoint": self.url("/token"),
            "jwks_uri": self.url("/keys"),
            "userinfo_endpoint": self.url("/me"),
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    pub(crate) fn says(&self, path: &str, status: u16, body: &Value) {
        self.says_text(path, status, body.to_string());
    }

    pub(crate) fn says_text(&self, path: &str, status: u16, body: String) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body));
    }

    /// The requests for a path so far.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: &Answers,
    asked: &Mutex<Vec<Asked>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let header = request.headers().get("authorization");
    let authorization = header.map(|h| h.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = request.into_body().collect().await?.to_bytes();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    asked.lock().unwrap().push(Asked { path: path.clone(), authorization, form });
    let (status, body) = answers.lock().unwrap().get(&path).cloned().unwrap_or((404, String::new()));
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status.try_into().unwrap();
    if (300..400).contains(&status) {
        response.headers_mut().insert("location", "/elsewhere".try_into().unwrap());
    }
    Ok(response)
}
