//! A bare MQTT broker for conformance tests: plain TCP, loopback only, memory only, everyone may do everything.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thingward_mqtt::broker::{Broker, ConnId, Effect, Limits, OpenGate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::output;
use crate::serve::stop_requested;

/// Pieces that wait for a client which does not read; past it the client is closed.
const OUTPUT_PIECES_MAX: usize = 65_536;
/// Events that wait for the broker; past it readers wait.
const EVENTS_MAX: usize = 1_024;
/// How often time passes for the broker when nothing happens.
const TICK: Duration = Duration::from_millis(100);

enum Event {
    Opened(ConnId, mpsc::Sender<Bytes>),
    Bytes(ConnId, BytesMut),
    Closed(ConnId),
}

/// Runs until a signal.
///
/// # Errors
///
/// [`Failure`] when the port is not to be had.
pub(crate) async fn run(port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|e| Failure::Failed(format!("port {port}: {e}")))?;
    let address = listener.local_addr().map_err(Failure::of)?;
    output::line(&format!(
        "TESTBED, NOT A SERVICE: plain MQTT on {address}. No encryption, no authentication, nothing is kept.\n\
         For conformance tests on this machine only. Never send real data here."
    ));
    let (to, events) = mpsc::channel(EVENTS_MAX);
    tokio::select! {
        () = accept(listener, to) => Ok(()),
        () = serve(events) => Ok(()),
        stopped = stop_requested() => stopped,
    }
}

async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    let mut next: ConnId = 0;
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            next += 1;
            tokio::spawn(connection(next, stream, events.clone()));
        }
    }
}

async fn connection(conn: ConnId, stream: TcpStream, events: mpsc::Sender<Event>) {
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let (to, mut output) = mpsc::channel::<Bytes>(OUTPUT_PIECES_MAX);
    if events.send(Event::Opened(conn, to)).await.is_err() {
        return;
    }
    let write = async {
        while let Some(bytes) = output.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    };
    let read = async {
        loop {
            let mut bytes = BytesMut::with_capacity(16 * 1024);
            match reader.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if events.send(Event::Bytes(conn, bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    let _ = events.send(Event::Closed(conn)).await;
}

struct Client {
    output: mpsc::Sender<Bytes>,
    input: BytesMut,
}

async fn serve(mut events: mpsc::Receiver<Event>) {
    let now = thingward_model::clock::now;
    let mut broker = Broker::new(OpenGate, Limits::conformance());
    let mut clients: HashMap<ConnId, Client> = HashMap::new();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = tokio::time::sleep(TICK) => None,
        };
        match event {
            None => {}
            Some(Event::Opened(conn, output)) => {
                clients.insert(conn, Client { output, input: BytesMut::new() });
                broker.accept(now(), conn, ());
            }
            Some(Event::Bytes(conn, bytes)) => {
                if let Some(client) = clients.get_mut(&conn) {
                    client.input.unsplit(bytes);
                    broker.receive_bytes(now(), conn, &mut client.input);
                }
            }
            Some(Event::Closed(conn)) if clients.remove(&conn).is_some() => broker.closed(now(), conn),
            Some(Event::Closed(_)) => {}
        }
        broker.tick(now());
        for effect in broker.drain().effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    let full = clients.get(&conn).is_some_and(|c| c.output.try_send(bytes).is_err());
                    if full && clients.remove(&conn).is_some() {
                        broker.closed(now(), conn);
                    }
                }
                Effect::Close { conn } => drop(clients.remove(&conn)),
            }
        }
    }
}
