//! What every node's listeners are in front of: the core here, or the one on the node that leads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thingward_cluster::link::{Event, Receiver, Sender};
use thingward_ingress::{Core, Member, Output, Received, next_conn};
use thingward_mqtt::broker::ConnId;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};

use super::carried::{PIECES_MAX, Piece, carry, encode_peer, kind};
use crate::core::CoreHandle;
use crate::http::{Peer, Site, Stop, Stream, Web, stopped};

/// How long a connection waits for somebody to lead.
const LEADER_WAIT: Duration = Duration::from_secs(10);
/// How long the leader has to tell members of a node that stops.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// What is said when nobody does.
const NOBODY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
                        content-type: text/plain\r\ncontent-length: 43\r\n\r\nno node leads at the moment; ask once more\n";

/// Where decisions are made.
#[derive(Clone)]
pub(super) enum Place {
    /// Nobody leads.
    Nobody,
    /// This node leads.
    Here(CoreHandle, Site),
    /// Another node leads.
    There(Arc<Line>),
}

/// In front of whoever leads.
#[derive(Clone)]
pub(super) struct Front(Arc<watch::Sender<Place>>);

impl Front {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Place::Nobody)))
    }

    /// From now on they are made there. What was carried elsewhere ends.
    pub(super) fn set(&self, place: Place) {
        self.0.send_replace(place);
    }

    fn place(&self) -> Place {
        self.0.borrow().clone()
    }

    /// Waits a little while nobody leads.
    async fn settled(&self) -> Place {
        let mut place = self.0.subscribe();
        let somebody = place.wait_for(|place| !matches!(place, Place::Nobody));
        match tokio::time::timeout(LEADER_WAIT, somebody).await {
            Ok(Ok(place)) => place.clone(),
            _ => Place::Nobody,
        }
    }
}

impl Core for Front {
    async fn accept(&self, conn: ConnId, who: Member, output: Output) {
        match self.settled().await {
            Place::Here(core, _) => core.accept(conn, who, output).await,
            Place::There(line) => line.accept(conn, &who, output).await,
            // Without its output the connection ends, and its client tries again.
            Place::Nobody => {}
        }
    }

    async fn received(&self, conn: ConnId, received: Received) {
        match self.place() {
            Place::Here(core, _) => core.received(conn, received).await,
            Place::There(line) => line.received(conn, received).await,
            Place::Nobody => {}
        }
    }

    async fn heard(&self, conn: ConnId) {
        match self.place() {
            Place::Here(core, _) => core.heard(conn).await,
            Place::There(line) => line.heard(conn).await,
            Place::Nobody => {}
        }
    }

    async fn closed(&self, conn: ConnId) {
        match self.place() {
            Place::Here(core, _) => core.closed(conn).await,
            Place::There(line) => line.closed(conn).await,
            Place::Nobody => {}
        }
    }

    fn refused(&self) {
        if let Place::Here(core, _) = self.place() {
            core.refused();
        }
    }
}

impl Web for Front {
    async fn serve(&self, mut stream: impl Stream, peer: Peer, stop: Stop) {
        match self.settled().await {
            Place::Here(_, site) => site.serve(stream, peer, stop).await,
            Place::There(line) => line.web(stream, &peer, stop).await,
            Place::Nobody => {
                let _ = stream.write_all(NOBODY).await;
                let _ = stream.shutdown().await;
            }
        }
    }
}

/// This node's connections at the node that leads.
pub(super) struct Line {
    leader: Sender,
    /// Nothing when the line has ended.
    carried: Mutex<Option<HashMap<ConnId, Carried>>>,
}

enum Carried {
    /// What it is sent, and what it has to be told before it may go on.
    Member(Output, Option<Received>),
    Web(mpsc::Sender<Piece>),
}

impl Line {
    pub(super) fn new(leader: Sender) -> Arc<Self> {
        Arc::new(Self { leader, carried: Mutex::new(Some(HashMap::new())) })
    }

    /// Until the line ends. `changed` is called when who may connect is another than before.
    pub(super) async fn run(&self, from_leader: &mut Receiver, changed: impl Fn()) {
        while let Some(events) = from_leader.next().await {
            if !self.take(events, &changed) {
                break;
            }
        }
    }

