//! Where a broker is, and the way to it.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection may take to be there.
const WITHIN: Duration = Duration::from_secs(10);

/// Where a broker is. Written `tls:HOST:PORT`, `tcp:localhost:PORT` or `tcp+insecure:HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// `HOST:PORT`, over TLS.
    Tls(String),
    /// `HOST:PORT` on this machine, in the open.
    Loopback(String),
    /// `HOST:PORT` anywhere, in the open: what things say and are told, and the password.
    InsecureTcp(String),
}

/// What is written is no broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a broker is tls:HOST:PORT, tcp:localhost:PORT, or, where everything may go in the open, tcp+insecure:HOST:PORT"
)]
pub struct NoBroker;

impl FromStr for Broker {
    type Err = NoBroker;

    fn from_str(text: &str) -> Result<Self, NoBroker> {
        if let Some(peer) = text.strip_prefix("tls:") {
            return host(peer).map(|_| Self::Tls(peer.to_owned())).ok_or(NoBroker);
        }
        // The rest is as with lines of radios.
        match text.parse().map_err(|_| NoBroker)? {
            thingward_radio::line::Address::Loopback(peer) => Ok(Self::Loopback(peer)),
            thingward_radio::line::Address::InsecureTcp(peer) => Ok(Self::InsecureTcp(peer)),
            thingward_radio::line::Address::Path { .. } => Err(NoBroker),
        }
    }
}

fn host(peer: &str) -> Option<&str> {
    let (host, port) = peer.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(host)
}

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Broker {
    /// Connects.
    ///
    /// # Errors
    ///
    /// What the system says, or what is wrong with the certificate.
    pub(super) async fn connect(&self, ca: Option<&Path>) -> io::Result<Box<dyn Stream>> {
        let connected = tokio::time::timeout(WITHIN, async {
            match self {
                Self::Tls(peer) => tls(peer, ca).await,
                Self::Loopback(peer) => {
                    let here = tokio::net::lookup_host(peer).await?.filter(|at| at.ip().is_loopback());
                    let here: Vec<_> = here.collect();
                    Ok(Box::new(TcpStream::connect(here.as_slice()).await?) as Box<dyn Stream>)
                }
                Self::InsecureTcp(peer) => Ok(Box::new(TcpStream::connect(peer).await?) as Box<dyn Stream>),
            }
        });
        connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn tls(peer: &str, ca: Option<&Path>) -> io::Result<Box<dyn Stream>> {
    let missing = "`ca_file` is missing: nobody says whose certificate is the broker's";
    let path = ca.ok_or_else(|| io::Error::other(missing))?.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(path));
    let pem = read.await.map_err(io::Error::other)??;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host(peer).unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(peer).await?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_in_the_open_is_on_this_machine_or_says_what_it_is() {
        let read = |text: &str| text.parse::<Broker>();
        assert_eq!(read("tls:home.example:8883"), Ok(Broker::Tls("home.example:8883".to_owned())));
        assert_eq!(read("tcp:localhost:1883"), Ok(Broker::Loopback("localhost:1883".to_owned())));
        assert_eq!(read("tcp+insecure:10.0.0.2:1883"), Ok(Broker::InsecureTcp("10.0.0.2:1883".to_owned())));
        for wrong in
            ["", "home:1883", "tcp:home.example:1883", "tls:home", "tls::8883", "/dev/ttyUSB0", "mqtt://x:1"]
        {
            assert_eq!(read(wrong), Err(NoBroker), "{wrong}");
        }
    }

    #[tokio::test]
    async fn without_certificates_to_trust_there_is_no_connection_over_tls() {
        let refused = Broker::Tls("localhost:1".to_owned()).connect(None).await.err().unwrap();
        assert!(refused.to_string().contains("ca_file"));
    }
}
