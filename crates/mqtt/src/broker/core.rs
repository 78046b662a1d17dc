//! The broker's state and its way in and out.

use std::collections::BTreeMap;

use ahash::HashMap;
use bytes::BytesMut;
use thingward_model::Timestamp;

use crate::broker::connection::{Connection, Phase};
use crate::broker::message::MICROS;
use crate::broker::output::Outbox;
use crate::broker::retained::RetainedMessages;
use crate::broker::route::Target;
use crate::broker::session::{Session, SessionId, SessionName, Subscription};
use crate::broker::timers::{Timer, Timers};
use crate::broker::wills::PendingWill;
use crate::broker::{ConnId, Counters, Gate, Limits, Message, Output, QueueFull, Routed};
use crate::codec::{
    ConnAck, ConnectPart, DecodeError, Packet, ReasonCode, Receiver, Version, decode, packet_type,
};
use crate::topic::trie::SubscriptionIndex;

/// The server core. See the [module](super).
#[derive(Debug)]
pub struct Broker<G: Gate> {
    pub(super) gate: G,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) work: u64,
    pub(super) out: Outbox,
    pub(super) connections: HashMap<ConnId, Connection<G::Identity>>,
    pub(super) sessions: HashMap<SessionId, Session<G::Identity>>,
    /// In the order of the scopes, so that the sessions of one are found together.
    pub(super) names: BTreeMap<SessionName, SessionId>,
    pub(super) index: SubscriptionIndex<Subscription>,
    pub(super) retained: RetainedMessages,
    pub(super) wills: HashMap<SessionId, PendingWill<G::Identity>>,
    pub(super) timers: Timers,
    pub(super) next_session: SessionId,
    pub(super) next_message: u64,
    /// Kept between publications to save its memory.
    pub(super) targets: Vec<Target>,
}

impl<G: Gate> Broker<G> {
    /// A broker that knows nobody.
    #[must_use]
    pub fn new(gate: G, limits: Limits) -> Self {
        Self {
            gate,
            limits,
            counters: Counters::default(),
            work: 0,
            out: Outbox::default(),
            connections: HashMap::default(),
            sessions: HashMap::default(),
            names: BTreeMap::new(),
            index: SubscriptionIndex::new(),
            retained: RetainedMessages::default(),
            wills: HashMap::default(),
            timers: Timers::default(),
            next_session: 0,
            next_message: 0,
            targets: Vec::new(),
        }
    }

    /// The gate.
    pub const fn gate(&self) -> &G {
        &self.gate
    }

    /// The gate, to change what it allows. Changes bear on what comes after.
    pub const fn gate_mut(&mut self) -> &mut G {
        &mut self.gate
    }

    /// What was done, refused and dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What clients made the broker do since it was made, in messages: each packet is one, each filter of a packet another, and so
    /// is each retained message that a subscription asks for.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// Sessions, connected and stored.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// A client has connected and proved to be `who`.
    pub fn accept(&mut self, now: Timestamp, conn: ConnId, who: G::Identity) {
        let until = now.plus_micros(i64::from(self.limits.handshake_seconds_max) * MICROS);
        let timer = self.timers.add(until, Timer::Connection(conn));
        self.connections.insert(conn, Connection { who, phase: Phase::Handshake { until }, timer });
    }

    /// A connection brought bytes. Incomplete packets stay in `buf`. Bytes of connections that the broker has closed
    /// are thrown away.
    pub fn receive_bytes(&mut self, now: Timestamp, conn: ConnId, buf: &mut BytesMut) {
        while let Some(connection) = self.connections.get(&conn) {
            let version = match &connection.phase {
                Phase::Online(online) => online.version,
                // The first packet has to be CONNECT [MQTT-3.1.0-1].
                Phase::Handshake { .. } if packet_type(buf).is_some_and(|kind| kind != 1) => {
                    self.counters.handshakes_failed += 1;
                    self.drop_connection(now, conn);
                    break;
                }
                Phase::Handshake { .. } => Version::V5,
            };
            match decode(Receiver::Server, version, buf, self.limits.packet_bytes_max) {
                Ok(Some(packet)) => self.receive(now, conn, packet),
                Ok(None) => return,
                Err(error) => {
                    self.undecodable(now, conn, &error);
                    break;
                }
            }
        }
        buf.clear();
    }

