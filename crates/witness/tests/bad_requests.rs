//! Requests that no service of ours makes, over TLS by hand, and connections that ask for nothing.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_audit::note::LogKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_model::clock::now;
use thingward_pki::tls::{ALPN_HTTP, pinned_client_config};
use thingward_witness::Fingerprint;
use thingward_witness::home::Home;
use thingward_witness::server::Server;
use thingward_witness::witness::Witness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CONNECTIONS_MAX: usize = 4;

async fn running(folder: &std::path::Path) -> (SocketAddr, Fingerprint) {
    let home = Home::create(&folder.join("w"), "witness.test/w1", now()).unwrap();
    let fingerprint = home.fingerprint();
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
    let log = LogKey::new("log.test/acme", signer.public_key()).unwrap();
    let witness = Witness::new(home, vec![log]).unwrap();
    let server = Server::bind(witness, "127.0.0.1:0".parse().unwrap(), CONNECTIONS_MAX).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.run());
    (address, fingerprint)
}

async fn connect((address, fingerprint): (SocketAddr, Fingerprint)) -> TlsStream<TcpStream> {
    let tls = pinned_client_config(fingerprint.digest(), ALPN_HTTP).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::clone(&tls)).connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

/// The first line of the answer, and whether the body has this text.
async fn answer(server: (SocketAddr, Fingerprint), request: &[u8], says: &str) -> String {
    let mut stream = connect(server).await;
    // A server that answers before it has read everything ends the connection under our hands.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains(says), "{answer}");
    answer.lines().next().unwrap_or_default().to_owned()
}

fn post(path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_request_has_its_status_and_the_witness_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = running(folder.path()).await;
    let stranger =
        "old 0\n\nlog.test/other\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} x AAAAAAAA\n";
    let unsigned = stranger.replace("other", "acme");
    let path = "/add-checkpoint";
    let get = b"GET /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n".to_vec();
    let long = format!("x: {}\r\n", "y".repeat(9000));
    let many: String = (0..40).map(|n| format!("x-{n}: y\r\n")).collect();
    for (what, request, status) in [
        ("nothing in it", post(path, "", b""), "400"),
        ("no text", post(path, "", &[0xff; 64]), "400"),
        ("another log", post(path, "", stranger.as_bytes()), "404"),
        ("no signature", post(path, "", unsigned.as_bytes()), "403"),
        ("too large", post(path, "", &[b'x'; 40_000]), "413"),
        ("another path", post("/", "", b""), "404"),
        ("a path above", post("/../add-checkpoint", "", b""), "404"),
        ("another method", get, "405"),
        ("a long header", post(path, &long, b""), "431"),
        ("many fields", post(path, &many, b""), "431"),
        ("two lengths", post(path, "content-length: 1\r\n", b""), "400"),
        ("no HTTP", b"hello\r\n\r\n".to_vec(), "400"),
    ] {
        let line = answer(server, &request, "").await;
        assert_eq!(line.split(' ').nth(1), Some(status), "{what}: {line}");
    }
    assert!(
        answer(server, &post(path, "", b"old 0\n"), "not a request to add a checkpoint")
            .await
            .contains("400")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_for_nothing_have_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let server = running(folder.path()).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(connect(server).await);
    }
    let mut over = TcpStream::connect(server.0).await.unwrap();
    assert_eq!(over.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed at once");
    drop(idle);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(answer(server, &post("/", "", b""), "").await.contains("404"));
}
