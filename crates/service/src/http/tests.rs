//! The router against real stores, and the listener over real TLS.

mod accounts;
mod beacon;
mod browser;
mod classes;
mod endpoints;
mod enrolment;
mod evidence;
mod fsck;
mod grants;
mod kept;
mod line;
mod log;
mod order;
mod policy;
mod purchases;
mod readings;
mod sign_in;
mod uses;
mod witness;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use serde_json::Value as Json;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::clock::now;
use thingward_pki::{CertificateAuthority, Lifetimes};
use thingward_policy::Action;
use thingward_store::registry::{NewToken, TokenId};
use tower::ServiceExt;

use super::App;
use super::caller::Peer;
use super::order::ORDER;
use super::server::{admin_router, tls_router};
use crate::service::Service;
use crate::settings::{AuthorityKeys, ConsoleSettings, HistorySettings, LogSettings, ServiceSettings};

const TRUST_DOMAIN: &str = "thingward.test";
const ORIGIN: &str = "https://console.example";

/// A service with tenants `acme` and `other`.
struct Fixture {
    app: Arc<App>,
    root: Vec<u8>,
    service: Service,
    folder: tempfile::TempDir,
    /// What tokens sign with.
    keys: Mutex<HashMap<String, SoftwareKey>>,
}

fn p256() -> SoftwareKey {
    SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng())
}

fn authority(trust_domain: &str) -> CertificateAuthority {
    CertificateAuthority::create(trust_domain, Lifetimes::default(), &p256(), Box::new(p256()), now())
        .unwrap()
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        Self::with(folder, settings).await
    }

    async fn with(folder: tempfile::TempDir, settings: ServiceSettings) -> Self {
        let fixture = Self::started(folder, settings).await;
        let (shared, folder) = (&fixture.app.shared, &fixture.folder);
        for tenant in ["acme", "other"] {
            let key = folder.path().join(tenant);
            thingward_crypto::sealed::write_private(&key, &[tenant.as_bytes()[0]; 32]).unwrap();
            let reference = format!("file:{}", key.display()).parse().unwrap();
            shared.store.keys().create(tenant.parse().unwrap(), reference, now()).await.unwrap();
            shared.directory.access.add_tenant(tenant.parse().unwrap());
        }
        fixture
    }

    async fn started(folder: tempfile::TempDir, settings: ServiceSettings) -> Self {
        let service = Service::start(settings).await.unwrap();
        let shared = Arc::clone(service.shared());
        let root = shared.authority.ca().root_der().unwrap();
        Self { app: App::new(shared).unwrap(), root, service, folder, keys: Mutex::default() }
    }

    /// Stops the service. What it kept stays.
    async fn stopped(self) -> (tempfile::TempDir, ServiceSettings) {
        let settings = self.app.shared.settings.clone();
        drop(self.app);
        self.service.stop().await;
        (self.folder, settings)
    }

    /// The same after a stop and a start.
    async fn restarted(self) -> Self {
        let (folder, settings) = self.stopped().await;
        Self::started(folder, settings).await
    }

    async fn token(&self, tenant: Option<&str>, scopes: &[Action], seconds: i64) -> String {
        let token = format!("test-{}-{}", seconds, base16ct::lower::encode_string(&rand::<16>()));
        let tenant = tenant.map(|t| t.parse().unwrap());
        let expires = now().plus_micros(seconds * 1_000_000);
        let id = TokenId::new(rand()).unwrap();
        let new =
            NewToken { id, tenant, scopes: scopes.to_vec(), expires, parent: None, user: None, key: None };
        self.add_token(&token, new).await;
        token
    }

    /// A token of `acme`, as the operator makes it.
    async fn made_token(&self, scopes: &[Action]) -> String {
        let (key, scopes) = (p256(), scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>());
        let public = URL_SAFE_NO_PAD.encode(key.public_key().to_spki());
        let body = serde_json::json!({"scopes": scopes, "key": public}).to_string();
        let (status, made) = self.admin("post", "/api/v1/tenants/acme/tokens", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let token = made["token"].as_str().unwrap().to_owned();
        self.keys.lock().unwrap().insert(token.clone(), key);
        token
    }

    /// A token of a tenant gets a key.
    async fn add_token(&self, token: &str, new: NewToken) {
        let key = p256();
        let public = new.tenant.map(|_| key_of(&key));
        let new = NewToken { key: public, ..new };
        self.app.shared.store.registry().add_token(token, &new, now()).await.unwrap();
        self.keys.lock().unwrap().insert(token.to_owned(), key);
    }

    fn tls(&self) -> Router {
        tls_router(&self.app)
    }

    /// What the operator gets on the socket.
    async fn admin(&self, method: &str, path: &str, body: &str) -> (StatusCode, Json) {
        call(admin_router(&self.app), Peer::Admin, method, path, None, body).await
    }

    /// What a program gets over TLS. It signs what it has to.
    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (StatusCode, Json) {
        let (status, answer) = call(self.tls(), remote(), method, path, token, body).await;
        let order =
            self.keys.lock().unwrap().get(token.unwrap_or_default()).and_then(|key| sign(key, &answer));
        let Some(order) = order else { return (status, answer) };
        let mut request = request(remote(), method, path, token, body);
        request.headers_mut().insert(ORDER, order.parse().unwrap());
        answer_of(self.tls(), request).await
    }
}

fn remote() -> Peer {
    Peer::Tls { address: "192.0.2.1".parse().unwrap(), chain: Arc::new([]) }
}

/// The header with the order that an answer asks for, when it does.
fn sign(key: &SoftwareKey, answer: &Json) -> Option<String> {
    let order = answer["order"].as_str()?;
    let signature = key.sign(&URL_SAFE_NO_PAD.decode(order).unwrap()).unwrap();
    Some(format!("{order}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn rand<const N: usize>() -> [u8; N] {
    use rand_core::Rng;
    let mut bytes = [0; N];
    system_rng().fill_bytes(&mut bytes);
    bytes
}

fn key_of(key: &SoftwareKey) -> thingward_crypto::VerifyingKey {
    thingward_crypto::Signer::public_key(key).clone()
}

fn settings(folder: &std::path::Path) -> ServiceSettings {
    ServiceSettings {
        data_dir: folder.join("data"),
        trust_domain: TRUST_DOMAIN.to_owned(),
        mqtt: "127.0.0.1:0".parse().unwrap(),
        coap: None,
        https: "127.0.0.1:0".parse().unwrap(),
        names: vec!["localhost".to_owned()],
        addresses: Vec::new(),
        authority_keys: AuthorityKeys::Sealed,
        lifetimes: Lifetimes::default(),
        mqtt_limits: thingward_mqtt::broker::Limits::default(),
        connections: thingward_ingress::ConnectionLimits::default(),
        history: HistorySettings::default(),
        log: LogSettings::default(),
        console: ConsoleSettings::new(vec![ORIGIN.to_owned()], None).unwrap(),
        oidc: Vec::new(),
        payments: None,
    }
}

fn request(peer: Peer, method: &str, path: &str, token: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(&*method.to_uppercase()).uri(path).extension(peer);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn call(
    router: Router,
    peer: Peer,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (StatusCode, Json) {
    answer_of(router, request(peer, method, path, token, body)).await
}

async fn answer_of(router: Router, request: Request<Body>) -> (StatusCode, Json) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map(|k| k.to_str().unwrap().to_owned());
    if kind.as_deref() != Some("application/json") {
        return (status, Json::Null);
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}
