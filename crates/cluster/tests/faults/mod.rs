//! Connections to a server that do what a test says, one after the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thingward_town_cluster::S3Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What becomes of a connection.
pub(crate) enum Fault {
    /// It carries everything.
    None,
    /// It takes what comes and answers this.
    Says(String),
    /// Nothing comes back.
    Slow,
    /// It ends after so many bytes of the request.
    CutUp(usize),
    /// The server has the whole request; so many bytes of the answer come back.
    CutDown(usize),
    /// The last byte of the answer is another.
    Flips,
}

/// Stands before a server; behind the last fault, connections carry everything.
pub(crate) struct Faults {
    url: String,
    connections: Arc<AtomicUsize>,
    _running: JoinSet<()>,
}

impl Faults {
    pub(crate) async fn before(server: &S3Server, faults: Vec<Fault>) -> Self {
        Self::before_over(server, faults, None).await
    }

    pub(crate) async fn before_over(server: &S3Server, faults: Vec<Fault>, tls: Option<&Tls>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (behind, path) = server.url().trim_start_matches("http://").split_once('/').map(owned).unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/{path}", listener.local_addr().unwrap());
        let (connections, faults) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(VecDeque::from(faults))));
        let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.server)));
        let mut running = JoinSet::new();
        let count = Arc::clone(&connections);
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let fault = faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(behind).await.unwrap();
                    match acceptor {
                        None => carry(stream, server, fault).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => carry(stream, server, fault).await,
                            Err(_) => Some(()),
                        },
                    }
                });
            }
        });
        Self { url, connections, _running: running }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

/// `None` when the connection ended before it should.
async fn carry(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: TcpStream,
    fault: Fault,
) -> Option<()> {
    match fault {
        Fault::None => drop(tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()?),
        Fault::Says(text) => {
            let _ = client.read(&mut [0; 65_536]).await.ok()?;
            client.write_all(text.as_bytes()).await.ok()?;
            client.shutdown().await.ok()?;
            // What else is sent is taken, so that the answer is not lost with a reset.
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await.ok()?;
        }
        Fault::Slow => tokio::time::sleep(Duration::from_secs(5)).await,
        Fault::CutUp(bytes) => drop(tokio::io::copy(&mut client.take(bytes as u64), &mut server).await.ok()?),
        Fault::CutDown(_) | Fault::Flips => {
            let (mut from, mut to) = tokio::io::split(client);
            let (mut back, mut there) = server.split();
            let mut answer = Vec::new();
            tokio::select! {
                // The server ends the connection, as the request says.
                read = back.read_to_end(&mut answer) => drop(read.ok()?),
                _ = async { tokio::io::copy(&mut from, &mut there).await?; std::future::pending::<std::io::Result<()>>().await } => {}
            }
            match fault {
                Fault::CutDown(bytes) => answer.truncate(bytes),
                _ => *answer.last_mut()? ^= 1,
            }
            to.write_all(&answer).await.ok()?;
            to.shutdown().await.ok()?;
        }
    }
    Some(())
}

/// An issuer of its own, with a server of it at 127.0.0.1 and a client that knows it alone.
pub(crate) struct Tls {
    server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls13 = &[&rustls::version::TLS13];
        let server =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(tls13).unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(tls13).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        Self { server: Arc::new(server.unwrap()), client: Arc::new(client) }
    }
}
