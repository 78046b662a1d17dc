//! Asking a witness: HTTP/1.1 over TLS 1.3 to the one server that has a fingerprint, over a connection that is kept.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thingward_audit::Hash;
use thingward_audit::witness::AddCheckpoint;
use thingward_pki::PkiError;
use thingward_pki::tls::{ALPN_HTTP, pinned_client_config};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::fingerprint::Fingerprint;
use crate::server::PATH;

/// The port of a witness whose URL names none.
pub const PORT: u16 = 8885;
/// Longest time for an answer, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes: a witness may have several keys.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Where a witness is: its submission prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    prefix: String,
}

/// A text is no URL of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a witness's URL: https://HOST[:PORT][/PREFIX]")]
pub struct NoUrl;

impl FromStr for Url {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        let rest = text.strip_prefix("https://").ok_or(NoUrl)?;
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or(NoUrl)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| NoUrl)?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => authority.split_once(':').map_or((authority, Some("")), |(h, p)| (h, Some(p))),
        };
        let port = match port {
            Some("") if !authority.ends_with(':') => PORT,
            Some(port) => port.parse().map_err(|_| NoUrl)?,
            None => return Err(NoUrl),
        };
        ServerName::try_from(host).map_err(|_| NoUrl)?;
        let prefix = prefix.trim_end_matches('/');
        let is_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
        if !prefix.bytes().all(is_path) {
            return Err(NoUrl);
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { host: host.to_owned(), port, prefix })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.prefix)
    }
}

impl Url {
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why a witness gave no cosignature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It is not there, or not the one that is expected.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// It has seen another size than the one that the proof starts from, or another tree of it.
    #[error("it has seen a log of {size} entries")]
    Conflict {
        /// Entries of the last checkpoint that it co-signed.
        size: u64,
    },
    /// It does not believe the request.
    #[error("it answers {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        text: String,
    },
}

/// A witness that can be asked.
pub struct Client {
    url: Url,
    tls: Arc<ClientConfig>,
    /// The last connection, as long as it is open.
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// The witness at this URL that has this certificate.
    ///
    /// # Errors
    ///
    /// [`PkiError::Tls`] never, in practice.
    pub fn new(url: Url, fingerprint: Fingerprint) -> Result<Self, PkiError> {
        let tls = pinned_client_config(fingerprint.digest(), ALPN_HTTP)?;
        Ok(Self { url, tls, connection: Mutex::default() })
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for a cosignature over `note`, which continues the log of `old_size` entries as `proof` shows. The answer
    /// is not checked yet.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub async fn add_checkpoint(
        &self,
        old_size: u64,
        proof: &[Hash],
        note: &str,
    ) -> Result<String, AskError> {
        let body = Bytes::from(AddCheckpoint::body(old_size, proof, note));
        let answer = tokio::time::timeout(TIMEOUT, self.post(body)).await;
        let (status, text) = match answer {
            Err(_) => return Err(AskError::Unreachable(format!("none in {} s", TIMEOUT.as_secs()))),
            Ok(answer) => answer.map_err(|e| AskError::Unreachable(e.to_string()))?,
        };
        match (status, text.trim_end().parse()) {
            (StatusCode::OK, _) => Ok(text),
            (StatusCode::CONFLICT, Ok(size)) => Err(AskError::Conflict { size }),
            _ => {
                let text = text.trim_end().chars().filter(|c| !c.is_control()).take(200).collect();
                Err(AskError::Refused { status: status.as_u16(), text })
            }
        }
    }

    async fn post(&self, body: Bytes) -> io::Result<(StatusCode, String)> {
        // Taken out: one that breaks off in the middle is not used again.
        let kept = self.connection.lock().await.take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
            && let Ok(answer) = self.exchange(sender, body.clone()).await
        {
            return Ok(answer);
        }
        // The witness may have ended it just now; asking twice does no harm.
        let sender = self.connect().await?;
        self.exchange(sender, body).await
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        body: Bytes,
    ) -> io::Result<(StatusCode, String)> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{PATH}", self.url.prefix))
            .header(HOST, self.url.authority())
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        *self.connection.lock().await = Some(sender);
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let name = ServerName::try_from(self.url.host.clone()).map_err(io::Error::other)?;
        let tcp = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_perhaps_a_port_and_a_prefix() {
        let shown = |text: &str| text.parse::<Url>().map(|url| url.to_string());
        for (text, want) in [
            ("https://w.example.com", "https://w.example.com:8885"),
            ("https://w.example.com/", "https://w.example.com:8885"),
            ("https://w.example.com:443/a/b/", "https://w.example.com:443/a/b"),
            ("https://[::1]:9", "https://[::1]:9"),
            ("https://[::1]", "https://[::1]:8885"),
            ("https://192.0.2.1:9", "https://192.0.2.1:9"),
        ] {
            assert_eq!(shown(text), Ok(want.to_owned()), "{text}");
        }
        for wrong in [
            "",
            "w",
            "http://w",
            "https://",
            "https://w:",
            "https://w:x",
            "https://[x]",
            "https://w/a b",
            "https://[::1]9",
        ] {
            assert_eq!(shown(wrong), Err(NoUrl), "{wrong}");
        }
    }
}
