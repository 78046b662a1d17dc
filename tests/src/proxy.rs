//! A bad cable: a TCP proxy on loopback that is slow, drops connections, and can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is wrong with a cable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Each connection is dropped after this time.
    pub life: Option<Duration>,
    /// Bytes per second in each direction of each connection.
    pub rate: Option<u32>,
}

/// A running proxy. Dropping it closes the port.
pub struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Carries connections to `to`.
    pub async fn start(to: SocketAddr, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_cut, count) = (Arc::clone(&cut), Arc::clone(&dropped));
        let task = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { return };
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                tokio::spawn(carry(near, to, faults, Arc::clone(&is_cut), Arc::clone(&count)));
            }
        });
        Self { address, cut, dropped, task }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the cable, or mends it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Connections that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    near: TcpStream,
    to: SocketAddr,
    faults: Faults,
    cut: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let ended = async {
        let until = tokio::time::Instant::now() + faults.life.unwrap_or(Duration::from_secs(86_400));
        while tokio::time::Instant::now() < until && !cut.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = pump(near_read, far_write, faults.rate) => {}
        () = pump(far_read, near_write, faults.rate) => {}
        () = ended => {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, rate: Option<u32>) {
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(len) = from.read(&mut buffer).await {
        if len == 0 || to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
        if let Some(rate) = rate {
            tokio::time::sleep(Duration::from_secs_f64(len as f64 / f64::from(rate))).await;
        }
    }
}
