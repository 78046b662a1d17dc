//! The loop at the port, and what it does with what comes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand_core::Rng;
use thingward_agent::coap::wire::BODY_BYTES_MAX;
use thingward_agent::home::Identity;
use thingward_coap::edhoc::{Credential, DhKey};
use thingward_coap::endpoint::{Endpoint, Event, Limits, Packet, RequestId};
use thingward_crypto::system_rng;
use thingward_model::{DeviceName, TenantName};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Revoked;
use super::budget::Budget;
use super::down::Downward;
use super::handshake::Handshakes;
use super::job::{Done, Jobs, Then, busy};
use super::office::Office;
use super::peers::Peers;
use super::record::Book;
use crate::core::ChildCommand;
use crate::serial::{Surroundings, Visit};

/// Longest datagram that is taken, in bytes.
const DATAGRAM_BYTES_MAX: usize = 1500;
/// Most that waits to be told to members.
const ERRANDS_MAX: usize = 256;
/// How often it is looked who has gone silent.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const fn limits() -> Limits {
    Limits {
        exchanges_max: 0,
        asked_max: 1024,
        observers_max: 1024,
        transfers_max: 128,
        seen_max: 4096,
        per_peer_max: 8,
        datagram_bytes_max: DATAGRAM_BYTES_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        open_body_bytes_max: DATAGRAM_BYTES_MAX,
        block_exponent: 6,
    }
}

/// Something for a member that is no command.
pub(super) enum Errand {
    Visit(Visit),
    Evidence,
}

type Channel<T> = (mpsc::Sender<T>, mpsc::Receiver<T>);

/// See the module.
pub(super) struct Server {
    socket: UdpSocket,
    pub(super) endpoint: Endpoint<SocketAddr>,
    start: Instant,
    pub(super) budget: Budget,
    pub(super) handshakes: Handshakes,
    pub(super) peers: Peers,
    pub(super) book: Book,
    pub(super) office: Office,
    pub(super) around: Surroundings,
    pub(super) tenant: TenantName,
    pub(super) root: Vec<u8>,
    pub(super) jobs: Jobs,
    pub(super) down: HashMap<DeviceName, Downward>,
    pub(super) revoked: watch::Receiver<Revoked>,
    pub(super) commands: Channel<ChildCommand>,
    pub(super) errands: Channel<(DeviceName, Errand)>,
}

impl Server {
    pub(super) fn new(
        socket: UdpSocket,
        raw: DhKey,
        book: Book,
        identity: &Identity,
        around: Surroundings,
        revoked: watch::Receiver<Revoked>,
    ) -> Self {
        let random = || {
            let mut bytes = [0; 32];
            system_rng().fill_bytes(&mut bytes);
            bytes
        };
        let own = Credential::claims_set("gateway", &raw);
        Self {
            socket,
            endpoint: Endpoint::new(limits(), random()),
            start: Instant::now(),
            budget: Budget::new(random(), Instant::now().into_std()),
            office: Office::new(around.home.clone(), own.bytes.clone()),
            handshakes: Handshakes::new(raw, own),
            peers: Peers::default(),
            book,
            around,
            tenant: identity.membership.tenant,
            root: identity.root.clone(),
            jobs: Jobs::new(),
            down: HashMap::new(),
            revoked,
            commands: mpsc::channel(ERRANDS_MAX),
            errands: mpsc::channel(ERRANDS_MAX),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Serves until the task is dropped.
    pub(super) async fn run(mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.drop_revoked();
        loop {
            self.flush().await;
            let due = self.endpoint.poll_timeout().map(|due| self.start + due);
            tokio::select! {
                came = self.socket.recv_from(&mut buffer) => {
                    // An error is about an answer that nobody took.
                    let Ok((len, peer)) = came else { continue };
                    let now = self.now();
                    let datagram = buffer.get(..len).unwrap_or_default();
                    if let Err(error) = self.endpoint.receive(now, peer, datagram) {
                        tracing::debug!(%peer, %error, "a datagram is let go");
                    }
                    self.take_events();
                }
                done = self.jobs.next() => {
                    if let Some(done) = done {
                        self.done(done);
                    }
                }
                Some(command) = self.commands.1.recv() => {
                    let child = command.child;
                    self.down.entry(child).or_default().command(command);
                    self.tell(&child);
                }
                Some((child, errand)) = self.errands.1.recv() => self.errand(child, errand),
                Ok(()) = self.revoked.changed() => self.drop_revoked(),
                _ = look.tick() => {
                    for context in self.peers.silent(Instant::now()) {
                        self.drop_context(context);
                    }
                }
                () = until(due) => {
                    self.endpoint.handle_timeout(self.now());
                    self.take_events();
                }
            }
        }
    }

    async fn flush(&mut self) {
        while let Some((peer, datagram)) = self.endpoint.poll_transmit() {
            if let Err(error) = self.socket.send_to(&datagram, peer).await {
                tracing::debug!(%peer, %error, "a datagram does not go out");
            }
        }
    }

    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { id, peer, context: None, request, .. } => {
                    let answer = self.open(peer, &request);
                    self.respond(id, answer);
                }
                Event::Request { id, peer, context: Some(context), request, observe } => {
                    if let Err(answer) = self.under_context((id, context), peer, request, observe) {
                        self.respond(id, answer);
                    }
                }
                Event::ObserverLeft { observation } => {
                    for downward in self.down.values_mut() {
                        downward.observer = downward.observer.filter(|other| *other != observation);
                    }
                }
                // Nothing is asked from here.
                Event::Response { .. } | Event::Notification { .. } | Event::Failed { .. } => {}
            }
        }
    }

    pub(super) fn respond(&mut self, id: RequestId, answer: Packet) {
        let now = self.now();
        if let Err(error) = self.endpoint.respond(now, id, answer) {
            tracing::debug!(%error, "an answer does not go out");
        }
    }

    fn done(&mut self, done: Done) {
        let Done { id, context, response, then } = done;
        match then {
            Then::Nothing => self.respond(id, response),
            Then::Bound(record) => {
                let answer = if self.bind(context, *record) { response } else { busy() };
                self.respond(id, answer);
            }
            Then::Revoked => {
                self.respond(id, response);
                let member = self.peers.get_mut(context).and_then(|peer| peer.member.clone());
                if let Some(member) = member {
                    self.drop_member(&member.name());
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
