//! The listener: TLS 1.3 with a certificate of the installation, then bytes to and from the core.

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
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::allowance::{OfConnection, Received};
use crate::balancer::Balancers;
use crate::crowd::{Handshakes, Members, Presence};
use crate::limits::ConnectionLimits;
use crate::link::Link;
use crate::member::Member;
use crate::output::{Output, output};

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

    /// Accepts for `core` until the task is dropped.
    pub async fn run(self, core: impl Core) {
        let connections = Arc::new(Semaphore::new(self.limits.connections_max));
        let handshakes = Handshakes::new(self.limits.handshakes_max);
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
            let (me, handshakes, core) = (Arc::clone(&me), Arc::clone(&handshakes), core.clone());
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
                    Some((stream, who, presence))
                });
                let Some((stream, who, presence)) = accepted else { return core.refused() };
                // Of its own, which is smaller than one that could make a handshake.
                tokio::spawn(async move {
                    serve(next_conn(), stream, who, &presence, &core).await;
                    drop(place);
                });
            });
        }
    }

    /// The stream is large, and futures keep room for what passes through them.
    async fn handshake(&self, stream: TcpStream) -> Option<(Box<TlsStream<TcpStream>>, Member)> {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use thingward_model::{Link, Principal, Role};

    use super::*;
    use crate::link::{LAST_WORDS_TIMEOUT, WRITE_TIMEOUT};

    /// Keeps what a connection gave it, and notes its end.
    #[derive(Clone, Default)]
    struct Noting {
        output: Arc<Mutex<Option<Output>>>,
        closed: Arc<AtomicU64>,
        heard: Arc<AtomicU64>,
    }

    impl Core for Noting {
        async fn accept(&self, _: ConnId, _: Member, output: Output) {
            *self.output.lock().unwrap() = Some(output);
        }

        async fn received(&self, _: ConnId, _: Received) {}

        async fn heard(&self, _: ConnId) {
            self.heard.fetch_add(1, Ordering::Relaxed);
        }

        async fn closed(&self, _: ConnId) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }

        fn refused(&self) {}
    }

    fn member() -> Member {
        let (tenant, name) = ("acme".parse().unwrap(), "meter-1".parse().unwrap());
        let principal = Principal { tenant, role: Role::Device, name };
        Member {
            principal,
            serial: vec![1],
            not_after: now().plus_micros(3_600_000_000),
            link: Link::MutualTls,
        }
    }

    fn presence() -> Presence {
        Members::new(1, 1000).enter(member().principal).unwrap()
    }

    async fn serve_a_client_that_never_reads(act: impl FnOnce(&Mutex<Option<Output>>)) -> Duration {
        let (core, (_client, server)) = (Noting::default(), tokio::io::duplex(64));
        let start = tokio::time::Instant::now();
        let serving = tokio::spawn({
            let core = core.clone();
            async move { serve(1, server, member(), &presence(), &core).await }
        });
        while core.output.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        act(&core.output);
        serving.await.unwrap();
        assert_eq!(core.closed.load(Ordering::Relaxed), 1);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_let_go_of_in_time() {
        let took = serve_a_client_that_never_reads(|output| {
            let output = output.lock().unwrap();
            output.as_ref().unwrap().send(&[0; 1000]).unwrap();
        });
        assert_eq!(took.await.as_secs(), WRITE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_the_core_ends_does_not_wait_for_its_reader() {
        let took = serve_a_client_that_never_reads(|output| {
            let output = output.lock().unwrap().take().unwrap();
            output.send(&[0; 1000]).unwrap();
        });
        assert_eq!(took.await.as_secs(), LAST_WORDS_TIMEOUT.as_secs());
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_certificate() {
        let (core, (_client, server)) = (Noting::default(), tokio::io::duplex(64));
        let who = Member { not_after: now().plus_micros(50_000), ..member() };
        let end = who.not_after;
        serve(1, server, who, &presence(), &core).await;
        assert!(now() >= end && core.closed.load(Ordering::Relaxed) == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_member_has_said_too_much_is_heard_while_it_waits() {
        let (core, (mut client, server)) = (Noting::default(), tokio::io::duplex(64));
        let presence = presence();
        presence.allowance.owe(60_000);
        tokio::io::AsyncWriteExt::write_all(&mut client, &[0xc0, 0]).await.unwrap();
        let serving = serve(1, server, member(), &presence, &core);
        assert!(timeout(Duration::from_secs(50), serving).await.is_err());
        assert!((48..51).contains(&core.heard.load(Ordering::Relaxed)));
    }
}
