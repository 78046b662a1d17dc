//! The listener: TLS 1.3 with a certificate of the installation, then bytes to and from the core.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_mqtt::broker::ConnId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::allowance::{OfConnection, Received};
use crate::balancer::Balancers;
use crate::crowd::{Members, Presence, Turns};
use crate::limits::ConnectionLimits;
use crate::link::Link;
use crate::member::Member;
use crate::output::{Output, output};
use crate::tls::TlsStream;

#[cfg(test)]
mod tests;

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

/// The number of a new connection. None is used twice, whichever listener has it: cores know connections by them.
#[must_use]
pub fn next_conn() -> ConnId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The sequential core behind a listener.
pub trait Core: Clone + Send + Sync + 'static {
    /// A member has connected. What it shall be sent goes into `output`, which is dropped when the connection shall
    /// end.
    fn accept(&self, conn: ConnId, who: Member, output: Output) -> impl Future<Output = ()> + Send;

    /// A member sent bytes. Waits while the core is busy.
    fn received(&self, conn: ConnId, received: Received) -> impl Future<Output = ()> + Send;

    /// A member sent bytes that wait until it may say more.
    fn heard(&self, conn: ConnId) -> impl Future<Output = ()> + Send;

    /// A member is gone.
    fn closed(&self, conn: ConnId) -> impl Future<Output = ()> + Send;

    /// A connection did not become a session.
    fn refused(&self);
}

/// Accepts members on MQTT.
pub struct MqttListener {
    socket: TcpListener,
    tls: SharedTls,
    trust_domain: String,
    limits: ConnectionLimits,
    members: Arc<Members>,
    balancers: Balancers,
}

impl MqttListener {
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
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let members = Members::new(limits.connections_per_member_max, limits.messages_per_second_max);
        Ok(Self { socket, tls, trust_domain, limits, members, balancers: Balancers::default() })
    }

    /// Behind load balancers, which say where clients are.
    #[must_use]
    pub fn behind(self, balancers: Balancers) -> Self {
        Self { balancers, ..self }
    }

    /// The members that are here, for those to be counted too who reach the same core elsewhere.
    #[must_use]
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members)
    }

    /// The address that was bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts for `core` until `stop` is true. Returns when the connections that were there then have ended, of which each has a few
    /// seconds for its last words once the core has ended it.
    pub async fn run(self, core: impl Core, mut stop: watch::Receiver<bool>) {
        let (open, mut all_over) = mpsc::channel(1);
        tokio::select! {
            () = self.accept(core, open.downgrade()) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        drop(open);
        let _ = all_over.recv().await;
    }

    /// Each connection holds `open`; a handshake does not.
    async fn accept(self, core: impl Core, open: mpsc::WeakSender<Infallible>) {
        let connections = Arc::new(Semaphore::new(self.limits.connections_max));
        let handshakes = Turns::new(self.limits.handshakes_max);
        let me = Arc::new(self);
        loop {
            // At the bound, new connections wait in the system's queue, which has a bound of its own.
            let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
            let (mut stream, address) = match me.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, for one: wait for some to be freed.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (me, handshakes, core, open) =
                (Arc::clone(&me), Arc::clone(&handshakes), core.clone(), open.clone());
            tokio::spawn(async move {
                let client = me.balancers.client(&mut stream, address.ip());
                let client = timeout(me.limits.handshake_timeout, client).await;
                let Ok(Ok(client)) = client else { return core.refused() };
                let (turn, gives_way) = handshakes.begin(crate::place(client));
                let accepted = tokio::select! {
                    accepted = me.handshake(stream) => accepted,
                    () = tokio::time::sleep(me.limits.handshake_timeout) => None,
                    _ = gives_way => None,
                };
                drop(turn);
                let accepted = accepted.and_then(|(stream, who)| {
                    let presence = me.members.enter(who.principal)?;
                    Some((stream, who, presence, open.upgrade()?))
                });
                let Some((stream, who, presence, open)) = accepted else { return core.refused() };
                // Of its own, which is smaller than one that could make a handshake.
                tokio::spawn(async move {
                    serve(next_conn(), stream, who, &presence, &core).await;
                    drop((place, open));
                });
            });
        }
    }

    /// The stream is large, and futures keep room for what passes through them.
    async fn handshake(&self, stream: TcpStream) -> Option<(Box<TlsStream<TcpStream>>, Member)> {
        let _ = stream.set_nodelay(true);
        let stream = match TlsStream::accept(self.tls.current(), stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "TLS handshake failed");
                return None;
            }
        };
        let leaf = stream.peer_certificates()?.first()?;
        let who = Member::from_verified(leaf, &self.trust_domain)?;
        Some((Box::new(stream), who))
    }
}

/// Carries bytes between a client and the core until one of them ends it, or the certificate does.
async fn serve(
    conn: ConnId,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    who: Member,
    presence: &Presence,
    core: &impl Core,
) {
    let (output, waiting) = output();
    let over = until(who.not_after);
    core.accept(conn, who, output).await;
    let mut link = Link::new(stream, waiting);
    let turns = Arc::new(Semaphore::new(1));
    let carry = async {
        while let Some(bytes) = poll_fn(|cx| link.poll_received(cx)).await {
            let hand_over = async {
                let Ok(of_connection) = Arc::clone(&turns).acquire_owned().await else { return };
                presence.hand_over(bytes, conn, OfConnection::Here(of_connection), core).await;
            };
            if link.write_during(hand_over).await.is_none() {
                return;
            }
        }
    };
    tokio::select! {
        () = carry => {}
        () = over => tracing::debug!("the certificate of a connection is over"),
    }
    core.closed(conn).await;
    link.linger().await;
}

/// Waits for a time of day; the clock may be set meanwhile.
async fn until(end: Timestamp) {
    const LOOK_AGAIN: Duration = Duration::from_secs(60);
    loop {
        let left = u64::try_from(end.micros_since(now())).unwrap_or(0);
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_micros(left).min(LOOK_AGAIN)).await;
    }
}
