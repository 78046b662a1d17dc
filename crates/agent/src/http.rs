//! A small HTTPS client: HTTP/1.1 over TLS 1.3, one request per connection, everything bounded.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the service takes HTTPS when an address names no port.
pub const HTTPS_PORT: u16 = 8443;
const TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 1 << 20;

/// A host and port to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A text is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address; write HOST:PORT")]
pub struct EndpointError {
    text: String,
}

impl Endpoint {
    /// Reads `HOST`, `HOST:PORT` or `https://HOST[:PORT][/]`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when the text has another form.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let parse = || {
            let rest = text.strip_prefix("https://").unwrap_or(text);
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (host, port) = match rest.strip_prefix('[') {
                Some(v6) => {
                    let (host, port) = v6.split_once(']')?;
                    host.parse::<std::net::Ipv6Addr>().ok()?;
                    (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
                }
                None => match rest.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (rest, None),
                },
            };
            let port = port.map_or(Some(default_port), |p| p.parse().ok())?;
            let endpoint = Self { host: host.to_owned(), port };
            endpoint.server_name().ok().map(|_| endpoint)
        };
        parse().ok_or_else(|| EndpointError { text: text.to_owned() })
    }

    /// Opens a TCP connection and shakes hands, in ten seconds at most.
    ///
    /// # Errors
    ///
    /// What the network or TLS says; kind `TimedOut` when nobody answers.
    pub async fn connect(&self, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let name = self.server_name()?;
        let connect = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(tls).connect(name, tcp).await
        };
        timeout(TIMEOUT, connect)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in 10 s"))?
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        ServerName::try_from(self.host.clone())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))
    }
}

/// Reads it as [`Endpoint::parse`] does, with [`HTTPS_PORT`] as the default.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, HTTPS_PORT)
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The server is out of reach, or TLS refused one of the two.
    #[error("cannot reach {to}: {source}")]
    Connect {
        /// The server.
        to: String,
        /// What the network or TLS says.
        source: io::Error,
    },
    /// The request cannot be written: a path or header that HTTP does not allow.
    #[error("request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// The exchange broke off. Also when the server refuses our certificate, which TLS 1.3 tells late.
    #[error("{to} broke off the exchange: {reason}")]
    Exchange {
        /// The server.
        to: String,
        /// What happened.
        reason: String,
    },
    /// The server was silent for too long.
    #[error("{to} did not answer in 10 s")]
    Timeout {
        /// The server.
        to: String,
    },
    /// The server answered with an error.
    #[error("{to} answers {status}: {text}")]
    Status {
        /// The server.
        to: String,
        /// The status code.
        status: u16,
        /// The body, as far as it is text.
        text: String,
    },
}

/// A server to ask, and as whom.
#[derive(Clone)]
pub struct HttpsClient {
    server: Endpoint,
    connect_to: Option<Endpoint>,
    tls: Arc<ClientConfig>,
    body_bytes_max: usize,
}

impl HttpsClient {
    /// Asks `server`. Whom it accepts as server and what it shows is in `tls`.
    #[must_use]
    pub const fn new(server: Endpoint, tls: Arc<ClientConfig>) -> Self {
        Self { server, connect_to: None, tls, body_bytes_max: BODY_BYTES_MAX }
    }

    /// Connects elsewhere, and asks for the same server by name there.
    #[must_use]
    pub fn connect_to(self, address: Endpoint) -> Self {
        Self { connect_to: Some(address), ..self }
    }

    /// Takes answers up to this size in bytes; 1 MiB when nothing is said.
    #[must_use]
    pub fn body_bytes_max(self, bytes: usize) -> Self {
        Self { body_bytes_max: bytes, ..self }
    }

    /// Fetches `path`.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; also for any status but 2xx.
    pub async fn get(&self, path: &str) -> Result<Bytes, HttpError> {
        let request = Request::builder().method(Method::GET).uri(path).body(Bytes::new())?;
        self.expect_success(request).await
    }

    /// Posts `body` to `path`, with HTTP Basic authentication when a user and password are given.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; also for any status but 2xx.
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        basic: Option<(&str, &str)>,
        body: Bytes,
    ) -> Result<Bytes, HttpError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .body(body)?;
        if let Some((user, password)) = basic {
            request.headers_mut().insert(hyper::header::AUTHORIZATION, basic_header(user, password)?);
        }
        self.expect_success(request).await
    }

    async fn expect_success(&self, request: Request<Bytes>) -> Result<Bytes, HttpError> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let text: String = String::from_utf8_lossy(response.body()).trim().chars().take(500).collect();
        Err(HttpError::Status { to: self.server.to_string(), status: status.as_u16(), text })
    }

    /// Sends a request whose URI is a path; gives the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.open(request).await?.into_parts();
        let collect = Limited::new(body, self.body_bytes_max).collect();
        let body = timeout(TIMEOUT, collect).await.map_err(|_| self.timed_out())?;
        let body = body.map_err(|e| self.broke(e.to_string()))?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    /// Sends a request and gives the answer as soon as its head is there. The body has no bound in size or time.
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub async fn open(&self, request: Request<Bytes>) -> Result<Response<Incoming>, HttpError> {
        let to = self.connect_to.as_ref().unwrap_or(&self.server);
        let stream = to.connect(Arc::clone(&self.tls)).await;
        let stream = stream.map_err(|source| HttpError::Connect { to: to.to_string(), source })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| self.broke(reason(&e)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTPS connection");
            }
        });
        let (mut parts, body) = request.into_parts();
        let host = HeaderValue::from_str(&self.server.to_string()).map_err(hyper::http::Error::from)?;
        parts.headers.insert(HOST, host);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body)));
        let answer = timeout(TIMEOUT, answer).await.map_err(|_| self.timed_out())?;
        answer.map_err(|e| self.broke(reason(&e)))
    }

    fn timed_out(&self) -> HttpError {
        HttpError::Timeout { to: self.server.to_string() }
    }

    fn broke(&self, reason: String) -> HttpError {
        HttpError::Exchange { to: self.server.to_string(), reason }
    }
}

/// The innermost cause, which says more than "connection error".
fn reason(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// RFC 7617. Marked as sensitive, so that it is never printed.
fn basic_header(user: &str, password: &str) -> Result<HeaderValue, HttpError> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {text}")).map_err(hyper::http::Error::from)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, u16, &str)>) {
        let got: Result<Endpoint, _> = text.parse();
        let got = got.ok();
        let got = got.as_ref().map(|e| (e.host.as_str(), e.port, e.to_string()));
        assert_eq!(got, want.map(|(host, port, shown)| (host, port, shown.to_owned())), "{text:?}");
    }

    #[test]
    fn an_address_is_a_host_with_or_without_scheme_and_port() {
        check("localhost:9000", Some(("localhost", 9000, "localhost:9000")));
        check("https://thingward.example/", Some(("thingward.example", 8443, "thingward.example:8443")));
        check("https://10.0.0.1:1", Some(("10.0.0.1", 1, "10.0.0.1:1")));
        check("[::1]:7", Some(("::1", 7, "[::1]:7")));
        check("[::1]", Some(("::1", 8443, "[::1]:8443")));
        for text in ["", ":1", "a:b", "a:70000", "http://a", "::1", "[a]:1", "a/b", "[::1]x"] {
            check(text, None);
        }
    }
}
