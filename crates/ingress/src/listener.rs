//! The listener: TLS 1.3 with a certificate of the installation, then bytes to and from the core.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use thingward_mqtt::broker::ConnId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::limits::ConnectionLimits;
use crate::member::Member;

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A TLS configuration that can be replaced while connections come in: each handshake takes the latest.
#[derive(Clone)]
pub struct SharedTls(Arc<RwLock<Arc<ServerConfig>>>);

impl SharedTls {
    /// Starts with this one.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// From the next handshake on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The latest.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The sequential core behind a listener.
pub trait Core: Clone + Send + Sync + 'static {
    /// A member has connected. What it is sent comes out of the receiver, which ends when the connection shall.
    fn accept(&self, conn: ConnId, who: Member) -> impl Future<Output = mpsc::Receiver<Bytes>> + Send;

    /// A member sent bytes. Waits while the core is busy.
    fn received(&self, conn: ConnId, bytes: Bytes) -> impl Future<Output = ()> + Send;

    /// A member is gone.
    fn closed(&self, conn: ConnId) -> impl Future<Output = ()> + Send;

    /// A connection did not become a session.
    fn refused(&self);
}

/// Accepts members on MQTT.
pub struct MqttListener<C> {
    socket: TcpListener,
    tls: SharedTls,
    trust_domain: String,
    limits: ConnectionLimits,
    core: C,
}

impl<C: Core> MqttListener<C> {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn bind(
        address: SocketAddr,
        tls: SharedTls,
        trust_domain: String,
        limits: ConnectionLimits,
        core: C,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, tls, trust_domain, limits, core })
    }

    /// The address that was bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the task is dropped.
    pub async fn run(self) {
        let connections = Arc::new(Semaphore::new(self.limits.connections_max));
        let handshakes = Arc::new(Semaphore::new(self.limits.handshakes_max));
        let me = Arc::new(self);
        // Numbers are never used twice: the core knows connections by them.
        let next = AtomicU64::new(1);
        loop {
            // At the bound, new connections wait in the system's queue, which has a bound of its own.
            let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
            let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
            let stream = match me.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, for one: wait for some to be freed.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let conn = next.fetch_add(1, Ordering::Relaxed);
            let me = Arc::clone(&me);
            tokio::spawn(async move {
                let accepted = tokio::time::timeout(me.limits.handshake_timeout, me.handshake(stream)).await;
                drop(turn);
                if let Ok(Some((stream, who))) = accepted {
                    serve(conn, stream, who, &me.core).await;
                } else {
                    me.core.refused();
                }
                drop(place);
            });
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Member)> {
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.tls.current());
        let stream = match acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "TLS handshake failed");
                return None;
            }
        };
        let leaf = stream.get_ref().1.peer_certificates()?.first()?;
        let who = Member::from_verified(leaf, &self.trust_domain)?;
        Some((stream, who))
    }
}

/// Carries bytes between a client and the core until one of them ends it.
async fn serve<C: Core>(
    conn: ConnId,
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    who: Member,
    core: &C,
) {
    let output = core.accept(conn, who).await;
    let (reader, writer) = tokio::io::split(stream);
    let write: JoinHandle<()> = tokio::spawn(write_all(writer, output));
    let abort = write.abort_handle();
    tokio::select! {
        () = read_all(conn, reader, core) => {}
        // The core closed the connection and the last bytes are written.
        _ = write => {}
    }
    core.closed(conn).await;
    abort.abort();
}

async fn read_all(conn: ConnId, mut reader: impl AsyncRead + Unpin, core: &impl Core) {
    loop {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => core.received(conn, buffer.freeze()).await,
        }
    }
}

async fn write_all(mut writer: impl tokio::io::AsyncWrite + Unpin, mut output: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = output.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
        while let Ok(more) = output.try_recv() {
            if writer.write_all(&more).await.is_err() {
                return;
            }
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}
