//! Asking somebody on this machine: HTTP/1.1 without TLS, one request for each connection, everything about the answer
//! bounded.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Host, Position, Url};

/// Longest time for an answer, connecting included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// A URL of this machine; `None` for any other, where a secret would travel in the open.
pub(crate) fn local(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http")?;
    let is_local = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    (is_local && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// Sends a request, and takes whatever status comes: redirects are not followed.
pub(crate) async fn send(
    method: Method,
    url: &Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> io::Result<Answered> {
    let answered = tokio::time::timeout(TIMEOUT, exchange(method, url, headers, body)).await;
    answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn exchange(
    method: Method,
    url: &Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> io::Result<Answered> {
    let addresses = url.socket_addrs(|| None)?;
    let mut request = Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let answered = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(Answered { status, body: body.map_err(io::Error::other)?.to_bytes() })
    };
    let answered = answered.await;
    connection.abort();
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for good in ["http://127.0.0.1:8487", "http://localhost:1/x", "http://[::1]:8487"] {
            assert!(local(good).is_some(), "{good}");
        }
        for bad in [
            "http://192.0.2.1:8487",
            "http://example.com",
            "https://localhost",
            "http://a:b@localhost",
            "localhost",
        ] {
            assert!(local(bad).is_none(), "{bad}");
        }
    }
}
