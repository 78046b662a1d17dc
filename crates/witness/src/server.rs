//! The listener: C2SP tlog-witness over TLS 1.3. Everything is bounded, and nobody has to say who they are.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use thingward_audit::witness::{REQUEST_BYTES_MAX, Refusal, SIZE_MEDIA_TYPE};
use thingward_model::clock::now;
use thingward_pki::tls::{ALPN_HTTP, anonymous_server_config};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::home::HomeError;
use crate::witness::{NotCosigned, Witness};

/// What a request is posted to, behind the prefix of the witness.
pub const PATH: &str = "/add-checkpoint";
/// Longest handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to the end of a request's header, also between two requests of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest header, in bytes, and most fields.
const HEADER_BYTES_MAX: usize = 8 * 1024;
const HEADER_FIELDS_MAX: usize = 32;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after a failed accept: most often the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A witness that listens.
pub struct Server {
    witness: Arc<Witness>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    connections_max: usize,
}

/// Why a witness does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The port is not to be had.
    #[error("open port {address}: {source}")]
    Port {
        /// The port.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate is not usable.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl Server {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    pub async fn bind(
        witness: Witness,
        address: SocketAddr,
        connections_max: usize,
    ) -> Result<Self, ListenError> {
        let credentials = witness.home().credentials()?;
        let tls = anonymous_server_config(credentials, ALPN_HTTP).map_err(HomeError::from)?;
        let port = |source| ListenError::Port { address, source };
        let listener = TcpListener::bind(address).await.map_err(port)?;
        Ok(Self { witness: Arc::new(witness), listener, tls, connections_max })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(self.connections_max));
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // A closed connection is the clearest answer that costs nothing.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let (witness, acceptor) = (Arc::clone(&self.witness), TlsAcceptor::from(Arc::clone(&self.tls)));
            tasks.spawn(async move {
                let _place = place;
                if let Err(error) = serve(witness, acceptor, stream).await {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
    }
}

async fn serve(witness: Arc<Witness>, acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    let stream = handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let service = service_fn(move |request| {
        let witness = Arc::clone(&witness);
        async move { Ok::<_, Infallible>(answer(witness, request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADER_FIELDS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

async fn answer(witness: Arc<Witness>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return text(StatusCode::NOT_FOUND, "there is POST /add-checkpoint");
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "there is POST /add-checkpoint");
    }
    let body = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        }
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body broke off"),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let decided = tokio::task::spawn_blocking(move || {
        let body = std::str::from_utf8(&body).map_err(|_| Refusal::Malformed)?;
        witness.add_checkpoint(body, u64::try_from(now().as_seconds()).unwrap_or_default())
    });
    match decided.await {
        Ok(Ok(line)) => response(StatusCode::OK, "text/plain; charset=utf-8", line),
        Ok(Err(NotCosigned::Refused(refusal))) => refused(refusal),
        Ok(Err(error)) => {
            tracing::error!(%error, "nothing was co-signed");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the witness failed; its log says why")
        }
        Err(error) => {
            tracing::error!(%error, "nothing was co-signed");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the witness failed; its log says why")
        }
    }
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::Conflict { size } | Refusal::OtherRoot { size } => {
            response(StatusCode::CONFLICT, SIZE_MEDIA_TYPE, format!("{size}\n"))
        }
        other => text(StatusCode::from_u16(other.status()).unwrap_or_default(), &other.to_string()),
    }
}

fn text(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
}

fn response(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