    /// A connection brought bytes that are handed over later: its keep alive counts from here.
    pub fn heard(&mut self, now: Timestamp, conn: ConnId) {
        if let Some(online) = self.online_mut(conn) {
            online.last_heard = now;
        }
    }

    /// A connection brought a packet.
    pub fn receive(&mut self, now: Timestamp, conn: ConnId, packet: Packet) {
        self.work += 1;
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        match (&mut connection.phase, packet) {
            (Phase::Handshake { .. }, Packet::Connect(connect)) => self.connect(now, conn, *connect),
            (Phase::Handshake { .. }, _) => {
                self.counters.handshakes_failed += 1;
                self.drop_connection(now, conn);
            }
            (Phase::Online(online), packet) => {
                online.last_heard = now;
                self.online_packet(now, conn, packet);
            }
        }
    }

    /// The transport of a connection is gone.
    pub fn closed(&mut self, now: Timestamp, conn: ConnId) {
        self.lose_connection(now, conn, false);
    }

    /// Publishes a message of the service itself, in the names that the broker uses inside.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]: nobody got it.
    pub fn publish(&mut self, now: Timestamp, message: Message) -> Result<(), QueueFull> {
        self.counters.messages_received += 1;
        self.route(now, None, Routed::ToAll(message)).map(drop)
    }

    /// Tells those who listen something that is kept elsewhere. Unlike [`Self::publish`], a session whose queue is
    /// full does without, which is counted: what one reader does not fetch must not hold up the others.
    pub fn announce(&mut self, now: Timestamp, message: Message) {
        self.counters.messages_received += 1;
        self.route_to_those_with_room(now, None, message);
    }

    /// Whether anybody subscribes to the topic of these levels, of which the first does not begin with `$`.
    #[must_use]
    pub fn is_heard(&self, levels: &[&str]) -> bool {
        self.index.has_any(levels)
    }

    /// When [`Self::tick`] has to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connection(conn) => self.connection_due(now, conn),
                Timer::SessionExpiry(session) => self.session_due(now, session),
                Timer::Will(session) => self.will_due(now, session),
                Timer::Retained(topic) => self.retained_due(now, &topic),
            }
        }
    }

    /// Takes what has to be stored and then done. See the [module](super) for the order that is owed.
    pub fn drain(&mut self) -> Output {
        self.out.drain()
    }

    fn connection_due(&mut self, now: Timestamp, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.timer = None;
        match &connection.phase {
            Phase::Handshake { until } if now >= *until => {
                self.counters.handshakes_failed += 1;
                self.drop_connection(now, conn);
            }
            Phase::Handshake { .. } => {}
            Phase::Online(online) => match online.deadline() {
                Some(deadline) if now >= deadline => {
                    self.counters.keep_alive_timeouts += 1;
                    self.disconnect(now, conn, ReasonCode::KeepAliveTimeout);
                }
                Some(deadline) => connection.timer = self.timers.add(deadline, Timer::Connection(conn)),
                None => {}
            },
        }
    }

    fn undecodable(&mut self, now: Timestamp, conn: ConnId, error: &DecodeError) {
        self.counters.packets_malformed += 1;
        let online = self.connections.get(&conn).is_some_and(|c| matches!(c.phase, Phase::Online(_)));
        if online {
            return self.disconnect(now, conn, error.reason());
        }
        // Before the CONNACK the answer is optional: §4.13.1. It goes to peers whose packet is understood as an
        // MQTT 5.0 CONNECT up to its properties, or as one of a version that there is not.
        let answer = match error {
            DecodeError::ProtocolVersion(_) => true,
            DecodeError::Connect { version, part, .. } => {
                *version == Version::V5 && *part == ConnectPart::Header
            }
            _ => false,
        };
        if answer {
            self.send(conn, Version::V5, &Packet::ConnAck(Box::new(ConnAck::new(false, error.reason()))));
        }
        self.drop_connection(now, conn);
    }
}
