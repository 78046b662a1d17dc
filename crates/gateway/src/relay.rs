//! Bytes between a local port and the service's HTTPS port, so that children that reach only the gateway enrol
//! and renew. TLS passes through untouched: the gateway sees ciphertext.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thingward_agent::http::Endpoint;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const CONNECTIONS_MAX: usize = 64;
/// Most connections of one address, so that one neighbour does not take all places. Nobody has shown who they are here.
const CONNECTIONS_OF_ADDRESS_MAX: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An enrolment takes a second; nothing here needs longer.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// Relays until the task is dropped.
pub(crate) async fn run(listener: TcpListener, service: Endpoint) {
    let (places, neighbours) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Neighbours::default());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((child, address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(seat) = neighbours.seat(address.ip()) else {
            tracing::debug!(%address, "too many connections of one address");
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let _until_the_end = (place, seat);
            relay(child, &service).await;
        });
    }
}

async fn relay(mut child: TcpStream, service: &Endpoint) {
    let address = (service.host.as_str(), service.port);
    let Ok(Ok(mut upstream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await else {
        tracing::debug!(%service, "the service is out of reach for a child");
        return;
    };
    let _ = timeout(LIFE_MAX, copy_bidirectional(&mut child, &mut upstream)).await;
}

/// How many connections each address has.
#[derive(Default, Clone)]
struct Neighbours(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, until it is dropped.
struct Seat {
    neighbours: Neighbours,
    address: IpAddr,
}

impl Neighbours {
    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Seat { neighbours: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.neighbours.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;

    /// A connection from `address` through the relay, and what answers on it.
    async fn answer(relay: std::net::SocketAddr, address: &str) -> (TcpStream, Vec<u8>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(relay).await.unwrap();
        let mut answer = vec![0; 2];
        let read = stream.read(&mut answer).await.unwrap_or_default();
        answer.truncate(read);
        (stream, answer)
    }

    #[tokio::test]
    async fn one_address_does_not_take_all_places_of_the_relay() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Endpoint { host: "127.0.0.1".to_owned(), port: service.local_addr().unwrap().port() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = listener.local_addr().unwrap();
        tokio::spawn(run(listener, to));
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = service.accept().await {
                stream.write_all(b"hi").await.unwrap();
                open.push(stream);
            }
        });
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS_OF_ADDRESS_MAX {
            let (stream, said) = answer(relay, "127.0.0.1").await;
            assert_eq!(said, b"hi");
            open.push(stream);
        }
        assert_eq!(answer(relay, "127.0.0.1").await.1, b"");
        assert_eq!(answer(relay, "127.0.0.2").await.1, b"hi");
    }
}
