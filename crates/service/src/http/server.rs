//! Connections: handshakes, limits, and who is at the other end.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thingward_ingress::{Balancers, ConnectionLimits, SharedTls, Turns, place};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::app::App;
use super::body::HeardOut;
use super::caller::Peer;
use super::error::ApiError;
use super::patience::Patient;
use super::{api, attestation, console, est, ops};
use crate::settings::ServiceSettings;

/// Becomes true when listeners end. Running answers get a little time.
pub(crate) type Stop = watch::Receiver<bool>;

/// Longest time to the end of a request's header, also between two requests of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest request header, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most fields of a request header.
const HEADER_FIELDS_MAX: usize = 64;
/// How long running answers get when the service stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Wait after a failed accept: most often the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of the administration socket at a time.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// The administration socket of a data directory.
#[must_use]
pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Who serves connections: what is behind a [`Peer`] gets what it may ask for.
pub(crate) trait Web: Clone + Send + Sync + 'static {
    /// Serves one connection until it ends, or `stop` becomes true.
    fn serve(&self, stream: impl Stream, peer: Peer, stop: Stop) -> impl Future<Output = ()> + Send;
}

/// The bytes of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// What this process serves itself.
#[derive(Clone)]
pub(crate) struct Site {
    tls: Router,
    local: Router,
    admin: Router,
}

impl Site {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        Self { tls: tls_router(app), local: local_router(app), admin: admin_router(app) }
    }
}

impl Web for Site {
    async fn serve(&self, stream: impl Stream, peer: Peer, stop: Stop) {
        let router = match &peer {
            Peer::Tls { .. } => &self.tls,
            Peer::Local { .. } => &self.local,
            Peer::Admin => &self.admin,
        };
        serve(stream, peer, router.clone(), stop).await;
    }
}

/// The listeners, bound and not served yet.
pub(crate) struct Listeners {
    https: TcpListener,
    admin: UnixListener,
    admin_path: PathBuf,
    local: Option<TcpListener>,
    address: SocketAddr,
    limits: ConnectionLimits,
    balancers: Balancers,
}

impl Listeners {
    /// Opens the HTTPS port, the administration socket, and the console's port without TLS where there is one. A socket
    /// that an earlier process left behind is replaced.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) async fn bind(settings: &ServiceSettings) -> io::Result<Self> {
        let https = TcpListener::bind(settings.https).await?;
        let admin_path = admin_socket(&settings.data_dir);
        let admin = bind_private(&admin_path)?;
        let local = match settings.console.loopback {
            Some(at) => Some(TcpListener::bind(at).await?),
            None => None,
        };
        let address = https.local_addr()?;
        let (limits, balancers) = (settings.connections, Balancers::default());
        Ok(Self { https, admin, admin_path, local, address, limits, balancers })
    }

    /// HTTPS is behind load balancers, which say where clients are.
    pub(crate) fn behind(self, balancers: Balancers) -> Self {
        Self { balancers, ..self }
    }

    /// Where HTTPS listens.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Has `web` serve all until `stop` becomes true.
    pub(crate) async fn run(self, web: impl Web, tls: SharedTls, stop: Stop) {
        let https = serve_tls(web.clone(), self.https, (tls, self.balancers), self.limits, stop.clone());
        let local = async {
            if let Some(listener) = self.local {
                serve_local(web.clone(), listener, self.limits.connections_max, stop.clone()).await;
            }
        };
        let admin = serve_admin(web.clone(), self.admin, &self.admin_path, stop.clone());
        tokio::join!(https, local, admin);
    }
}

/// Everything that there is over TLS.
pub(super) fn tls_router(app: &Arc<App>) -> Router {
    finished(console::behind(api::router().merge(est::router()).merge(attestation::router())), app)
}

/// The API and the console, for a proxy or a browser on this machine.
pub(super) fn local_router(app: &Arc<App>) -> Router {
    finished(console::behind(api::router()), app)
}

/// The API alone, for the administration socket.
pub(super) fn admin_router(app: &Arc<App>) -> Router {
    finished(api::router().fallback(async || ApiError::NotFound("page")), app)
}

fn finished(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    router
        .merge(ops::router())
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(axum::middleware::from_fn(to_its_end))
        .layer(axum::middleware::map_response(console::guarded))
        .with_state(Arc::clone(app))
}

/// Answers a request to the end, also when the caller hangs up half-way: what is said in the log has to be so in the registry.
async fn to_its_end(request: axum::extract::Request, next: Next) -> Response {
    let answer = tokio::spawn(next.run(request)).await;
    answer.unwrap_or_else(|_| ApiError::Internal.into_response())
}

