//! From a message to the sessions that get it: §4.8.

use std::sync::Arc;

use thingward_model::Timestamp;

use crate::broker::message::Stored;
use crate::broker::record;
use crate::broker::session::{Entry, Session, SessionId, Subscription};
use crate::broker::{Broker, Gate, Limits, Message, Routed};
use crate::codec::{QoS, SubscriptionId};
use crate::topic::trie::Group;

/// No room for a message: nobody got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subscriber's queue or the store of retained messages is full")]
pub struct QueueFull;

/// One session that gets a message.
#[derive(Debug)]
pub(super) struct Target {
    session: SessionId,
    qos: QoS,
    retain: bool,
    shared: bool,
    ids: Vec<SubscriptionId>,
}

impl<G: Gate> Broker<G> {
    /// Routes a message; `from` is the session of the publisher. `Ok(true)`: somebody subscribes to it.
    pub(super) fn route(
        &mut self,
        now: Timestamp,
        from: Option<SessionId>,
        routed: Routed,
    ) -> Result<bool, QueueFull> {
        match routed {
            Routed::Nowhere => Ok(false),
            Routed::ToAll(message) => self.route_to_all(now, from, message),
            Routed::ToThoseWithRoom(message) => {
                self.retained_has_room(&message)?;
                Ok(self.route_to_those_with_room(now, from, message))
            }
        }
    }

    fn route_to_all(
        &mut self,
        now: Timestamp,
        from: Option<SessionId>,
        message: Message,
    ) -> Result<bool, QueueFull> {
        let mut targets = std::mem::take(&mut self.targets);
        let outcome = self.plan(from, &message, &mut targets);
        if outcome.is_ok() {
            self.carry_out(now, message, &mut targets);
        }
        targets.clear();
        self.targets = targets;
        outcome
    }

    /// Routes a message to everybody who has room for it. True: somebody subscribes to it.
    pub(super) fn route_to_those_with_room(
        &mut self,
        now: Timestamp,
        from: Option<SessionId>,
        message: Message,
    ) -> bool {
        let mut targets = std::mem::take(&mut self.targets);
        self.select(from, &message, &mut targets);
        let (sessions, limits, bytes, all) = (&self.sessions, &self.limits, message.bytes(), targets.len());
        targets.retain(|t| {
            t.qos == QoS::AtMostOnce
                || message.qos == QoS::AtMostOnce
                || sessions.get(&t.session).is_none_or(|session| can_take(session, bytes, limits))
        });
        self.counters.announcements_dropped += (all - targets.len()) as u64;
        if message.retain || !targets.is_empty() {
            self.carry_out(now, message, &mut targets);
        }
        targets.clear();
        self.targets = targets;
        all > 0
    }

    /// Finds who gets the message and whether there is room for it everywhere.
    fn plan(
        &mut self,
        from: Option<SessionId>,
        message: &Message,
        targets: &mut Vec<Target>,
    ) -> Result<bool, QueueFull> {
        self.retained_has_room(message)?;
        self.select(from, message, targets);
        if message.qos != QoS::AtMostOnce {
            let bytes = message.bytes();
            for target in targets.iter().filter(|t| t.qos != QoS::AtMostOnce) {
                let Some(session) = self.sessions.get(&target.session) else { continue };
                if !can_take(session, bytes, &self.limits) {
                    self.counters.publishes_refused_queue_full += 1;
                    return Err(QueueFull);
                }
            }
        }
        Ok(!targets.is_empty())
    }

    fn retained_has_room(&mut self, message: &Message) -> Result<(), QueueFull> {
        if message.retain && !self.retained_room(message) {
            self.counters.publishes_refused_retained_full += 1;
            return Err(QueueFull);
        }
        Ok(())
    }

    fn select(&mut self, from: Option<SessionId>, message: &Message, targets: &mut Vec<Target>) {
        let Self { index, sessions, gate, limits, .. } = self;
        let bytes = message.bytes();
        index.visit(&message.topic, &mut |leaf| {
            for (session, subscription) in &leaf.single {
                if !(subscription.options.no_local && Some(*session) == from) {
                    targets.push(Target::new(*session, subscription, message, false));
                }
            }
            for group in leaf.groups.values_mut() {
                let rank = |id: SessionId, subscription: &Subscription| {
                    let session = sessions.get(&id)?;
                    gate.deliver(&session.who, message)?;
                    let qos = subscription.options.qos.min(message.qos);
                    let room = qos == QoS::AtMostOnce || can_take(session, bytes, limits);
                    Some((session.conn.is_some(), room))
                };
                if let Some((session, subscription)) = pick(group, rank) {
                    targets.push(Target::new(session, subscription, message, true));
                }
            }
        });
        if targets.len() > 1 {
            targets.sort_by_key(|t| (t.session, t.shared));
            targets.dedup_by(|next, kept| kept.absorb(next));
        }
    }

