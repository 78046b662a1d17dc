//! CONNECT: §3.1, §4.1.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use thingward_model::Timestamp;

use crate::broker::connection::{AliasesOut, Online, Phase, Unsent};
use crate::broker::session::{Session, SessionId, SessionName};
use crate::broker::timers::Timer;
use crate::broker::wills::PendingWill;
use crate::broker::{Broker, ConnId, Gate, Scope};
use crate::codec::{
    ConnAck, ConnAckProperties, Connect, PACKET_BYTES_PROTOCOL_MAX, Packet, PayloadFormat, ReasonCode, Text,
    TextError, Version,
};

impl<G: Gate> Broker<G> {
    pub(super) fn connect(&mut self, now: Timestamp, conn: ConnId, connect: Connect) {
        let version = connect.version;
        if let Err(reason) = self.admit(now, conn, connect) {
            self.counters.connections_refused += 1;
            self.send(conn, version, &Packet::ConnAck(Box::new(ConnAck::new(false, reason))));
            self.drop_connection(now, conn);
        }
    }

    fn admit(&mut self, now: Timestamp, conn: ConnId, mut connect: Connect) -> Result<(), ReasonCode> {
        let Some(who) = self.connections.get(&conn).map(|c| c.who.clone()) else { return Ok(()) };
        check_will_payload(&connect)?;
        if connect.properties.authentication_method.is_some() {
            return Err(ReasonCode::BadAuthenticationMethod);
        }
        let assigned = connect.client_id.is_empty();
        if assigned {
            connect.client_id = self.assign_client_id(&connect)?;
        }
        if let Err(reason) = self.gate.connect(now, &who, &connect) {
            self.counters.connections_refused_gate += 1;
            return Err(reason);
        }
        let online = self.online(now, &connect);
        let ack = self.conn_ack(&connect, assigned);
        let packet = Packet::ConnAck(Box::new(ack.clone()));
        if packet.write(connect.version, online.packet_bytes_max, &mut BytesMut::new()).is_err() {
            // The client takes no CONNACK: nothing can be said to it [MQTT-3.1.2-24].
            self.counters.connections_refused += 1;
            self.drop_connection(now, conn);
            return Ok(());
        }
        let name = SessionName { scope: self.gate.scope(&who), client_id: connect.client_id.detached() };
        let old = self.take_over(now, &name, connect.clean_start);
        if old.is_none() && !self.make_room_for_session(now, &name.scope) {
            return Err(ReasonCode::QuotaExceeded);
        }
        let expiry_seconds = self.expiry_seconds(&connect);
        let id = old.unwrap_or_else(|| self.begin_session(name, who.clone(), expiry_seconds));
        self.enter(conn, id, who, Online { session: id, ..online }, connect, expiry_seconds);
        self.counters.connections_accepted += 1;
        let ack = ConnAck { session_present: old.is_some(), ..ack };
        if let Some(version) = self.version(conn) {
            self.send(conn, version, &Packet::ConnAck(Box::new(ack)));
        }
        self.resume(now, id);
        Ok(())
    }

