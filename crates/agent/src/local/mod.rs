//! The local link: where somebody who stands before the device shows a grant, with no service in reach. HTTP/1.1, over
//! TLS 1.3 with the device's raw public key (RFC 7250), and for browsers, which cannot do that, also without TLS: nothing
//! here is secret, and nothing that is overheard can be used.
//!
//! `docs/wire/grants.md` has the requests.

mod client;
mod handler;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thingward_model::description::ThingDescription;
use thingward_pki::PkiError;
use thingward_pki::tls::{ALPN_HTTP, raw_key_server_config};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::agent::AgentHandle;
use crate::stream::SharedSigner;
pub use client::{LocalClient, LocalError, Shown};
use handler::{Handler, OfAgent};
pub use handler::{TakesGrants, about};

/// Most connections of a listener.
const CONNECTIONS_MAX: usize = 32;
/// How long a handshake takes at most, and a connection altogether.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// How long a head takes at most.
const HEAD_MAX: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a device listens for holders of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalAddresses {
    /// Over TLS with the device's raw public key.
    pub tls: Option<SocketAddr>,
    /// Without TLS, for browsers.
    pub http: Option<SocketAddr>,
}

/// Why nobody is listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// TLS cannot use the key.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// Listeners; gone when dropped.
pub struct LocalServer {
    tasks: Vec<JoinHandle<()>>,
    /// Where it really listens.
    pub addresses: LocalAddresses,
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Listens at `addresses` for the device with this key and description.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(
    agent: AgentHandle,
    key: SharedSigner,
    description: &ThingDescription,
    addresses: LocalAddresses,
) -> Result<LocalServer, ServeError> {
    let about = about(&agent.principal(), key.public_key(), description);
    let handler = Arc::new(Handler(OfAgent { agent, about }));
    let mut server = LocalServer { tasks: Vec::new(), addresses };
    if let Some(address) = &mut server.addresses.tls {
        let acceptor = TlsAcceptor::from(raw_key_server_config(key, ALPN_HTTP)?);
        let listener = listen(address).await?;
        let handler = Arc::clone(&handler);
        let converse = move |stream, peer| {
            let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
            async move {
                match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, peer, handler).await,
                    Ok(Err(error)) => tracing::debug!(%error, "local link"),
                    Err(_) => tracing::debug!("a handshake of the local link took too long"),
                }
            }
        };
        server.tasks.push(tokio::spawn(accept(listener, converse)));
    }
    if let Some(address) = &mut server.addresses.http {
        server.tasks.push(without_tls(address, handler).await?);
    }
    Ok(server)
}

/// Listens at `address` without TLS, for a device of which only somebody else has the key.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve_http(
    device: impl TakesGrants,
    mut address: SocketAddr,
) -> Result<LocalServer, ServeError> {
    let task = without_tls(&mut address, Arc::new(Handler(device))).await?;
    Ok(LocalServer { tasks: vec![task], addresses: LocalAddresses { tls: None, http: Some(address) } })
}

async fn without_tls<D: TakesGrants>(
    address: &mut SocketAddr,
    handler: Arc<Handler<D>>,
) -> Result<JoinHandle<()>, ServeError> {
    let listener = listen(address).await?;
    let converse = move |stream, peer| answer(stream, peer, Arc::clone(&handler));
    Ok(tokio::spawn(accept(listener, converse)))
}

/// Listens, and notes which port the system gave.
async fn listen(address: &mut SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = async {
        let listener = TcpListener::bind(*address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    let (listener, bound) = bound.await.map_err(|source| ServeError::Listen { address: *address, source })?;
    *address = bound;
    Ok(listener)
}

async fn accept<S>(listener: TcpListener, converse: impl Fn(TcpStream, SocketAddr) -> S)
where
    S: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the listener.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let conversation = converse(stream, peer);
                connections.spawn(async move {
                    let _over = timeout(CONNECTION_MAX, conversation).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "local link");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer<D: TakesGrants>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    handler: Arc<Handler<D>>,
) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, std::convert::Infallible>(handler.answer(peer.ip(), request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(32)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "local link");
    }
}