/// Serves enrolment, the API and the console until `stop`.
async fn serve_tls(
    web: impl Web,
    listener: TcpListener,
    (tls, balancers): (SharedTls, Balancers),
    limits: ConnectionLimits,
    stop: Stop,
) {
    let (handshakes, connections) = (Turns::new(limits.handshakes_max), Turns::new(limits.connections_max));
    let serve_one = |(mut stream, address): (TcpStream, SocketAddr), stop| {
        let (handshakes, connections) = (Arc::clone(&handshakes), Arc::clone(&connections));
        let (web, balancers) = (web.clone(), balancers.clone());
        let acceptor = TlsAcceptor::from(tls.current());
        async move {
            let handshake = async {
                let address = balancers.client(&mut stream, address.ip()).await?;
                let (_turn, gives_way) = handshakes.begin(place(address));
                let (stream, chain) = tokio::select! {
                    done = handshake(&acceptor, stream) => done?,
                    _ = gives_way => return Err(io::Error::other("too many TLS handshakes")),
                };
                Ok((stream, address, chain))
            };
            let timed_out = |_| Err(io::ErrorKind::TimedOut.into());
            let handshake = tokio::time::timeout(limits.handshake_timeout, handshake).await;
            let (stream, address, chain) = match handshake.unwrap_or_else(timed_out) {
                Ok(done) => done,
                Err(e) => return debug!(%address, error = %e, "TLS handshake failed"),
            };
            let (_turn, gives_way) = connections.begin(place(address));
            tokio::select! {
                () = web.serve(stream, Peer::Tls { address, chain }, stop) => {}
                _ = gives_way => debug!(%address, "too many connections"),
            }
        }
    };
    // Turns say who goes when there are too many, and have to be begun for that.
    let places = limits.connections_max + 2 * limits.handshakes_max;
    accept_all("HTTPS", places, stop, async move || listener.accept().await, serve_one).await;
}

/// Serves the API and the console without TLS, on this machine only, until `stop`.
async fn serve_local(web: impl Web, listener: TcpListener, places: usize, stop: Stop) {
    let serve_one = |(stream, address): (TcpStream, SocketAddr), stop| {
        let _ = stream.set_nodelay(true);
        let web = web.clone();
        async move { web.serve(stream, Peer::Local { address: address.ip() }, stop).await }
    };
    accept_all("console", places, stop, async move || listener.accept().await, serve_one).await;
}

/// Serves the API on a Unix socket until `stop`. Only the owner of the process can open it.
async fn serve_admin(web: impl Web, listener: UnixListener, path: &Path, stop: Stop) {
    let serve_one = |(stream, _), stop| {
        let web = web.clone();
        async move { web.serve(stream, Peer::Admin, stop).await }
    };
    let accept = async move || listener.accept().await;
    accept_all("administration socket", ADMIN_CONNECTIONS_MAX, stop, accept, serve_one).await;
    let _ = std::fs::remove_file(path);
}

/// Accepts until `stop`, and serves up to so many connections at a time.
async fn accept_all<C, S>(
    what: &'static str,
    places: usize,
    mut stop: Stop,
    accept: impl AsyncFn() -> io::Result<C>,
    serve_one: impl Fn(C, Stop) -> S,
) where
    S: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = accept() => accepted,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok(connection), Ok(place)) => {
                let served = serve_one(connection, stop.clone());
                tasks.spawn(async move {
                    let _place = place;
                    served.await;
                });
            }
            (Ok(_), Err(_)) => debug!(what, "too many connections"),
            (Err(e), _) => {
                warn!(what, error = %e, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(accept);
    drain(tasks).await;
}

/// Binds in a folder that only the owner enters, and takes the socket's own bits away before anyone can know
/// its name: the socket appears under a temporary name first.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

type Chain = Arc<[rustls::pki_types::CertificateDer<'static>]>;

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<(tokio_rustls::server::TlsStream<TcpStream>, Chain)> {
    let _ = stream.set_nodelay(true);
    let stream = acceptor.accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|c| c.clone().into_owned()).collect();
    Ok((stream, chain))
}

async fn serve<S>(stream: S, peer: Peer, router: Router, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let peer = peer.clone().behind(request.headers());
        request.extensions_mut().insert(peer);
        hyper::service::Service::call(&inner, request.map(HeardOut::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADER_FIELDS_MAX);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = result {
        debug!(error = %e, "HTTP connection ended");
    }
}

/// Returns when the service stops, or when nobody is left to say so.
pub(crate) async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Gives running answers a little time.
pub(crate) async fn drain(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, all).await.is_err() {
        debug!("HTTP connections were cut at the stop");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    async fn answer(client: &mut DuplexStream) -> String {
        let mut answer = [0; 1024];
        let length = client.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test]
    async fn an_answer_that_does_not_wait_for_the_body_reaches_whoever_sends_the_body_late() {
        let router = Router::new().route("/", post(async || ApiError::Method));
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_stop, stop) = watch::channel(false);
        let serving = tokio::spawn(serve(server, Peer::Admin, router, stop));
        for _ in 0..2 {
            client.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n").await.unwrap();
            assert!(answer(&mut client).await.starts_with("HTTP/1.1 405 "));
            client.write_all(b"late").await.unwrap();
        }
        drop(client);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_is_carried_out_whether_its_caller_waits_or_not() {
        let (begun, done) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&done));
        let change = async move || {
            begins.add_permits(1);
            tokio::time::sleep(Duration::from_millis(50)).await;
            ends.add_permits(1);
        };
        let router = Router::new().route("/", post(change)).layer(axum::middleware::from_fn(to_its_end));
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_stop, stop) = watch::channel(false);
        let serving = tokio::spawn(serve(server, Peer::Admin, router, stop));
        client.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = begun.acquire().await.unwrap();
        drop(client);
        serving.await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), done.acquire()).await.unwrap().unwrap().forget();
    }
}
