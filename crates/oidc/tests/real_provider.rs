//! Signing in at a certified provider that nobody here wrote, over HTTPS, as a browser would.
//! Skips, and says so, where it is not installed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use common::{CLIENT_SECRET, Place, REDIRECT};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thingward_crypto::system_rng;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_oidc::{Identity, OidcError, Provider, Settings};
use thingward_pki::ca::certificate_pem;
use thingward_policy::UserRole;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// The provider in its process.
struct Node {
    _child: Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
    port: u16,
}

/// What a variable says that `make test` sets; says aloud when it is not set.
fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        println!("SKIPPED: {variable} is not set");
    }
    value
}

impl Node {
    async fn start(place: &Place, modules: &str) -> Self {
        let [chain, key] = ["chain.pem", "key.pem"].map(|name| place.path().join(name));
        let pem: String = place.chain.iter().map(|der| certificate_pem(der).unwrap()).collect();
        std::fs::write(&chain, pem).unwrap();
        std::fs::write(&key, place.key_pem()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/oidc_provider.mjs");
        let mut child = Command::new("node")
            .args([script, modules])
            .args([&chain, &key])
            .args([REDIRECT, CLIENT_SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        let hears = child.stdin.take().unwrap();
        // It gives advice about its settings, too.
        let port = loop {
            if let Ok(port) = says.next_line().await.unwrap().unwrap().parse() {
                break port;
            }
        };
        Self { _child: child, says, hears, port }
    }

    async fn rotate(&mut self) {
        self.hears.write_all(b"rotate\n").await.unwrap();
        while self.says.next_line().await.unwrap().unwrap() != "rotated" {}
    }
}

/// A browser: follows redirects, keeps cookies.
struct Browser {
    tls: TlsConnector,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(place: &Place) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(place.roots()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), cookies: BTreeMap::new() }
    }

    /// The query that it brings back from there.
    async fn goes_to(&mut self, url: &Url) -> String {
        let mut url = url.clone();
        for _ in 0..10 {
            let response = self.get(&url).await;
            let (status, headers) = (response.status(), response.headers());
            let location = headers.get(LOCATION).map(|value| value.to_str().unwrap());
            let location = location.unwrap_or_else(|| panic!("{status} at {url}"));
            for cookie in headers.get_all(SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            if let Some(query) = location.strip_prefix(REDIRECT) {
                return query.trim_start_matches('?').to_owned();
            }
            url = url.join(location).unwrap();
        }
        panic!("no end of redirects: {url}");
    }

    async fn get(&self, url: &Url) -> Response<hyper::body::Incoming> {
        let tcp = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let tls = self.tls.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .uri(&url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
            .header(COOKIE, cookies.join("; "))
            .body(Empty::<Bytes>::new())
            .unwrap();
        sender.send_request(request).await.unwrap()
    }
}

fn redirect() -> Url {
    REDIRECT.parse().unwrap()
}

/// Somebody goes there and comes back, `seconds` from now by the clock of the service.
async fn signs_in(provider: &Provider, place: &Place, seconds: i64) -> Result<Identity, OidcError> {
    let now = now().plus_micros(seconds * 1_000_000);
    let begun = provider.begin(&redirect(), now, &mut system_rng()).await?;
    let query = Browser::new(place).goes_to(&begun.url).await;
    provider.finish(&redirect(), begun.pending.as_bytes(), &query, now).await
}

fn client(place: &Place, node: &Node, id: &str) -> Provider {
    Provider::new(Settings { client_id: id.to_owned(), ..place.settings(node.port) }).unwrap()
}

fn jo() -> Identity {
    Identity { subject: "jo-7".to_owned(), name: Some("jo".to_owned()), roles: [UserRole::Viewer].into() }
}

#[tokio::test]
async fn somebody_signs_in_at_a_certified_provider_also_after_it_changed_its_keys() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    let place = Place::new();
    let mut node = Node::start(&place, &modules).await;
    // The claims are at the provider's user info endpoint here.
    let providers = ["rs", "es", "ed"].map(|id| client(&place, &node, id));
    for provider in &providers {
        assert_eq!(signs_in(provider, &place, 0).await, Ok(jo()));
    }
    node.rotate().await;
    // And now in the ID token.
    for provider in &providers {
        assert_eq!(signs_in(provider, &place, 31).await, Ok(jo()));
    }
}

#[tokio::test]
async fn a_certified_provider_says_no_and_so_do_we() {
    let Some(modules) = given("THINGWARD_NODE_MODULES") else { return };
    let place = Place::new();
    let node = Node::start(&place, &modules).await;
    let declined = signs_in(&client(&place, &node, "nobody"), &place, 0).await.unwrap_err();
    assert_eq!(declined.to_string(), "the provider did not sign the person in: access_denied");

    let provider = client(&place, &node, "es");
    let mut browser = Browser::new(&place);
    let begin = async |now: Timestamp| provider.begin(&redirect(), now, &mut system_rng()).await.unwrap();
    let begun = begin(now()).await;
    let query = browser.goes_to(&begun.url).await;
    let finish = async |pending: &[u8]| provider.finish(&redirect(), pending, &query, now()).await;
    // What another sign-in of the same browser remembers does not fit.
    let other = begin(now()).await;
    assert_eq!(finish(other.pending.as_bytes()).await.unwrap_err().word(), "sign-in-foreign");
    assert_eq!(finish(begun.pending.as_bytes()).await, Ok(jo()));
    // A code is good once.
    let again = finish(begun.pending.as_bytes()).await.unwrap_err();
    assert_eq!(again.to_string(), "the provider did not take the code: invalid_grant");

    // A verifier that was not the one at the begin.
    let begun = begin(now()).await;
    let query = browser.goes_to(&begun.url).await;
    let mut pending = begun.pending.as_bytes().to_vec();
    let verifier = pending.len() - "corp".len() - 1;
    pending.get_mut(verifier).map(|byte| *byte ^= 1).unwrap();
    let stolen = provider.finish(&redirect(), &pending, &query, now()).await.unwrap_err();
    assert_eq!(stolen.to_string(), "the provider did not take the code: invalid_grant");
}