    /// Has the leader tell members that this node stops, and waits a little until all of them were told.
    pub(super) async fn leave(&self, from_leader: &mut Receiver) {
        let told = async {
            self.leader.send(kind::STOPS, 0, Bytes::new()).await;
            while self.has_members() {
                let Some(events) = from_leader.next().await else { break };
                self.take(events, &|| {});
            }
        };
        let _ = tokio::time::timeout(LEAVE_MAX, told).await;
    }

    /// `false` when the line has ended.
    fn take(&self, events: Vec<Event>, changed: &impl Fn()) -> bool {
        let mut all = self.carried();
        let Some(carried) = all.as_mut() else { return false };
        for event in events {
            match event.kind {
                kind::DATA if !given(carried, event.connection, event.bytes.clone()) => {
                    carried.remove(&event.connection);
                }
                kind::TURN => turn(carried, event.connection, &event.bytes),
                kind::END => drop(carried.remove(&event.connection)),
                kind::CHANGED => changed(),
                _ => {}
            }
        }
        true
    }

    fn has_members(&self) -> bool {
        let all = self.carried();
        all.as_ref().is_some_and(|all| all.values().any(|carried| matches!(carried, Carried::Member(..))))
    }

    /// Ends all that it carries.
    pub(super) fn end(&self) {
        *self.carried() = None;
    }

    fn carried(&self) -> MutexGuard<'_, Option<HashMap<ConnId, Carried>>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false` when the line has ended.
    fn carry(&self, conn: ConnId, what: Carried) -> bool {
        self.carried().as_mut().map(|carried| carried.insert(conn, what)).is_some()
    }

    async fn accept(&self, conn: ConnId, who: &Member, output: Output) {
        if self.carry(conn, Carried::Member(output, None)) {
            self.leader.send(kind::MEMBER, conn, who.encode()).await;
        }
    }

    async fn received(&self, conn: ConnId, mut received: Received) {
        let bytes = std::mem::take(&mut received.bytes).freeze();
        if let Some(Carried::Member(_, turn)) =
            self.carried().as_mut().and_then(|carried| carried.get_mut(&conn))
        {
            *turn = Some(received);
        } else {
            return;
        }
        self.leader.send(kind::DATA, conn, bytes).await;
    }

    async fn heard(&self, conn: ConnId) {
        self.leader.send(kind::HEARD, conn, Bytes::new()).await;
    }

    async fn closed(&self, conn: ConnId) {
        drop(self.carried().as_mut().and_then(|carried| carried.remove(&conn)));
        self.leader.send(kind::END, conn, Bytes::new()).await;
    }

    async fn web(&self, stream: impl Stream, peer: &Peer, mut stop: Stop) {
        let (conn, (to, pieces)) = (next_conn(), mpsc::channel(PIECES_MAX));
        if !self.carry(conn, Carried::Web(to)) {
            return;
        }
        self.leader.send(kind::WEB, conn, encode_peer(peer)).await;
        tokio::select! {
            () = carry(stream, conn, &self.leader, pieces) => {}
            () = stopped(&mut stop) => {}
        }
        drop(self.carried().as_mut().and_then(|carried| carried.remove(&conn)));
    }
}

/// Hands bytes to a connection; `false` when it takes them too slowly.
fn given(carried: &HashMap<ConnId, Carried>, conn: ConnId, bytes: Bytes) -> bool {
    match carried.get(&conn) {
        Some(Carried::Member(output, _)) => output.send(&bytes).is_ok(),
        Some(Carried::Web(to)) => to.try_send(Piece::Data(bytes)).is_ok(),
        None => true,
    }
}

fn turn(carried: &mut HashMap<ConnId, Carried>, conn: ConnId, work: &[u8]) {
    match carried.get_mut(&conn) {
        Some(Carried::Member(_, turn)) => {
            if let Some(received) = turn.take() {
                received.had(work.try_into().map_or(0, u64::from_be_bytes));
            }
        }
        Some(Carried::Web(to)) => drop(to.try_send(Piece::Turn)),
        None => {}
    }
}
