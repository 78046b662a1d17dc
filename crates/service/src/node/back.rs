//! What the node that leads does for the connections of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use thingward_cluster::link::{Event, Host, Receiver, Sender};
use thingward_ingress::{Core as _, Member, Members, TurnOver, Waiting, next_conn, output};
use thingward_mqtt::broker::ConnId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::carried::{PIECES_MAX, Piece, carry, decode_peer, kind};
use crate::core::CoreHandle;
use crate::http::{Site, Stop, Web as _, drain};

/// What connections of other nodes are led to.
#[derive(Clone)]
pub(super) struct Back {
    pub(super) core: CoreHandle,
    pub(super) site: Site,
    /// Who is here, at whichever node.
    pub(super) members: Arc<Members>,
    /// Becomes true when no more is answered.
    pub(super) closing: Stop,
    pub(super) answers: Answers,
    /// Rings when who may connect is another than before.
    pub(super) changed: watch::Receiver<()>,
}

/// What is being answered over HTTP to who asks at other nodes.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<JoinSet<()>>>);

impl Answers {
    fn add(&self, answer: impl Future<Output = ()> + Send + 'static) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.try_join_next().is_some() {}
        all.spawn(answer);
    }

    /// Gives those that run a little time.
    pub(super) async fn end(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drain(all).await;
    }
}

/// Serves the other nodes, until the task is dropped.
pub(super) async fn serve(mut host: Host, back: Back) {
    let mut nodes = JoinSet::new();
    while let Some((sender, receiver)) = host.accept().await {
        while nodes.try_join_next().is_some() {}
        let (turns, over) = mpsc::unbounded_channel();
        let telling = tell(sender.clone(), over, back.changed.clone());
        let node = Node { back: back.clone(), sender, served: HashMap::new(), turns };
        nodes.spawn(async move {
            tokio::select! {
                () = node.run(receiver) => {}
                () = telling => {}
            }
        });
    }
}

/// Tells another node what it has to know. Apart from reading what it says: this waits while the other has enough to do, and that
/// the other has taken something is in what is read.
async fn tell(to: Sender, mut over: mpsc::UnboundedReceiver<TurnOver>, mut changed: watch::Receiver<()>) {
    loop {
        tokio::select! {
            Some((connection, work)) = over.recv() => {
                to.send(kind::TURN, connection, Bytes::copy_from_slice(&work.to_be_bytes())).await
            }
            Ok(()) = changed.changed() => to.send(kind::CHANGED, 0, Bytes::new()).await,
            else => return,
        };
    }
}

/// Another node.
struct Node {
    back: Back,
    /// For the tasks that send: whoever reads does not wait.
    sender: Sender,
    served: HashMap<u64, Served>,
    /// Where turns of its members go that are over: one for each connection at most.
    turns: mpsc::UnboundedSender<TurnOver>,
}

enum Served {
    /// Its number here, and where what it says goes: one piece at a time.
    Member(ConnId, mpsc::Sender<Bytes>),
    Web(mpsc::Sender<Piece>),
}

impl Node {
    async fn run(mut self, mut receiver: Receiver) {
        while let Some(events) = receiver.next().await {
            for event in events {
                self.event(event).await;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        let Event { kind, connection, bytes } = event;
        match kind {
            kind::MEMBER => self.member(connection, &bytes),
            kind::WEB => self.web(connection, &bytes),
            kind::DATA => {
                let is_taken = match self.served.get(&connection) {
                    Some(Served::Member(_, to)) => to.try_send(bytes).is_ok(),
                    Some(Served::Web(to)) => to.try_send(Piece::Data(bytes)).is_ok(),
                    None => return,
                };
                if !is_taken {
                    self.served.remove(&connection);
                }
            }
            kind::TURN => {
                if let Some(Served::Web(to)) = self.served.get(&connection) {
                    let _ = to.try_send(Piece::Turn);
                }
            }
            kind::END => drop(self.served.remove(&connection)),
            kind::STOPS => {
                let member = |served: &Served| match served {
                    Served::Member(conn, _) => Some(*conn),
                    Served::Web(_) => None,
                };
                self.back.core.end(self.served.values().filter_map(member).collect()).await;
            }
            kind::HEARD => {
                if let Some(Served::Member(conn, _)) = self.served.get(&connection) {
                    self.back.core.heard(*conn).await;
                }
            }
            _ => {}
        }
    }

    /// One that cannot be read, or is here too often, ends at once: it has no output.
    fn member(&mut self, connection: u64, who: &[u8]) {
        let (output, waiting) = output();
        tokio::spawn(send_all(waiting, connection, self.sender.clone()));
        let who = Member::decode(who).and_then(|who| Some((self.back.members.enter(who.principal)?, who)));
        let Some((presence, who)) = who else { return self.back.core.refused() };
        let (conn, (to, mut said)) = (next_conn(), mpsc::channel::<Bytes>(1));
        let (core, turns) = (self.back.core.clone(), self.turns.clone());
        tokio::spawn(async move {
            core.accept(conn, who, output).await;
            while let Some(bytes) = said.recv().await {
                let turn = (connection, turns.clone());
                presence.hand_over_from_there(bytes.into(), conn, turn, &core).await;
            }
            core.closed(conn).await;
        });
        self.served.insert(connection, Served::Member(conn, to));
    }

    /// One that cannot be read ends at once: nobody is at the other end.
    fn web(&mut self, connection: u64, peer: &[u8]) {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let peer = decode_peer(peer);
        if peer.is_some() {
            self.served.insert(connection, Served::Web(to));
        }
        let (site, closing) = (self.back.site.clone(), self.back.closing.clone());
        let sender = self.sender.clone();
        self.back.answers.add(async move {
            let serving = async move {
                if let Some(peer) = peer {
                    site.serve(there, peer, closing).await;
                }
            };
            tokio::join!(carry(here, connection, &sender, pieces), serving);
        });
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
