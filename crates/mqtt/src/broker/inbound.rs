//! Packets of connected clients.

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::broker::connection::{Online, Phase};
use crate::broker::record;
use crate::broker::session::SessionId;
use crate::broker::{Broker, ConnId, Gate, Incoming, Message};
use crate::codec::{
    Ack, AckKind, Delivery, Disconnect, Packet, PacketId, PayloadFormat, Publish, PublishTopic, QoS,
    ReasonCode, Version,
};
use crate::topic::TopicName;

impl<G: Gate> Broker<G> {
    pub(super) fn online_packet(&mut self, now: Timestamp, conn: ConnId, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.publish_packet(now, conn, publish),
            Packet::Ack(AckKind::PubRel, ack) => self.released(conn, ack.id),
            Packet::Ack(kind, ack) => self.acked(now, conn, kind, &ack),
            Packet::Subscribe(subscribe) => self.subscribe(now, conn, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(conn, &unsubscribe),
            Packet::PingReq => {
                if let Some(version) = self.version(conn) {
                    self.send(conn, version, &Packet::PingResp);
                }
            }
            Packet::Disconnect(packet) => self.goodbye(now, conn, &packet),
            // A second CONNECT [MQTT-3.1.0-2], AUTH without a method [MQTT-4.12.0-6], what only a server sends.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::FilterAck(..)
            | Packet::PingResp
            | Packet::Auth(_) => self.violation(now, conn, ReasonCode::ProtocolError),
        }
    }

    pub(super) fn online_mut(&mut self, conn: ConnId) -> Option<&mut Online> {
        match &mut self.connections.get_mut(&conn)?.phase {
            Phase::Online(online) => Some(online),
            Phase::Handshake { .. } => None,
        }
    }

    pub(super) fn version(&mut self, conn: ConnId) -> Option<Version> {
        self.online_mut(conn).map(|online| online.version)
    }

    pub(super) fn session_of(&mut self, conn: ConnId) -> Option<SessionId> {
        self.online_mut(conn).map(|online| online.session)
    }

    fn publish_packet(&mut self, now: Timestamp, conn: ConnId, publish: Publish) {
        let topic = match self.resolve(conn, publish.topic) {
            Ok(topic) => topic,
            Err(reason) => return self.violation(now, conn, reason),
        };
        let Some(session) = self.session_of(conn) else { return };
        if let Delivery::ExactlyOnce { id, .. } = publish.delivery {
            let Some(state) = self.sessions.get(&session) else { return };
            let received = state.received.len();
            if state.received.contains(&id) {
                // Had been taken: say so again and route nothing [MQTT-4.3.3-10].
                return self.send_ack(conn, AckKind::PubRec, id, ReasonCode::Success);
            }
            let is_v5 = self.version(conn) == Some(Version::V5);
            if is_v5 && received >= usize::from(self.limits.receive_maximum) {
                return self.violation(now, conn, ReasonCode::ReceiveMaximumExceeded);
            }
        }
        let message = Message {
            topic,
            payload: publish.payload,
            qos: publish.delivery.qos(),
            retain: publish.retain,
            properties: publish.properties,
            author: Bytes::new(),
        };
        self.counters.messages_received += 1;
        let outcome = self.accept_publish(now, conn, session, &message);
        self.answer_publish(now, conn, session, publish.delivery, outcome);
    }

    /// Turns an alias into its name and learns new ones: §3.3.2.3.4.
    fn resolve(&mut self, conn: ConnId, topic: PublishTopic) -> Result<TopicName, ReasonCode> {
        let max = self.limits.topic_alias_max;
        let online = self.online_mut(conn).ok_or(ReasonCode::ProtocolError)?;
        match topic {
            PublishTopic::Name(name) => Ok(name),
            PublishTopic::Define(_, alias) | PublishTopic::Alias(alias) if alias.get() > max => {
                Err(ReasonCode::TopicAliasInvalid)
            }
            PublishTopic::Define(name, alias) => {
                online.aliases_in.insert(alias, name.detached());
                Ok(name)
            }
            PublishTopic::Alias(alias) => {
                online.aliases_in.get(&alias).cloned().ok_or(ReasonCode::ProtocolError)
            }
        }
    }

    /// Whether somebody matched, or why the message is refused.
    fn accept_publish(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        session: SessionId,
        message: &Message,
    ) -> Result<bool, ReasonCode> {
        let is_text = message.properties.payload_format == Some(PayloadFormat::Utf8);
        if is_text && std::str::from_utf8(&message.payload).is_err() {
            self.counters.publishes_refused_payload_format += 1;
            return Err(ReasonCode::PayloadFormatInvalid);
        }
        let Some(connection) = self.connections.get(&conn) else { return Err(ReasonCode::UnspecifiedError) };
        let incoming = Incoming { message, is_will: false };
        match self.gate.publish(now, &connection.who, &incoming) {
            Ok(routed) => self.route(now, Some(session), routed).map_err(|_| ReasonCode::QuotaExceeded),
            Err(reason) => {
                self.counters.publishes_refused_gate += 1;
                Err(reason)
            }
        }
    }

