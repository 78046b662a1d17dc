//! The ends of connections and sessions.

use thingward_model::Timestamp;

use crate::broker::connection::Phase;
use crate::broker::record;
use crate::broker::session::SessionId;
use crate::broker::timers::Timer;
use crate::broker::{Broker, ConnId, Gate};
use crate::codec::{Disconnect, PACKET_BYTES_PROTOCOL_MAX, Packet, ReasonCode, Version};

impl<G: Gate> Broker<G> {
    /// Who is connected, and since when.
    pub fn present(&self) -> impl Iterator<Item = (&G::Identity, Timestamp)> {
        self.connections.values().filter_map(|c| match &c.phase {
            Phase::Online(online) => Some((&c.who, online.since)),
            Phase::Handshake { .. } => None,
        })
    }

    /// Ends the connections of everybody that `chosen` names, at once and with `reason`; with `drop_sessions` their
    /// stored sessions too. Returns how many connections were cut.
    pub fn cut(
        &mut self,
        now: Timestamp,
        chosen: impl Fn(&G::Identity) -> bool,
        reason: ReasonCode,
        drop_sessions: bool,
    ) -> usize {
        let mut cut: Vec<_> =
            self.connections.iter().filter(|(_, c)| chosen(&c.who)).map(|(id, _)| *id).collect();
        cut.sort_unstable();
        for conn in &cut {
            self.counters.connections_cut += 1;
            self.disconnect(now, *conn, reason);
        }
        if drop_sessions {
            let mut ended: Vec<_> =
                self.sessions.iter().filter(|(_, s)| chosen(&s.who)).map(|(id, _)| *id).collect();
            ended.sort_unstable();
            for session in ended {
                self.end_session(now, session);
            }
        }
        cut.len()
    }

    /// Tells everybody that the server ends, and closes all connections. What is durable is as if the process had been killed: the
    /// lives of sessions and the delays of wills begin when the broker is [restored](Self::restore), as §3.1.2.5 allows, so that
    /// nobody misses anything while there is no server. The owner takes no more events behind it.
    pub fn shut_down(&mut self) {
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for conn in all {
            self.say_why(conn, ReasonCode::ServerShuttingDown);
            self.out.close(conn);
        }
        // What is still routed waits in the queues of sessions.
        self.sessions.values_mut().for_each(|session| session.conn = None);
        self.connections.clear();
    }

    /// Writes a packet that is not a message. One that the client cannot take is left out [MQTT-3.1.2-24].
    pub(super) fn send(&mut self, conn: ConnId, version: Version, packet: &Packet) {
        let limit = match self.connections.get(&conn).map(|c| &c.phase) {
            Some(Phase::Online(online)) => online.packet_bytes_max,
            _ => PACKET_BYTES_PROTOCOL_MAX,
        };
        if packet.write(version, limit, self.out.packets(conn)).is_err() {
            self.counters.deliveries_too_large += 1;
        }
    }

    /// Tells an MQTT 5.0 client why and closes the connection.
    pub fn disconnect(&mut self, now: Timestamp, conn: ConnId, reason: ReasonCode) {
        self.say_why(conn, reason);
        self.drop_connection(now, conn);
    }

    /// Before MQTT 5.0 a server had no words for it.
    fn say_why(&mut self, conn: ConnId, reason: ReasonCode) {
        let phase = self.connections.get(&conn).map(|c| &c.phase);
        if matches!(phase, Some(Phase::Online(online)) if online.version == Version::V5) {
            self.send(conn, Version::V5, &Packet::Disconnect(Disconnect::new(reason)));
        }
    }

    /// A packet that is not allowed now.
    pub(super) fn violation(&mut self, now: Timestamp, conn: ConnId, reason: ReasonCode) {
        self.counters.protocol_errors += 1;
        self.disconnect(now, conn, reason);
    }

    /// Closes the connection from this side, without the client having said goodbye.
    pub(super) fn drop_connection(&mut self, now: Timestamp, conn: ConnId) {
        if self.connections.contains_key(&conn) {
            self.out.close(conn);
            self.lose_connection(now, conn, false);
        }
    }

    /// The connection is over. `without_will`: the client said goodbye and wants no will.
    pub(super) fn lose_connection(&mut self, now: Timestamp, conn: ConnId, without_will: bool) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        self.timers.cancel(connection.timer);
        let Phase::Online(online) = connection.phase else { return };
        let id = online.session;
        if without_will {
            self.forget_will(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.conn = None;
        session.offline_since = Some(now);
        let expiry = session.expiry_seconds;
        let due = session.expires_at();
        if expiry == 0 {
            return self.end_session(now, id);
        }
        if let Some(due) = due {
            session.timer = self.timers.add(due, Timer::SessionExpiry(id));
        }
        self.store_session(id);
        self.start_will_delay(now, id, expiry);
    }

    pub(super) fn session_due(&mut self, now: Timestamp, id: SessionId) {
        let due = self.sessions.get(&id).and_then(|session| session.expires_at());
        if due.is_some_and(|due| now >= due) {
            self.counters.sessions_expired += 1;
            self.end_session(now, id);
        }
    }

    /// Forgets everything about a session that has no connection. Its will is published now: §3.1.2.5.
    pub(super) fn end_session(&mut self, now: Timestamp, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.timers.cancel(session.timer);
        self.names.remove(&session.name);
        for subscription in session.subscriptions.values() {
            self.index.remove(&subscription.inner, id);
        }
        let lost = session.queue.len() + session.inflight.iter().filter(|out| !out.released).count();
        self.counters.messages_ended_with_session += u64::try_from(lost).unwrap_or(u64::MAX);
        if session.durable {
            for entry in session.inflight.iter().map(|out| &out.entry).chain(&session.queue) {
                self.out.delete(record::entry_key(id, entry.sequence));
                if entry.stored.let_go() {
                    self.out.delete(record::message_key(entry.stored.number));
                }
            }
            for packet in &session.received {
                self.out.delete(record::received_key(id, *packet));
            }
            for filter in session.subscriptions.keys() {
                self.out.delete(record::subscription_key(id, filter));
            }
            self.out.delete(record::session_key(id));
        }
        self.publish_will(now, id);
    }

    /// Writes the session's own entry, when it is durable.
    pub(super) fn store_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id).filter(|s| s.durable) else { return };
        let identity = self.gate.encode_identity(&session.who);
        self.out.put(record::session_key(id), record::session(session, &identity));
    }
}
