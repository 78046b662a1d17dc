//! EST over real TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey, VerifyingKey, system_rng};
use thingward_grant::{Audience, SignedRevocation, TrustedKey};
use thingward_model::clock::now;
use thingward_model::{Principal, Role, TenantName};
use thingward_pki::tls::{ALPN_HTTP, Credentials, ExpectedServer, client_config};
use thingward_pki::{CertificateAuthority, Crl, LeafIdentity, Profile, SigningRequest, est};
use thingward_store::registry::{
    Joining, LIST_MAX, NewPrincipal, PrincipalKey, PrincipalState, RevocationReason, Serial,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Fixture, TRUST_DOMAIN, authority, key_of, p256};
use crate::authority::Authority;
use crate::directory::Directory;

/// A service with its listener.
pub(super) struct Listener {
    pub(super) fixture: Fixture,
    address: SocketAddr,
}

/// A client certificate with its key.
pub(super) struct Shown<'a> {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: &'a SoftwareKey,
}

impl Listener {
    pub(super) async fn start() -> Self {
        Self::of(Fixture::new().await)
    }

    fn of(fixture: Fixture) -> Self {
        let address = fixture.service.https();
        Self { fixture, address }
    }

    async fn connect(&self, shown: Option<Shown<'_>>) -> TlsStream<TcpStream> {
        let credentials = shown.map(|s| Credentials::new(&s.chain, s.key).unwrap());
        let config =
            client_config(&self.fixture.root, TRUST_DOMAIN, ExpectedServer::Service, credentials, ALPN_HTTP);
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        tokio_rustls::TlsConnector::from(config.unwrap()).connect(name, tcp).await.unwrap()
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        basic: Option<&str>,
        shown: Option<Shown<'_>>,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Bytes) {
        let tls = self.connect(shown).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(pair) = basic {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
        }
        let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    }