    fn answer_publish(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        session: SessionId,
        delivery: Delivery,
        outcome: Result<bool, ReasonCode>,
    ) {
        let (kind, id) = match delivery {
            Delivery::AtMostOnce => return,
            Delivery::AtLeastOnce { id, .. } => (AckKind::PubAck, id),
            Delivery::ExactlyOnce { id, .. } => (AckKind::PubRec, id),
        };
        let reason = match outcome {
            Ok(matched) => {
                if kind == AckKind::PubRec {
                    self.remember_received(session, id);
                }
                if matched || kind == AckKind::PubRec {
                    ReasonCode::Success
                } else {
                    ReasonCode::NoMatchingSubscribers
                }
            }
            // Before MQTT 5.0 a refusal cannot be told: 3.1.1, §3.3.5. Without an acknowledgement the client still
            // has the message.
            Err(_) if self.version(conn) != Some(Version::V5) => return self.drop_connection(now, conn),
            Err(reason) => kind.refusal(reason),
        };
        self.send_ack(conn, kind, id, reason);
    }

    fn remember_received(&mut self, id: SessionId, packet: PacketId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.received.insert(packet);
        if session.durable {
            self.out.put(record::received_key(id, packet), record::received());
        }
    }

    fn released(&mut self, conn: ConnId, packet: PacketId) {
        let Some(id) = self.session_of(conn) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.received.remove(&packet) && session.durable {
            self.out.delete(record::received_key(id, packet));
        }
        // An unknown identifier is answered alike: the exchange is over on this side.
        self.send_ack(conn, AckKind::PubComp, packet, ReasonCode::Success);
    }

    fn acked(&mut self, now: Timestamp, conn: ConnId, kind: AckKind, ack: &Ack) {
        let Some(id) = self.session_of(conn) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(index) = session.position(ack.id) else {
            if kind == AckKind::PubRec && !ack.reason.is_failure() {
                self.send_ack(conn, AckKind::PubRel, ack.id, ReasonCode::Success);
            }
            return;
        };
        let Some(out) = session.inflight.get_mut(index) else { return };
        let released = match (out.entry.qos, kind) {
            (QoS::AtLeastOnce, AckKind::PubAck) => false,
            (QoS::ExactlyOnce, AckKind::PubComp) if out.released => false,
            // A refusal ends the exchange [MQTT-4.3.3-4].
            (QoS::ExactlyOnce, AckKind::PubRec) => !ack.reason.is_failure(),
            _ => return self.violation(now, conn, ReasonCode::ProtocolError),
        };
        if released {
            let is_first = !out.released;
            out.released = true;
            if is_first && session.durable {
                let value = record::entry(&out.entry, Some((out.id, true)));
                self.out.put(record::entry_key(id, out.entry.sequence), value);
            }
            return self.send_ack(conn, AckKind::PubRel, ack.id, ReasonCode::Success);
        }
        if let Some(out) = session.inflight.remove(index) {
            let durable = session.durable;
            self.forget_entry(id, durable, &out.entry);
        }
        self.pump(now, id);
    }

    pub(super) fn send_ack(&mut self, conn: ConnId, kind: AckKind, id: PacketId, reason: ReasonCode) {
        if let Some(version) = self.version(conn) {
            self.send(conn, version, &Packet::Ack(kind, Ack::new(id, reason)));
        }
    }

    fn goodbye(&mut self, now: Timestamp, conn: ConnId, packet: &Disconnect) {
        let Some(online) = self.online_mut(conn) else { return };
        let (id, asked_for_expiry) = (online.session, online.asked_for_expiry);
        if let Some(expiry) = packet.properties.session_expiry {
            // A session that was to end with its connection cannot be prolonged: §3.14.2.2.2.
            if expiry != 0 && !asked_for_expiry {
                return self.violation(now, conn, ReasonCode::ProtocolError);
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.expiry_seconds = expiry.min(self.limits.session_expiry_seconds_max);
            }
        }
        let normal = packet.reason == ReasonCode::Success;
        self.out.close(conn);
        self.lose_connection(now, conn, normal);
    }
}

impl AckKind {
    /// The reason as far as the packet has it.
    fn refusal(self, reason: ReasonCode) -> ReasonCode {
        if reason.is_failure() && self.allows(reason) { reason } else { ReasonCode::UnspecifiedError }
    }
}
