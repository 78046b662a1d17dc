//! Bytes between a local port and the service's HTTPS port, so that children that reach only the gateway enrol
//! and renew. TLS passes through untouched: the gateway sees ciphertext.

use std::sync::Arc;
use std::time::Duration;

use thingward_agent::http::Endpoint;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const CONNECTIONS_MAX: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An enrolment takes a second; nothing here needs longer.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// Relays until the task is dropped.
pub(crate) async fn run(listener: TcpListener, service: Endpoint) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((mut child, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let _place = place;
            let address = (service.host.as_str(), service.port);
            let Ok(Ok(mut upstream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await else {
                tracing::debug!(%service, "the service is out of reach for a child");
                return;
            };
            let _ = timeout(LIFE_MAX, copy_bidirectional(&mut child, &mut upstream)).await;
        });
    }
}