    fn enter(
        &mut self,
        conn: ConnId,
        id: SessionId,
        who: G::Identity,
        online: Online,
        connect: Connect,
        expiry_seconds: u32,
    ) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.conn = Some(conn);
            session.offline_since = None;
            self.timers.cancel(session.timer.take());
            session.who = who.clone();
            session.expiry_seconds = expiry_seconds;
        }
        self.store_session(id);
        self.forget_will(id);
        if let Some(will) = connect.will {
            self.remember_will(id, PendingWill::new(who, will));
        }
        if let Some(connection) = self.connections.get_mut(&conn) {
            self.timers.cancel(connection.timer.take());
            if let Some(deadline) = online.deadline() {
                connection.timer = self.timers.add(deadline, Timer::Connection(conn));
            }
            connection.phase = Phase::Online(Box::new(online));
        }
    }

    /// Ends the connection that the session has, and the session itself where it cannot go on. What is returned
    /// goes on: [MQTT-3.1.4-3], [MQTT-3.1.2-4].
    fn take_over(&mut self, now: Timestamp, name: &SessionName, clean_start: bool) -> Option<SessionId> {
        let old = *self.names.get(name)?;
        if let Some(other) = self.sessions.get(&old).and_then(|s| s.conn) {
            self.counters.sessions_taken_over += 1;
            self.disconnect(now, other, ReasonCode::SessionTakenOver);
        }
        if clean_start {
            self.end_session(now, old);
        }
        self.sessions.contains_key(&old).then_some(old)
    }

    /// Whether one more session of the scope has room. A scope that is full gives up the session that is offline for
    /// longest and for which nothing waits, so that a client with a new identifier each time does not lock itself out.
    fn make_room_for_session(&mut self, now: Timestamp, scope: &Scope) -> bool {
        let first = SessionName { scope: scope.clone(), client_id: Text::default() };
        let of_scope = self.names.range(first..).take_while(|(name, _)| name.scope == *scope);
        let of_scope: Vec<SessionId> =
            of_scope.map(|(_, id)| *id).take(self.limits.sessions_per_scope_max).collect();
        if of_scope.len() >= self.limits.sessions_per_scope_max {
            let idle = of_scope.into_iter().filter_map(|id| {
                let session = self.sessions.get(&id)?;
                session.is_idle().then_some((session.offline_since, id))
            });
            let Some((_, oldest)) = idle.min() else { return false };
            self.end_session(now, oldest);
        }
        self.sessions.len() < self.limits.sessions_max
    }

    fn begin_session(&mut self, name: SessionName, who: G::Identity, expiry_seconds: u32) -> SessionId {
        self.next_session += 1;
        let id = self.next_session;
        self.names.insert(name.clone(), id);
        self.sessions.insert(id, Session::new(name, who, expiry_seconds));
        id
    }

    fn online(&self, now: Timestamp, connect: &Connect) -> Online {
        let p = &connect.properties;
        let window = p.receive_maximum.map_or(u16::MAX, NonZeroU16::get).min(self.limits.inflight_max);
        let aliases = p.topic_alias_maximum.unwrap_or(0).min(self.limits.topic_alias_out_max);
        let keep_alive = self.server_keep_alive(connect).unwrap_or(connect.keep_alive);
        Online {
            session: 0,
            version: connect.version,
            packet_bytes_max: p
                .maximum_packet_size
                .and_then(|max| usize::try_from(max.get()).ok())
                .unwrap_or(PACKET_BYTES_PROTOCOL_MAX),
            window: usize::from(window.max(1)),
            asked_for_expiry: p.session_expiry.unwrap_or(0) != 0,
            since: now,
            last_heard: now,
            patience: Online::patience(keep_alive),
            aliases_in: HashMap::new(),
            aliases_out: AliasesOut::new(aliases),
            unsent: Unsent::default(),
        }
    }

    fn server_keep_alive(&self, connect: &Connect) -> Option<u16> {
        let max = self.limits.keep_alive_seconds_max;
        let shorter = max != 0 && (connect.keep_alive == 0 || connect.keep_alive > max);
        (shorter && connect.version == Version::V5).then_some(max)
    }

    fn expiry_seconds(&self, connect: &Connect) -> u32 {
        let asked = match connect.version {
            Version::V5 => connect.properties.session_expiry.unwrap_or(0),
            Version::V3_1 | Version::V3_1_1 if connect.clean_start => 0,
            Version::V3_1 | Version::V3_1_1 => u32::MAX,
        };
        asked.min(self.limits.session_expiry_seconds_max)
    }

    fn conn_ack(&self, connect: &Connect, assigned: bool) -> ConnAck {
        let limits = &self.limits;
        let mut ack = ConnAck::new(false, ReasonCode::Success);
        if connect.version != Version::V5 {
            return ack;
        }
        let expiry = self.expiry_seconds(connect);
        let packet_max = u32::try_from(limits.packet_bytes_max).ok();
        ack.properties = ConnAckProperties {
            session_expiry: (connect.properties.session_expiry.unwrap_or(0) != expiry).then_some(expiry),
            receive_maximum: NonZeroU16::new(limits.receive_maximum).filter(|max| *max != NonZeroU16::MAX),
            maximum_packet_size: packet_max
                .filter(|_| limits.packet_bytes_max < PACKET_BYTES_PROTOCOL_MAX)
                .and_then(NonZeroU32::new),
            assigned_client_id: assigned.then(|| connect.client_id.clone()),
            topic_alias_maximum: Some(limits.topic_alias_max).filter(|max| *max != 0),
            server_keep_alive: self.server_keep_alive(connect),
            ..ConnAckProperties::default()
        };
        ack
    }

    /// §3.1.3.1. Unique in the broker, so also in the scope.
    fn assign_client_id(&mut self, connect: &Connect) -> Result<Text, ReasonCode> {
        let allowed = match connect.version {
            Version::V5 => true,
            Version::V3_1_1 => connect.clean_start,
            Version::V3_1 => false,
        };
        if !allowed {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        self.next_session += 1;
        let name = format!("auto-{:016x}", self.next_session);
        Text::try_from(name.as_str()).map_err(|TextError| ReasonCode::UnspecifiedError)
    }
}

/// A will that says it is text has to be text: §3.1.3.2.3.
fn check_will_payload(connect: &Connect) -> Result<(), ReasonCode> {
    let Some(will) = &connect.will else { return Ok(()) };
    let is_text = will.properties.payload_format == Some(PayloadFormat::Utf8);
    if is_text && std::str::from_utf8(will.payload.as_bytes()).is_err() {
        return Err(ReasonCode::PayloadFormatInvalid);
    }
    Ok(())
}
