//! From a session's queue to its client: §4.3, §4.4, §4.6, §4.9.

use thingward_model::Timestamp;

use crate::broker::connection::Phase;
use crate::broker::message::{Stored, seconds_until};
use crate::broker::record;
use crate::broker::session::{Entry, Inflight, SessionId};
use crate::broker::{Broker, ConnId, Gate};
use crate::codec::{AckKind, Delivery, PublishView, QoS, ReasonCode, SubscriptionId};

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Written,
    /// Counted, and treated as if it had been delivered.
    Dropped,
}

impl<G: Gate> Broker<G> {
    /// Sends what there is, as far as the receive maximum of the client goes [MQTT-3.3.4-9]: first again what earlier
    /// connections left, in its order [MQTT-4.4.0-1], [MQTT-4.6.0-1], then what waits.
    pub(super) fn pump(&mut self, now: Timestamp, id: SessionId) {
        while let Some((conn, window)) = self.client_of(id) {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            if session.open() >= window {
                return;
            }
            match session.inflight.iter().position(|out| !out.here) {
                Some(index) => self.send_again(now, conn, id, index),
                None => {
                    let Some(entry) = session.queue.pop_front() else { return };
                    session.queue_bytes = session.queue_bytes.saturating_sub(entry.stored.bytes);
                    self.send_first(now, conn, id, entry);
                }
            }
        }
    }

    /// The client has returned on a new connection.
    pub(super) fn resume(&mut self, now: Timestamp, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.inflight.iter_mut().for_each(|out| out.here = false);
        }
        self.pump(now, id);
    }

    fn send_first(&mut self, now: Timestamp, conn: ConnId, id: SessionId, entry: Entry) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        // The window is smaller than the number of identifiers, so one is free.
        let Some(packet) = session.free_id() else { return };
        let durable = session.durable;
        let delivery = delivery(entry.qos, packet, false);
        if self.send_publish(now, conn, &entry.stored, delivery, entry.retain, &entry.ids) == Sent::Dropped {
            return self.forget_entry(id, durable, &entry);
        }
        if durable {
            let value = record::entry(&entry, Some((packet, false)));
            self.out.put(record::entry_key(id, entry.sequence), value);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.inflight.push_back(Inflight { id: packet, entry, released: false, here: true });
        }
    }

    fn send_again(&mut self, now: Timestamp, conn: ConnId, id: SessionId, index: usize) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let durable = session.durable;
        let Some(out) = session.inflight.get_mut(index) else { return };
        out.here = true;
        if out.released {
            let packet = out.id;
            return self.send_ack(conn, AckKind::PubRel, packet, ReasonCode::Success);
        }
        let (entry, delivery) = (out.entry.clone(), delivery(out.entry.qos, out.id, true));
        if self.send_publish(now, conn, &entry.stored, delivery, entry.retain, &entry.ids) == Sent::Dropped {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.inflight.remove(index);
            }
            self.forget_entry(id, durable, &entry);
        }
    }

    pub(super) fn send_at_most_once(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        stored: &Stored,
        retain: bool,
        ids: &[SubscriptionId],
    ) {
        self.send_publish(now, conn, stored, Delivery::AtMostOnce, retain, ids);
    }

    /// Takes an entry out of the durable state.
    pub(super) fn forget_entry(&mut self, id: SessionId, durable: bool, entry: &Entry) {
        if durable {
            self.out.delete(record::entry_key(id, entry.sequence));
            if entry.stored.let_go() {
                self.out.delete(record::message_key(entry.stored.number));
            }
        }
    }

    pub(super) fn client_of(&self, id: SessionId) -> Option<(ConnId, usize)> {
        let conn = self.sessions.get(&id)?.conn?;
        match &self.connections.get(&conn)?.phase {
            Phase::Online(online) => Some((conn, online.window)),
            Phase::Handshake { .. } => None,
        }
    }

    fn send_publish(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        stored: &Stored,
        delivery: Delivery,
        retain: bool,
        ids: &[SubscriptionId],
    ) -> Sent {
        let message_expiry = match stored.expires.map(|then| seconds_until(now, then)) {
            // The life of a message that has begun its delivery does not end it [MQTT-3.3.2-5].
            Some(None) if is_duplicate(delivery) => Some(0),
            Some(None) => {
                self.counters.deliveries_expired += 1;
                return Sent::Dropped;
            }
            Some(left) => left,
            None => None,
        };
        let Some(connection) = self.connections.get_mut(&conn) else { return Sent::Dropped };
        let Phase::Online(online) = &mut connection.phase else { return Sent::Dropped };
        let Some(delivered) = self.gate.deliver(&connection.who, &stored.message) else {
            self.counters.deliveries_withheld += 1;
            return Sent::Dropped;
        };
        let drain = self.out.drains();
        let is_too_slow = online.unsent.since(drain) >= self.limits.output_bytes_per_connection_max
            || self.out.unsent() >= self.limits.output_bytes_max;
        if delivery == Delivery::AtMostOnce && is_too_slow {
            self.counters.deliveries_too_slow += 1;
            return Sent::Dropped;
        }
        let (version, limit) = (online.version, online.packet_bytes_max);
        let message = &stored.message;
        let before = self.out.packets(conn).len();
        let written =
            online.aliases_out.write(&delivered.topic, self.out.packets(conn), |name, alias, out| {
                PublishView {
                    topic: name,
                    alias,
                    delivery,
                    retain,
                    properties: &message.properties,
                    message_expiry,
                    subscription_ids: ids,
                    payload: &delivered.payload,
                }
                .write(version, limit, out)
            });
        if written.is_err() {
            // [MQTT-3.1.2-25]
            self.counters.deliveries_too_large += 1;
            return Sent::Dropped;
        }
        let bytes = self.out.packets(conn).len().saturating_sub(before);
        online.unsent.add(drain, bytes);
        self.out.count_unsent(bytes);
        self.counters.messages_sent += 1;
        Sent::Written
    }
}

const fn delivery(qos: QoS, id: crate::codec::PacketId, duplicate: bool) -> Delivery {
    match qos {
        QoS::AtMostOnce => Delivery::AtMostOnce,
        QoS::AtLeastOnce => Delivery::AtLeastOnce { id, duplicate },
        QoS::ExactlyOnce => Delivery::ExactlyOnce { id, duplicate },
    }
}

const fn is_duplicate(delivery: Delivery) -> bool {
    match delivery {
        Delivery::AtMostOnce => false,
        Delivery::AtLeastOnce { duplicate, .. } | Delivery::ExactlyOnce { duplicate, .. } => duplicate,
    }
}
