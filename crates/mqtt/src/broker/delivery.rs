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
    /// Sends what waits, as far as the receive maximum of the client goes [MQTT-4.9.0-2].
    pub(super) fn pump(&mut self, now: Timestamp, id: SessionId) {
        while let Some((conn, window)) = self.client_of(id) {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            if session.inflight.len() >= window {
                return;
            }
            let Some(entry) = session.queue.pop_front() else { return };
            session.queue_bytes = session.queue_bytes.saturating_sub(entry.stored.message.payload.len());
            let Some(packet) = session.free_id() else { return };
            let durable = session.durable;
            let delivery = delivery(entry.qos, packet, false);
            if self.send_publish(now, conn, &entry.stored, delivery, entry.retain, &entry.ids)
                == Sent::Dropped
            {
                self.forget_entry(id, durable, &entry);
                continue;
            }
            if durable {
                self.out
                    .put(record::entry_key(id, entry.sequence), record::entry(&entry, Some((packet, false))));
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.inflight.push_back(Inflight { id: packet, entry, released: false });
            }
        }
    }

    /// All that was in flight again, in its order [MQTT-4.4.0-1], [MQTT-4.6.0-1], and then what waits.
    pub(super) fn resume(&mut self, now: Timestamp, id: SessionId) {
        let Some((conn, _)) = self.client_of(id) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let durable = session.durable;
        for out in std::mem::take(&mut session.inflight) {
            if out.released {
                self.send_ack(conn, AckKind::PubRel, out.id, ReasonCode::Success);
            } else {
                let entry = &out.entry;
                let delivery = delivery(entry.qos, out.id, true);
                let sent = self.send_publish(now, conn, &entry.stored, delivery, entry.retain, &entry.ids);
                if sent == Sent::Dropped {
                    self.forget_entry(id, durable, entry);
                    continue;
                }
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.inflight.push_back(out);
            }
        }
        self.pump(now, id);
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
        let Some(topic) = self.gate.deliver(&connection.who, &stored.message.topic) else {
            self.counters.deliveries_withheld += 1;
            return Sent::Dropped;
        };
        let (version, limit) = (online.version, online.packet_bytes_max);
        let message = &stored.message;
        let written = online.aliases_out.write(&topic, self.out.packets(conn), |name, alias, out| {
            PublishView {
                topic: name,
                alias,
                delivery,
                retain,
                properties: &message.properties,
                message_expiry,
                subscription_ids: ids,
                payload: &message.payload,
            }
            .write(version, limit, out)
        });
        if written.is_err() {
            // [MQTT-3.1.2-25]
            self.counters.deliveries_too_large += 1;
            return Sent::Dropped;
        }
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