    pub(super) async fn claim(&self, name: &str) -> String {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let (status, made) = self.fixture.admin("post", "/api/v1/tenants/acme/claims", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let (code, fingerprint) = made["claim"].as_str().unwrap().split_once('.').unwrap();
        assert_eq!(fingerprint, crate::enrolment::fingerprint(&self.fixture.root));
        code.to_owned()
    }

    pub(super) async fn enrol(&self, code: &str, key: &SoftwareKey) -> (StatusCode, Bytes) {
        let basic = format!("meter-1:{code}");
        let path = "/.well-known/est/simpleenroll";
        self.send("POST", path, Some(&basic), None, csr(key)).await
    }

    async fn membership(&self, chain: Vec<Vec<u8>>, key: &SoftwareKey) -> (StatusCode, Bytes) {
        let shown = Some(Shown { chain, key });
        self.send("GET", "/.well-known/thingward/membership", None, shown, String::new()).await
    }

    async fn enrol_by_maker(
        &self,
        tenant: &str,
        thing: &Shown<'_>,
        key: &SoftwareKey,
    ) -> (StatusCode, Bytes) {
        let shown = Shown { chain: thing.chain.clone(), key: thing.key };
        let path = format!("/.well-known/est/{tenant}/simpleenroll");
        self.send("POST", &path, None, Some(shown), csr(key)).await
    }
}

pub(super) fn csr(key: &SoftwareKey) -> String {
    est::encode_request(&SigningRequest::create(&"meter-1".parse().unwrap(), key).unwrap())
}

/// Leaf first; the message itself has them in no order.
pub(super) fn chain_of(answer: &[u8]) -> Vec<Vec<u8>> {
    let mut chain = est::decode_certificates(answer).unwrap();
    chain.sort_by_key(|der| LeafIdentity::from_verified(der, TRUST_DOMAIN).is_err());
    chain
}

fn name_of(answer: &[u8]) -> Principal {
    LeafIdentity::from_verified(&chain_of(answer)[0], TRUST_DOMAIN).unwrap().principal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_code_enrols_once_and_the_certificate_renews_itself() {
    let service = Listener::start().await;
    let (code, key) = (service.claim("meter-1").await, p256());
    let (status, body) = service.enrol(&code.to_lowercase(), &key).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let acme: TenantName = "acme".parse().unwrap();
    let meter = Principal { tenant: acme, role: Role::Device, name: "meter-1".parse().unwrap() };
    assert_eq!(name_of(&body), meter);
    let chain = chain_of(&body);
    assert_eq!(service.enrol(&code, &p256()).await.0, StatusCode::UNAUTHORIZED);
    // Its answer may have been lost.
    let (status, again) = service.enrol(&code, &key).await;
    assert_eq!((status, name_of(&again)), (StatusCode::OK, meter));

    let (status, body) = service.membership(chain.clone(), &key).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let membership: Json = serde_json::from_slice(&body).unwrap();
    let mqtt = service.fixture.service.mqtt().port();
    assert_eq!((&membership["tenant"], &membership["mqtt_port"]), (&"acme".into(), &mqtt.into()));
    assert_eq!(STANDARD.decode(membership["recipients"]["service"].as_str().unwrap()).unwrap().len(), 32);
    assert!(membership["recipients"]["customer"].is_null());
    // What is taken back of its grants, on the word of the key that they are issued with.
    let decoded = |name: &str| STANDARD.decode(membership[name].as_str().unwrap()).unwrap();
    let (issuer, taken_back) =
        (VerifyingKey::from_spki(&decoded("grant_key")).unwrap(), decoded("grant_revocation"));
    let taken_back = SignedRevocation::decode(&taken_back).unwrap();
    let taken_back = taken_back.verify(&TrustedKey::Public(&issuer), acme.borrowed()).unwrap();
    assert_eq!(taken_back.audience, Audience::Device(meter.name.borrowed()));

    let (shown, next) = (Shown { chain: chain.clone(), key: &key }, p256());
    let path = "/.well-known/est/simplereenroll";
    let (status, body) = service.send("POST", path, None, Some(shown), csr(&next)).await;
    assert_eq!((status, name_of(&body)), (StatusCode::OK, meter));

    let path = "/api/v1/tenants/acme/devices/meter-1/revoke";
    assert_eq!(service.fixture.admin("post", path, "{}").await.0, StatusCode::NO_CONTENT);
    assert_eq!(service.membership(chain, &key).await.0, StatusCode::FORBIDDEN);
    let renewed = chain_of(&body);
    assert_eq!(service.membership(renewed, &next).await.0, StatusCode::FORBIDDEN);
    assert_eq!(service.enrol(&code, &key).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_speaks_for_devices_of_its_tenant_and_for_no_key_but_theirs() {
    let service = Listener::start().await;
    let key = || SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng());
    let (chip, hall) = (key(), key());
    let device = chain_of(&service.enrol(&service.claim("chip-1").await, &chip).await.1);
    let body = r#"{"name":"hall","role":"gateway"}"#;
    let made = service.fixture.admin("post", "/api/v1/tenants/acme/claims", body).await.1;
    let code = made["claim"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
    let gateway = chain_of(&service.enrol(&code, &hall).await.1);

    let as_gateway = || Some(Shown { chain: gateway.clone(), key: &hall });
    let membership = |name: &str| format!("/.well-known/thingward/children/{name}/membership");
    let renewal = |name: &str| format!("/.well-known/thingward/children/{name}/simplereenroll");
    let (status, told) = service.send("GET", &membership("chip-1"), None, as_gateway(), String::new()).await;
    assert_eq!(status, StatusCode::OK, "{told:?}");
    let [told, own]: [Json; 2] = [told, service.membership(device.clone(), &chip).await.1]
        .map(|body| serde_json::from_slice(&body).unwrap());
    for part in ["tenant", "role", "name", "grant_key", "command_key", "recipients"] {
        assert_eq!(told[part], own[part], "{part}");
    }
    assert!(told["grant_revocation"].is_string());
    let (status, body) = service.send("POST", &renewal("chip-1"), None, as_gateway(), csr(&chip)).await;
    assert_eq!((status, name_of(&body).name.as_str()), (StatusCode::OK, "chip-1"));
    let renewed = LeafIdentity::from_verified(&chain_of(&body)[0], TRUST_DOMAIN).unwrap();
    assert_eq!(renewed.key, key_of(&chip));

    for name in ["chip-2", "hall", "..", "a%20b"] {
        let (status, _) = service.send("GET", &membership(name), None, as_gateway(), String::new()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}");
    }
    // Not with another key, and not by a device.
    let (status, _) = service.send("POST", &renewal("chip-1"), None, as_gateway(), csr(&hall)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let shown = Some(Shown { chain: device, key: &chip });
    let (status, _) = service.send("POST", &renewal("chip-1"), None, shown, csr(&chip)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = service.send("POST", &renewal("chip-1"), None, None, csr(&chip)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let path = "/api/v1/tenants/acme/devices/chip-1/revoke";
    assert_eq!(service.fixture.admin("post", path, "{}").await.0, StatusCode::NO_CONTENT);
    for (method, path) in [("GET", membership("chip-1")), ("POST", renewal("chip-1"))] {
        let (status, _) = service.send(method, &path, None, as_gateway(), csr(&chip)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_close_the_door_even_for_the_right_one() {
    let service = Listener::start().await;
    let code = service.claim("meter-1").await;
    for guess in 0..5 {
        let wrong = format!("{guess}AAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(service.enrol(&wrong, &p256()).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(service.enrol(&code, &p256()).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_show_nothing_or_are_no_requests_are_refused() {
    let service = Listener::start().await;
    let (code, path) = (service.claim("meter-1").await, "/.well-known/est/simpleenroll");
    for (path, basic, body, want) in [
        (path, None, csr(&p256()), 401),
        (path, Some(code.as_str()), csr(&p256()), 401),
        (path, Some(&*format!("x:{code}")), "nonsense".to_owned(), 400),
        (path, Some(&*format!("x:{code}")), "M".repeat(20_000), 413),
        ("/.well-known/est/simplereenroll", None, csr(&p256()), 401),
        ("/.well-known/est/acme/simpleenroll", None, csr(&p256()), 401),
    ] {
        let (status, answer) = service.send("POST", path, basic, None, body).await;
        assert_eq!(status.as_u16(), want, "{path}: {answer:?}");
        assert_eq!(answer.iter().filter(|b| **b == b'\n').count(), 1, "{answer:?}");
    }
    // None of it used the code up.
    assert_eq!(service.enrol(&code, &p256()).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_gets_the_authorities_the_attributes_and_the_crl() {
    let service = Listener::start().await;
    let (_, body) = service.send("GET", "/.well-known/est/cacerts", None, None, String::new()).await;
    assert!(est::decode_certificates(&body).unwrap().contains(&service.fixture.root));
    for path in ["/.well-known/est/csrattrs", "/.well-known/thingward/crl"] {
        assert_eq!(service.send("GET", path, None, None, String::new()).await.0, StatusCode::OK);
    }
}

fn thing<'a>(maker: &CertificateAuthority, serial: &str, key: &'a SoftwareKey) -> Shown<'a> {
    let name = "thing".parse().unwrap();
    let principal = Principal { tenant: "factory".parse().unwrap(), role: Role::Device, name };
    let profile = Profile::Leaf { principal, serial_number: Some(serial.to_owned()) };
    let leaf = maker.issue(&profile, &key_of(key), now()).unwrap().der;
    Shown { chain: vec![leaf, maker.issuing_der().unwrap()], key }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_of_a_trusted_maker_enrols_under_its_serial_number() {
    let service = Listener::start().await;
    let (maker, key) = (authority("maker.test"), p256());
    let pem = thingward_pki::ca::certificate_pem(&maker.root_der().unwrap()).unwrap();
    let path = "/api/v1/tenants/acme/makers/pumps";
    let trust = |admit: &str| serde_json::json!({"admit": admit, "certificates": pem}).to_string();
    let (status, answer) = service.fixture.admin("put", path, &trust("listed")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    let pump = thing(&maker, "SN 4711", &key);
    let (status, said) = service.enrol_by_maker("acme", &pump, &p256()).await;
    assert_eq!(
        (status, &*said),
        (StatusCode::FORBIDDEN, &b"serial number `SN 4711` is not expected here\n"[..])
    );
    let expect = format!("{path}/serials/SN%204711");
    let (status, _) = service.fixture.admin("put", &expect, r#"{"name":"pump-1"}"#).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, body) = service.enrol_by_maker("acme", &pump, &p256()).await;
    assert_eq!((status, name_of(&body).name.as_str()), (StatusCode::OK, "pump-1"));
    // A tenant that does not trust the maker, and one that does not exist, say the same.
    let answers = (
        service.enrol_by_maker("other", &pump, &p256()).await,
        service.enrol_by_maker("nowhere", &pump, &p256()).await,
    );
    assert_eq!(answers.0, answers.1);
    assert_eq!(answers.0.0, StatusCode::FORBIDDEN);

    service.fixture.admin("put", path, &trust("any-serial")).await;
    let (status, body) = service.enrol_by_maker("acme", &thing(&maker, "77", &key), &p256()).await;
    assert_eq!((status, name_of(&body).name.as_str()), (StatusCode::OK, "77"));
    // An IDevID is no membership, whatever it says.
    let (status, _) = service.membership(pump.chain.clone(), &key).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    // Revoked things do not come back by themselves; released ones do.
    let device = "/api/v1/tenants/acme/devices/pump-1";
    service.fixture.admin("post", &format!("{device}/revoke"), "{}").await;
    assert_eq!(service.enrol_by_maker("acme", &pump, &p256()).await.0, StatusCode::FORBIDDEN);
    let (status, _) = service.fixture.admin("post", &format!("{device}/release"), "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(service.enrol_by_maker("acme", &pump, &p256()).await.0, StatusCode::OK);
}

/// The last algorithm identifier of the certificate, which a parser does not compare with the first, changed.
fn unusable(der: &[u8]) -> Vec<u8> {
    const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let at = der.windows(8).rposition(|w| w == ECDSA_WITH_SHA256).unwrap();
    let mut bent = der.to_vec();
    bent[at + 7] = 3;
    bent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_that_tls_cannot_use_is_refused_and_one_in_the_registry_stops_nobody() {
    let service = Listener::start().await;
    let bent = unusable(&authority("maker.test").root_der().unwrap());
    let pem = thingward_pki::ca::certificate_pem(&bent).unwrap();
    let body = serde_json::json!({ "certificates": pem }).to_string();
    let path = "/api/v1/tenants/acme/makers/pumps";
    let (status, answer) = service.fixture.admin("put", path, &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let shared = service.fixture.service.shared();
    let maker = thingward_store::registry::Maker {
        tenant: "acme".parse().unwrap(),
        name: "pumps".to_owned(),
        admit: thingward_store::registry::Admit::AnySerial,
        certificates: vec![bent],
    };
    shared.store.registry().set_maker(&maker).await.unwrap();
    let turn = shared.membership.lock().await;
    shared.renew_tls(&turn).await.unwrap();
}

fn revoked_by(authority: &Authority) -> usize {
    Crl::read(&authority.crl(), &authority.ca().issuing_der().unwrap()).unwrap().revoked.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_renewal_outruns_a_revocation() {
    let service = Listener::start().await;
    let (code, key) = (service.claim("meter-1").await, p256());
    let chain: Arc<[_]> = chain_of(&service.enrol(&code, &key).await.1).into_iter().map(Into::into).collect();
    let shared = service.fixture.service.shared();
    let renewals: Vec<_> = (0..8)
        .map(|_| {
            let (shared, chain, key) = (Arc::clone(shared), Arc::clone(&chain), p256());
            tokio::spawn(async move {
                let request = SigningRequest::create(&"meter-1".parse().unwrap(), &key).unwrap();
                let request = SigningRequest::from_der(&request).unwrap();
                crate::enrolment::renew(&shared, &chain, &request, now()).await
            })
        })
        .collect();
    let (tenant, name) = ("acme".parse().unwrap(), "meter-1".parse().unwrap());
    shared.revoke_member(tenant, name, RevocationReason::KeyCompromise, false).await.unwrap();
    let mut issued = 1;
    for renewal in renewals {
        if let Ok(renewed) = renewal.await.unwrap() {
            issued += 1;
            assert!(shared.directory.is_revoked(&renewed.serial));
        }
    }
    assert_eq!(revoked_by(&shared.authority), issued);
    assert_eq!(shared.directory.role(&tenant, &name), None);
    // The CRL has no certificate that is over, one more CRL later: RFC 5280 section 3.3.
    for (days, listed) in [(31, issued), (33, 0)] {
        let then = now().plus_micros(days * 86_400_000_000);
        shared.authority.sign_crl(shared.store.registry(), then).await.unwrap();
        assert_eq!(revoked_by(&shared.authority), listed, "after {days} days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_brings_no_revoked_key_back_whatever_certificates_it_had() {
    let service = Listener::start().await;
    let (code, key) = (service.claim("meter-1").await, p256());
    service.enrol(&code, &key).await;
    let shared = service.fixture.service.shared();
    let registry = shared.store.registry();
    let (tenant, name) = ("acme".parse().unwrap(), "meter-1".parse().unwrap());
    let public = key_of(&key);
    let ended = PrincipalKey {
        id: public.id(),
        spki: public.to_spki(),
        serial: Serial::new(b"ended").unwrap(),
        not_before: now().plus_micros(-2_000_000),
        not_after: now().plus_micros(-1_000_000),
        revoked: None,
    };
    let principal = Principal { tenant, role: Role::Device, name };
    registry.enrol(&principal, Joining::Member, &ended, None, now()).await.unwrap();
    let reloaded = async || Directory::load(registry, now()).await.unwrap();
    assert!(reloaded().await.key(&tenant, &name, &public.id()).is_some());
    shared.revoke_member(tenant, name, RevocationReason::KeyCompromise, false).await.unwrap();
    let directory = reloaded().await;
    assert_eq!(directory.key(&tenant, &name, &public.id()), None);
    assert_eq!(directory.role(&tenant, &name), None, "who is revoked is no member after a restart either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_brings_back_all_members_of_a_large_tenant() {
    const MEMBERS: usize = 2 * LIST_MAX as usize + 100;
    let fixture = Fixture::new().await;
    let registry = fixture.service.shared().store.registry();
    let (tenant, state) = ("acme".parse().unwrap(), PrincipalState::Enrolled);
    let public = key_of(&p256());
    let name = |number: usize| format!("meter-{number}").parse().unwrap();
    for number in 0..MEMBERS {
        let principal = Principal { tenant, role: Role::Device, name: name(number) };
        let new = NewPrincipal { principal, state, hardware: None, keeper: None };
        let key = PrincipalKey {
            id: public.id(),
            spki: public.to_spki(),
            serial: Serial::new(&number.to_be_bytes()).unwrap(),
            not_before: now(),
            not_after: now(),
            revoked: None,
        };
        registry.enrol(&principal, Joining::New(&new), &key, None, now()).await.unwrap();
    }
    let directory = Directory::load(registry, now()).await.unwrap();
    assert_eq!(directory.all_of(&tenant, Role::Device).len(), MEMBERS);
    let is_whole = |number| directory.key(&tenant, &name(number), &public.id()) == Some(public.clone());
    assert!((0..MEMBERS).all(is_whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_connections_from_one_address_the_oldest_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = super::settings(folder.path());
    settings.connections.connections_max = 2;
    let service = Listener::of(Fixture::with(folder, settings).await);
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut tls = service.connect(None).await;
        tls.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        tls.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        all.push(tls);
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), all[0].read_to_end(&mut rest)).await.unwrap();
    for tls in &mut all[1..] {
        let ended =
            tokio::time::timeout(Duration::from_millis(100), async { while tls.read_u8().await.is_ok() {} });
        assert!(ended.await.is_err(), "it is open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_takes_no_certificates_without_end() {
    let service = Listener::start().await;
    let (code, key) = (service.claim("meter-1").await, p256());
    let chain = chain_of(&service.enrol(&code, &key).await.1);
    let mut renewed = 0;
    let refused = loop {
        let shown = Some(Shown { chain: chain.clone(), key: &key });
        match service.send("POST", "/.well-known/est/simplereenroll", None, shown, csr(&key)).await.0 {
            StatusCode::OK => renewed += 1,
            refused => break refused,
        }
    };
    assert_eq!((refused, renewed + 1), (StatusCode::TOO_MANY_REQUESTS, crate::enrolment::CERTIFICATES_MAX));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_code_and_a_release_end_the_codes_of_a_name() {
    let service = Listener::start().await;
    let (first, second) = (service.claim("meter-1").await, service.claim("meter-1").await);
    assert_eq!(service.enrol(&first, &p256()).await.0, StatusCode::UNAUTHORIZED);
    let path = "/api/v1/tenants/acme/devices/meter-1/release";
    assert_eq!(service.fixture.admin("post", path, "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(service.enrol(&second, &p256()).await.0, StatusCode::UNAUTHORIZED);
    let third = service.claim("meter-1").await;
    assert_eq!(service.enrol(&third, &p256()).await.0, StatusCode::OK);
}

impl Listener {
    async fn trust(&self, tenant: &str, called: &str, authority: Vec<u8>) {
        let pem = thingward_pki::ca::certificate_pem(&authority).unwrap();
        let body = serde_json::json!({ "certificates": pem }).to_string();
        let path = format!("/api/v1/tenants/{tenant}/makers/{called}");
        let (status, answer) = self.fixture.admin("put", &path, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_things_whose_serial_numbers_are_one_name_one_gets_it() {
    let service = Listener::start().await;
    let (maker, key) = (authority("maker.test"), p256());
    service.trust("acme", "pumps", maker.root_der().unwrap()).await;
    let (one, two) = (thing(&maker, "SN 1", &key), thing(&maker, "SN/1", &key));
    let (first, second) = (p256(), p256());
    let both = tokio::join!(
        service.enrol_by_maker("acme", &one, &first),
        service.enrol_by_maker("acme", &two, &second),
    );
    let mut answers = [both.0.0, both.1.0];
    answers.sort();
    assert_eq!(answers, [StatusCode::OK, StatusCode::FORBIDDEN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hardware_is_one_by_its_makers_key_whatever_tenants_call_the_maker() {
    let service = Listener::start().await;
    let (maker, squatter, key) = (authority("maker.test"), authority("squatter.test"), p256());
    service.trust("other", "pumps", squatter.root_der().unwrap()).await;
    service.trust("acme", "pumps", maker.root_der().unwrap()).await;
    // Another tenant's own authority takes no serial number away.
    let forged = thing(&squatter, "4711", &key);
    assert_eq!(service.enrol_by_maker("other", &forged, &p256()).await.0, StatusCode::OK);
    let pump = thing(&maker, "4711", &key);
    assert_eq!(service.enrol_by_maker("acme", &pump, &p256()).await.0, StatusCode::OK);
    // The same maker under another name, by another of its authorities, does not make it another thing.
    service.trust("other", "real-pumps", maker.issuing_der().unwrap()).await;
    assert_eq!(service.enrol_by_maker("other", &pump, &p256()).await.0, StatusCode::FORBIDDEN);
}
