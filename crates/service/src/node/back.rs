//! What the node that leads does for the connections of the others.

use std::collections::HashMap;

use bytes::Bytes;
use thingward_cluster::link::{Event, Host, Receiver, Sender};
use thingward_ingress::{Core as _, Member, Received, Waiting, next_conn, output};
use thingward_mqtt::broker::ConnId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::carried::{PIECES_MAX, Piece, carry, decode_peer, kind};
use crate::core::CoreHandle;
use crate::http::{Site, Stop, Web as _};

/// What connections of other nodes are led to.
#[derive(Clone)]
pub(super) struct Back {
    pub(super) core: CoreHandle,
    pub(super) site: Site,
    pub(super) stop: Stop,
    /// Rings when who may connect is another than before.
    pub(super) changed: watch::Receiver<()>,
}

/// Serves the other nodes, until the task is dropped.
pub(super) async fn serve(mut host: Host, back: Back) {
    let mut nodes = JoinSet::new();
    while let Some((sender, receiver)) = host.accept().await {
        while nodes.try_join_next().is_some() {}
        let (turns, given) = mpsc::unbounded_channel();
        let node = Node { back: back.clone(), sender, served: HashMap::new(), turns };
        nodes.spawn(node.run(receiver, given));
    }
}

/// Another node.
struct Node {
    back: Back,
    sender: Sender,
    served: HashMap<u64, Served>,
    /// Where turns of its members go that are over: one for each connection at most.
    turns: mpsc::UnboundedSender<(u64, u64)>,
}

enum Served {
    Member(ConnId),
    Web(mpsc::Sender<Piece>),
}

impl Node {
    async fn run(mut self, mut receiver: Receiver, mut given: mpsc::UnboundedReceiver<(u64, u64)>) {
        loop {
            let events = tokio::select! {
                events = receiver.next() => events,
                Some((connection, work)) = given.recv() => {
                    let work = Bytes::copy_from_slice(&work.to_be_bytes());
                    self.sender.send(kind::TURN, connection, work).await;
                    continue;
                }
                Ok(()) = self.back.changed.changed() => {
                    self.sender.send(kind::CHANGED, 0, Bytes::new()).await;
                    continue;
                }
            };
            let Some(events) = events else { break };
            for event in events {
                self.event(event).await;
            }
        }
        for served in self.served.into_values() {
            if let Served::Member(conn) = served {
                self.back.core.closed(conn).await;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        let Event { kind, connection, bytes } = event;
        match kind {
            kind::MEMBER => {
                let Some(who) = Member::decode(&bytes) else { return };
                let (conn, (output, waiting)) = (next_conn(), output());
                self.back.core.accept(conn, who, output).await;
                tokio::spawn(send_all(waiting, connection, self.sender.clone()));
                self.served.insert(connection, Served::Member(conn));
            }
            kind::WEB => {
                let Some(peer) = decode_peer(&bytes) else { return };
                let (here, there) = tokio::io::duplex(64 * 1024);
                let (to, pieces) = mpsc::channel(PIECES_MAX);
                let (sender, back) = (self.sender.clone(), self.back.clone());
                tokio::spawn(async move { back.site.serve(there, peer, back.stop).await });
                tokio::spawn(async move { carry(here, connection, &sender, pieces).await });
                self.served.insert(connection, Served::Web(to));
            }
            kind::DATA => match self.served.get(&connection) {
                Some(Served::Member(conn)) => {
                    let received = Received::from_there(bytes.into(), connection, self.turns.clone());
                    self.back.core.received(*conn, received).await;
                }
                Some(Served::Web(to)) => drop(to.try_send(Piece::Data(bytes))),
                None => {}
            },
            kind::TURN => {
                if let Some(Served::Web(to)) = self.served.get(&connection) {
                    let _ = to.try_send(Piece::Turn);
                }
            }
            kind::END => {
                if let Some(Served::Member(conn)) = self.served.remove(&connection) {
                    self.back.core.closed(conn).await;
                }
            }
            kind::HEARD => {
                if let Some(Served::Member(conn)) = self.served.get(&connection) {
                    self.back.core.heard(*conn).await;
                }
            }
            _ => {}
        }
    }
}

/// Sends what the core has for a member to the node that it is connected to.
async fn send_all(mut waiting: Waiting, connection: u64, to: Sender) {
    while let Some(bytes) = waiting.next().await {
        if !to.send(kind::DATA, connection, bytes).await {
            return;
        }
    }
    to.send(kind::END, connection, Bytes::new()).await;
}
