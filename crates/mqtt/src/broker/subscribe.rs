//! SUBSCRIBE and UNSUBSCRIBE: §3.8, §3.10.

use std::sync::Arc;

use thingward_model::Timestamp;

use crate::broker::connection::{Connection, Phase};
use crate::broker::message::Stored;
use crate::broker::record;
use crate::broker::session::{Entry, Session, SessionId, Subscription};
use crate::broker::{Broker, ConnId, Gate};
use crate::codec::{
    FilterAck, FilterAckKind, Packet, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeRequest,
    SubscriptionId, Unsubscribe,
};
use crate::topic::TopicFilter;

/// Retained messages that a subscription brings.
struct Batch {
    messages: Vec<Stored>,
    qos: QoS,
    id: Option<SubscriptionId>,
}

/// What retained messages take: in the queue, and in the output at once.
#[derive(Default, Clone, Copy)]
struct Room {
    queue_messages: usize,
    queue_bytes: usize,
    output_bytes: usize,
}

impl Batch {
    /// What these take besides `before`.
    fn room(&self, before: Room) -> Room {
        self.messages.iter().fold(before, |room, stored| match stored.message.qos.min(self.qos) {
            QoS::AtMostOnce => Room { output_bytes: room.output_bytes.saturating_add(stored.bytes), ..room },
            QoS::AtLeastOnce | QoS::ExactlyOnce => Room {
                queue_messages: room.queue_messages + 1,
                queue_bytes: room.queue_bytes.saturating_add(stored.bytes),
                ..room
            },
        })
    }
}

impl<G: Gate> Broker<G> {
    pub(super) fn subscribe(&mut self, now: Timestamp, conn: ConnId, packet: Subscribe) {
        let Some(id) = self.session_of(conn) else { return };
        let mut batches = Vec::new();
        let mut promised = Room::default();
        let mut reasons = Vec::with_capacity(packet.requests.len());
        for request in packet.requests {
            self.work += 1;
            let outcome = self.subscribe_one(now, conn, id, request, packet.subscription_id, &mut promised);
            reasons.push(match outcome {
                Ok((reason, batch)) => {
                    batches.extend(batch);
                    reason
                }
                Err(reason) => reason,
            });
        }
        let ack = FilterAck::new(packet.id, reasons);
        if let Some(version) = self.version(conn) {
            self.send(conn, version, &Packet::FilterAck(FilterAckKind::SubAck, ack));
        }
        for batch in batches {
            self.send_retained(now, conn, id, batch);
        }
    }

    fn subscribe_one(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        id: SessionId,
        request: SubscribeRequest,
        subscription_id: Option<SubscriptionId>,
        promised: &mut Room,
    ) -> Result<(ReasonCode, Option<Batch>), ReasonCode> {
        let SubscribeRequest { filter, options } = request;
        let connection = self.connections.get(&conn).ok_or(ReasonCode::UnspecifiedError)?;
        let inner = self
            .gate
            .subscribe(&connection.who, &filter)
            .inspect_err(|_| self.counters.subscriptions_refused_gate += 1)?;
        let session = self.sessions.get(&id).ok_or(ReasonCode::UnspecifiedError)?;
        let is_new = !session.subscriptions.contains_key(&filter);
        if is_new && session.subscriptions.len() >= self.limits.subscriptions_per_session_max {
            self.counters.subscriptions_refused_full += 1;
            return Err(ReasonCode::QuotaExceeded);
        }
        // Shared subscriptions bring no retained messages: §4.8.2.
        let wants = filter.shared().is_none()
            && match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
        let batch = wants.then(|| self.retained_batch(now, &inner, options.qos, subscription_id));
        if let Some(batch) = &batch {
            self.work += batch.messages.len() as u64;
            let room = batch.room(*promised);
            if !self.has_room(connection, session, room) {
                self.counters.subscriptions_refused_full += 1;
                return Err(ReasonCode::QuotaExceeded);
            }
            *promised = room;
        }
        let filter = filter.detached();
        let subscription = Subscription { inner: inner.detached(), options, id: subscription_id };
        self.add_subscription(id, filter.clone(), subscription);
        if let Some(session) = self.sessions.get(&id).filter(|s| s.durable)
            && let Some(subscription) = session.subscriptions.get(&filter)
        {
            self.out.put(record::subscription_key(id, &filter), record::subscription(subscription));
        }
        let granted = match options.qos {
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        };
        Ok((granted, batch))
    }

    fn has_room(
        &self,
        connection: &Connection<G::Identity>,
        session: &Session<G::Identity>,
        room: Room,
    ) -> bool {
        let Phase::Online(online) = &connection.phase else { return false };
        let unsent = online.unsent.since(self.out.drains()).saturating_add(room.output_bytes);
        session.queue.len() + room.queue_messages <= self.limits.queue_messages_max
            && session.queue_bytes.saturating_add(room.queue_bytes) <= self.limits.queue_bytes_max
            && unsent <= self.limits.output_bytes_per_connection_max
    }

    pub(super) fn add_subscription(
        &mut self,
        id: SessionId,
        filter: TopicFilter,
        subscription: Subscription,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let inner = subscription.inner.clone();
        if let Some(old) = session.subscriptions.insert(filter, subscription.clone()) {
            self.index.remove(&old.inner, id);
        }
        self.index.insert(&inner, id, subscription);
    }

    fn retained_batch(
        &self,
        now: Timestamp,
        inner: &TopicFilter,
        qos: QoS,
        id: Option<SubscriptionId>,
    ) -> Batch {
        let mut messages = Vec::new();
        self.live_retained(now, inner, &mut |stored| {
            messages.push(Stored::new(0, stored.message.clone(), stored.expires));
        });
        Batch { messages, qos, id }
    }

    /// With the retain flag set [MQTT-3.3.1-8].
    fn send_retained(&mut self, now: Timestamp, conn: ConnId, id: SessionId, batch: Batch) {
        let ids: Vec<_> = batch.id.into_iter().collect();
        for stored in batch.messages {
            let qos = stored.message.qos.min(batch.qos);
            if qos == QoS::AtMostOnce {
                self.send_at_most_once(now, conn, &stored, true, &ids);
                continue;
            }
            self.next_message += 1;
            let stored = Arc::new(Stored::new(self.next_message, stored.message, stored.expires));
            let Some(session) = self.sessions.get_mut(&id) else { return };
            let sequence = session.sequence();
            self.queue_entry(id, Entry { sequence, stored, qos, retain: true, ids: ids.clone() });
            self.pump(now, id);
        }
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, packet: &Unsubscribe) {
        let Some(id) = self.session_of(conn) else { return };
        let mut reasons = Vec::with_capacity(packet.filters.len());
        for filter in &packet.filters {
            self.work += 1;
            let Some(session) = self.sessions.get_mut(&id) else { return };
            let durable = session.durable;
            let Some(subscription) = session.subscriptions.remove(filter) else {
                reasons.push(ReasonCode::NoSubscriptionExisted);
                continue;
            };
            self.index.remove(&subscription.inner, id);
            if durable {
                self.out.delete(record::subscription_key(id, filter));
            }
            reasons.push(ReasonCode::Success);
        }
        let ack = FilterAck::new(packet.id, reasons);
        if let Some(version) = self.version(conn) {
            self.send(conn, version, &Packet::FilterAck(FilterAckKind::UnsubAck, ack));
        }
    }
}
