//! The loop at the port, and what it does with what comes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use thingward_coap::edhoc::Combined;
use thingward_coap::endpoint::{Endpoint, Event, Limits, Packet, RequestId};
use thingward_coap::wire::BODY_BYTES_MAX;
use thingward_crypto::system_rng;
use thingward_model::Principal;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::CoapSettings;
use super::book::Book;
use super::budget::Budget;
use super::handshake::Handshakes;
use super::job::{Done, Jobs, Then, refusal};
use super::office::Office;
use super::peers::Peers;
use super::presence::Presence;
use super::session::{News, Told};
use super::signing::Signing;
use super::standing::Seat;
use crate::Core;

/// Longest datagram that is taken, in bytes.
const DATAGRAM_BYTES_MAX: usize = 1500;
/// Most news of sessions that waits.
const NEWS_MAX: usize = 256;
/// How often it is looked who has gone silent.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const fn limits(members_max: usize) -> Limits {
    Limits {
        exchanges_max: 0,
        asked_max: 1024,
        observers_max: members_max,
        transfers_max: 128,
        // Four of each member, who sends one at a time: as long as it sends it again, it is known.
        seen_max: 4 * members_max,
        per_peer_max: 8,
        datagram_bytes_max: DATAGRAM_BYTES_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        open_body_bytes_max: DATAGRAM_BYTES_MAX,
        block_exponent: 6,
    }
}

/// See the module.
pub(super) struct Server<C, O> {
    socket: UdpSocket,
    pub(super) endpoint: Endpoint<SocketAddr>,
    start: Instant,
    pub(super) budget: Budget,
    pub(super) handshakes: Handshakes,
    pub(super) signing: Signing,
    pub(super) peers: Peers,
    pub(super) book: Book,
    pub(super) members_max: usize,
    pub(super) office: O,
    pub(super) core: C,
    pub(super) root: Arc<[u8]>,
    pub(super) trust_domain: Arc<str>,
    pub(super) jobs: Jobs,
    pub(super) seats: HashMap<Principal, Seat>,
    pub(super) news: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
    pub(super) presence: Option<Presence>,
    changed: Arc<Notify>,
}

impl<C: Core, O: Office> Server<C, O> {
    pub(super) fn new(socket: UdpSocket, settings: CoapSettings, core: C, office: O) -> Self {
        let CoapSettings {
            raw,
            credential,
            signs,
            root,
            trust_domain,
            members_max,
            known,
            changed,
            presence,
        } = settings;
        let random = || {
            let mut bytes = [0; 32];
            system_rng().fill_bytes(&mut bytes);
            bytes
        };
        Self {
            socket,
            endpoint: Endpoint::new(limits(members_max), random()),
            start: Instant::now(),
            budget: Budget::new(random(), Instant::now().into_std()),
            handshakes: Handshakes::new(raw, credential, signs),
            signing: Signing::new(),
            peers: Peers::default(),
            book: Book::new(members_max, known),
            members_max,
            office,
            core,
            root: root.into(),
            trust_domain: trust_domain.into(),
            jobs: Jobs::new(),
            seats: HashMap::new(),
            news: mpsc::channel(NEWS_MAX),
            presence,
            changed,
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) async fn run(mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let changed = Arc::clone(&self.changed);
        self.drop_former();
        loop {
            self.flush().await;
            let due = self.endpoint.poll_timeout().map(|due| self.start + due);
            tokio::select! {
                came = self.socket.recv_from(&mut buffer) => {
                    // An error is about an answer that nobody took.
                    let Ok((len, peer)) = came else { continue };
                    self.receive(peer, buffer.get(..len).unwrap_or_default());
                }
                done = self.jobs.next() => {
                    if let Some(done) = done {
                        self.done(done);
                    }
                }
                signed = self.signing.next() => {
                    if let Some(signed) = signed {
                        self.signed(signed);
                    }
                }
                Some(told) = self.news.1.recv() => self.told(told),
                () = changed.notified() => self.drop_former(),
                _ = look.tick() => self.look(),
                () = until(due) => {
                    self.endpoint.handle_timeout(self.now());
                    self.take_events();
                }
            }
        }
    }

    fn receive(&mut self, peer: SocketAddr, datagram: &[u8]) {
        let now = self.now();
        let received = match Combined::split(datagram) {
            Some(combined) => {
                self.finish_with(peer, &combined);
                self.endpoint.receive(now, peer, &combined.request)
            }
            None => self.endpoint.receive(now, peer, datagram),
        };
        if let Err(error) = received {
            tracing::debug!(%peer, %error, "a datagram is let go");
        }
        self.take_events();
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
                    if let Some(answer) = self.open(id, peer, &request) {
                        self.respond(id, answer);
                    }
                }
                Event::Request { id, peer, context: Some(context), request, observe } => {
                    if let Err(answer) = self.under_context((id, context), peer, request, observe) {
                        self.respond(id, answer);
                    }
                }
                Event::ObserverLeft { observation } => {
                    for seat in self.seats.values_mut() {
                        seat.down.observer = seat.down.observer.filter(|other| *other != observation);
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
            Then::Proved(proved) => {
                if let Err(refusal) = self.let_in((id, context), *proved) {
                    self.respond(id, refusal);
                }
            }
            Then::Bound(record) => {
                self.bind(context, *record);
                self.respond(id, response);
            }
            Then::NotLet => {
                let record = self.peers.get_mut(context).and_then(|peer| peer.member.clone());
                match record.filter(|record| !self.is_member(record)) {
                    Some(former) => {
                        self.respond(id, refusal(thingward_coap::message::Code::FORBIDDEN, "no member"));
                        self.drop_record(&former);
                    }
                    None => self.respond(id, response),
                }
            }
        }
    }

    fn told(&mut self, (who, conn, news): Told) {
        // Of a session before this one nothing counts any more.
        let Some(seat) = self.seats.get_mut(&who).filter(|seat| seat.conn == conn) else { return };
        match news {
            News::Arrived(arrived) => {
                seat.down.push(arrived);
                self.tell(&who);
            }
            News::Ended => self.drop_contexts(&who),
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