    fn carry_out(&mut self, now: Timestamp, message: Message, targets: &mut Vec<Target>) {
        let expires = message.expires(now);
        if message.retain {
            self.retain(&message, expires);
        }
        if targets.iter().all(|t| t.qos == QoS::AtMostOnce) {
            let stored = Stored::new(0, message, expires);
            for target in targets.drain(..) {
                self.deliver_at_most_once(now, &target, &stored);
            }
            return;
        }
        self.next_message += 1;
        let stored = Arc::new(Stored::new(self.next_message, message.detached(), expires));
        for target in targets.drain(..) {
            if target.qos == QoS::AtMostOnce {
                self.deliver_at_most_once(now, &target, &stored);
            } else {
                self.enqueue(now, target, &stored);
            }
        }
    }

    fn deliver_at_most_once(&mut self, now: Timestamp, target: &Target, stored: &Stored) {
        match self.sessions.get(&target.session).and_then(|session| session.conn) {
            Some(conn) => self.send_at_most_once(now, conn, stored, target.retain, &target.ids),
            None => self.counters.deliveries_absent_qos0 += 1,
        }
    }

    fn enqueue(&mut self, now: Timestamp, target: Target, stored: &Arc<Stored>) {
        let id = target.session;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let entry = Entry {
            sequence: session.sequence(),
            stored: Arc::clone(stored),
            qos: target.qos,
            retain: target.retain,
            ids: target.ids,
        };
        self.queue_entry(id, entry);
        self.pump(now, id);
    }

    /// Puts an entry at the end of the queue and into the durable state.
    pub(super) fn queue_entry(&mut self, id: SessionId, entry: Entry) {
        let window = self.client_of(id).map_or(0, |(_, window)| window);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let goes_out = session.queue.is_empty() && session.inflight.len() < window;
        if session.durable {
            if entry.stored.hold() {
                let value = record::message(&entry.stored.message, entry.stored.expires);
                self.out.put(record::message_key(entry.stored.number), value);
            }
            // An entry that goes out at once is written with its packet identifier then.
            if !goes_out {
                self.out.put(record::entry_key(id, entry.sequence), record::entry(&entry, None));
            }
        }
        session.queue_bytes = session.queue_bytes.saturating_add(entry.stored.bytes);
        session.queue.push_back(entry);
    }
}

impl Target {
    fn new(session: SessionId, subscription: &Subscription, message: &Message, shared: bool) -> Self {
        Self {
            session,
            qos: subscription.options.qos.min(message.qos),
            retain: message.retain && subscription.options.retain_as_published,
            shared,
            ids: subscription.id.into_iter().collect(),
        }
    }

    /// Joins another subscription of the same client, so that it gets one copy with the highest QoS and all
    /// identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-4]. A shared subscription stays a delivery of its own.
    fn absorb(&mut self, other: &mut Self) -> bool {
        let same = self.session == other.session && !self.shared && !other.shared;
        if same {
            self.qos = self.qos.max(other.qos);
            self.retain |= other.retain;
            self.ids.append(&mut other.ids);
        }
        same
    }
}

/// Whether a session can take one more QoS 1 or 2 message of this many bytes.
fn can_take<I>(session: &Session<I>, bytes: usize, limits: &Limits) -> bool {
    // A connected client with nothing waiting takes it into flight or as the first to wait.
    (session.conn.is_some() && session.queue.is_empty())
        || session.has_room(bytes, limits.queue_messages_max, limits.queue_bytes_max)
}

/// The member whose turn it is: connected ones with room first, then absent ones with room, then any, which makes
/// the publication fail. Members that may not see the message are passed over.
fn pick(
    group: &mut Group<Subscription>,
    mut rank: impl FnMut(SessionId, &Subscription) -> Option<(bool, bool)>,
) -> Option<(SessionId, &Subscription)> {
    let count = group.members.len();
    let mut best: Option<(usize, u8)> = None;
    for offset in 0..count {
        let index = (group.next + offset) % count;
        let score = match group.members.get(index).and_then(|(id, sub)| rank(*id, sub)) {
            None => continue,
            Some((true, true)) => 3,
            Some((false, true)) => 2,
            Some((true, false)) => 1,
            Some((false, false)) => 0,
        };
        if best.is_none_or(|(_, s)| score > s) {
            best = Some((index, score));
        }
        if score == 3 {
            break;
        }
    }
    let (index, _) = best?;
    group.next = (index + 1) % count;
    group.members.get(index).map(|(id, subscription)| (*id, subscription))
}
