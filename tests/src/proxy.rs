//! A bad cable: a TCP proxy on loopback that drops connections, and can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// A running proxy. Dropping it closes the port.
pub struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Carries connections to `to`; each is dropped after `life` when that is given.
    pub async fn start(to: SocketAddr, life: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_cut, count) = (Arc::clone(&cut), Arc::clone(&dropped));
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { return };
                let (is_cut, count) = (Arc::clone(&is_cut), Arc::clone(&count));
                tokio::spawn(async move {
                    if is_cut.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    let ended = async {
                        let whole = tokio::time::sleep(life.unwrap_or(Duration::from_secs(86_400)));
                        tokio::pin!(whole);
                        loop {
                            tokio::select! {
                                () = &mut whole => return,
                                () = tokio::time::sleep(Duration::from_millis(10)) => {
                                    if is_cut.load(Ordering::Relaxed) {
                                        return;
                                    }
                                }
                            }
                        }
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = ended => {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
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
