//! Asking a provider: HTTP/1.1 over TLS 1.3, one request for each connection, and everything about the answer bounded.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};
use zeroize::Zeroizing;

use crate::error::OidcError;

/// Longest time for an answer, connecting and waiting for a turn included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Requests to one provider at a time: a crowd at the door waits here, not at the provider.
const REQUESTS_MAX: usize = 16;

/// Asks one provider.
pub(crate) struct Client {
    tls: TlsConnector,
    turns: Semaphore,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a Url,
    pub(crate) authorization: Option<HeaderValue>,
    /// A form makes it a POST.
    pub(crate) form: Option<Zeroizing<String>>,
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Client {
    /// Trusts the authorities in a PEM file.
    pub(crate) fn new(roots: &Path) -> io::Result<Self> {
        let text = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", roots.display()));
        let mut store = RootCertStore::empty();
        let pem = CertificateDer::pem_file_iter(roots).map_err(|e| text(&e))?;
        // A system's file may have one that webpki does not read; that one vouches for nobody then.
        let (added, _) =
            store.add_parsable_certificates(pem.collect::<Result<Vec<_>, _>>().map_err(|e| text(&e))?);
        if added == 0 {
            return Err(text(&"no certificate of an authority is in it"));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), turns: Semaphore::new(REQUESTS_MAX) })
    }

    /// Asks, and takes whatever status comes: redirects are not followed.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Answered, OidcError> {
        let answered = tokio::time::timeout(TIMEOUT, async {
            let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
            self.exchange(ask).await
        });
        match answered.await {
            Ok(answered) => answered.map_err(|e| OidcError::Unreachable(e.to_string())),
            Err(_) => Err(OidcError::Unreachable(format!("not in {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, ask: Ask<'_>) -> io::Result<Answered> {
        let nowhere = || io::Error::other("a URL without host or port");
        let port = ask.url.port_or_known_default().ok_or_else(nowhere)?;
        // An IPv6 address has brackets in a URL and none anywhere else.
        let host = match ask.url.host().ok_or_else(nowhere)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let request = request(&ask)?;
        let tcp = TcpStream::connect((host.as_str(), port)).await?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let tls = self.tls.connect(name, tcp).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(io::Error::other)?;
        // Ends with the connection, which ends with this function: the sender goes, and `connection: close` was said.
        let connection = tokio::spawn(connection);
        let answered = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            Ok(Answered { status, body })
        };
        let answered = answered.await;
        connection.abort();
        answered
    }
}

fn request(ask: &Ask<'_>) -> io::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .uri(&ask.url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &ask.url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, "thingward")
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close");
    if let Some(value) = &ask.authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let body = match &ask.form {
        Some(form) => {
            let form_type = "application/x-www-form-urlencoded";
            request = request.method(Method::POST).header(CONTENT_TYPE, form_type);
            Bytes::from_owner(form.clone())
        }
        None => Bytes::new(),
    };
    request.body(Full::new(body)).map_err(io::Error::other)
}
