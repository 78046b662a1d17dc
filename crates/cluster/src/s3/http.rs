//! One request to a store: HTTP/1.1 on a connection of its own, signed, and everything about the answer bounded.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::Either;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rusty_s3::{Bucket, S3Action};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::error::{Problem, code_in};

/// How long a signature is good: it has to be when the request arrives.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// Longest body of an error.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// What is sent behind the head.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// Names in lower case, with their values.
pub(super) type Headers<'a> = [(&'static str, &'a str)];

pub(super) fn no_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Asks one store.
pub(super) struct Client {
    /// Without brackets.
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// How long a connection may take to come about.
    quiet: Duration,
}

/// A success, whose body is still to come.
pub(super) struct Answer {
    pub(super) body: Incoming,
    headers: HeaderMap,
    /// Carries the body, and ends with this.
    _connection: JoinSet<()>,
}

impl Answer {
    /// How long the body is.
    pub(super) fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// What a header says.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }
}

impl Client {
    pub(super) fn new(bucket: &Bucket, tls: Option<Arc<rustls::ClientConfig>>, quiet: Duration) -> Self {
        let url = bucket.base_url();
        // An IPv6 address has brackets in a URL and none anywhere else.
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        Self { host, port, tls: tls.map(TlsConnector::from), quiet }
    }

    /// Asks, and takes success alone. What comes until the answer's head takes `limit` at most.
    pub(super) async fn ask<'a, A: S3Action<'a>>(
        &self,
        mut action: A,
        headers: &Headers<'_>,
        body: Body,
        limit: Duration,
    ) -> Result<Answer, Problem> {
        for (name, value) in headers {
            action.headers_mut().insert(*name, (*value).to_owned());
        }
        let request = request(A::METHOD.to_str(), &action.sign(SIGNED_FOR), headers, body)?;
        let mut connection = JoinSet::new();
        let sending = async {
            let mut sender = self.connect(&mut connection).await?;
            sender.send_request(request).await.map_err(cut)
        };
        let answer = tokio::time::timeout(limit, sending).await.map_err(|_| Problem::Silent(limit))??;
        if answer.status().is_success() {
            let (head, body) = answer.into_parts();
            return Ok(Answer { body, headers: head.headers, _connection: connection });
        }
        Err(tokio::time::timeout(self.quiet, refusal(answer))
            .await
            .map_err(|_| Problem::Silent(self.quiet))?)
    }

    async fn connect(&self, connection: &mut JoinSet<()>) -> Result<http1::SendRequest<Body>, Problem> {
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = &self.tls else { return Ok(Either::Left(tcp)) };
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            tls.connect(name, tcp).await.map(Either::Right)
        };
        let connected = tokio::time::timeout(self.quiet, connecting).await;
        let connected = connected.map_err(|_| Problem::Silent(self.quiet))?.map_err(Problem::Unreachable)?;
        match connected {
            Either::Left(tcp) => speak(tcp, connection).await,
            Either::Right(tls) => speak(tls, connection).await,
        }
    }
}

async fn speak(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    running: &mut JoinSet<()>,
) -> Result<http1::SendRequest<Body>, Problem> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
    running.spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn request(method: &str, url: &Url, headers: &Headers<'_>, body: Body) -> Result<Request<Body>, Problem> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).map_err(|e| Problem::Cut(io::Error::other(e)))?)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, "thingward")
        .header(CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).map_err(|e| Problem::Cut(io::Error::other(e)))
}

async fn refusal(answer: Response<Incoming>) -> Problem {
    let (head, body) = answer.into_parts();
    let body =
        Limited::new(body, ERROR_BYTES_MAX).collect().await.map(|all| all.to_bytes()).unwrap_or_default();
    Problem::of(head.status, &head.headers, code_in(&body), SystemTime::now())
}

fn cut(error: hyper::Error) -> Problem {
    Problem::Cut(io::Error::other(error))
}
