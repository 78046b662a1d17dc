//! The broker as it was, from its durable state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::broker::message::Stored;
use crate::broker::record::{self, EntryRecord, Record};
use crate::broker::session::{Entry, Inflight, Session, SessionId};
use crate::broker::timers::Timer;
use crate::broker::wills::PendingWill;
use crate::broker::{Broker, Gate, Limits};

/// What was read and waits for the entries it belongs to.
#[derive(Default)]
struct Loose {
    subscriptions: Vec<(SessionId, crate::topic::TopicFilter, super::session::Subscription)>,
    messages: HashMap<u64, Arc<Stored>>,
    entries: BTreeMap<(SessionId, u64), EntryRecord>,
    received: Vec<(SessionId, crate::codec::PacketId)>,
    wills: BTreeMap<SessionId, (Bytes, crate::broker::Message, u32, Option<Timestamp>)>,
}

impl<G: Gate> Broker<G> {
    /// Rebuilds the broker from the accumulated changes, in any order. Clients that were connected are taken as gone
    /// at `now`: the lives of their sessions and the delays of their wills begin. What that brings, wills that are
    /// published for one, is in the next [`drain`](Self::drain). Entries that cannot be read are counted.
    pub fn restore(
        gate: G,
        limits: Limits,
        now: Timestamp,
        entries: impl Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Self {
        let mut broker = Self::new(gate, limits);
        let mut loose = Loose::default();
        for (key, value) in entries {
            match Record::read(&key, value) {
                Ok(record) => broker.take_record(now, record, &mut loose),
                Err(_) => broker.counters.records_unreadable += 1,
            }
        }
        broker.assemble(loose, now);
        broker
    }

    fn take_record(&mut self, now: Timestamp, record: Record, loose: &mut Loose) {
        match record {
            Record::Session { id, name, identity, expiry_seconds, offline_since } => {
                self.next_session = self.next_session.max(id);
                let Some(who) = self.gate.decode_identity(&identity) else {
                    self.counters.records_unreadable += 1;
                    return self.out.delete(record::session_key(id));
                };
                let mut session = Session::new(name.clone(), who, expiry_seconds);
                session.durable = true;
                session.offline_since = Some(offline_since.unwrap_or(now));
                self.names.insert(name, id);
                self.sessions.insert(id, session);
            }
            Record::Subscription { id, filter, subscription } => {
                loose.subscriptions.push((id, filter, subscription));
            }
            Record::Message { number, message, expires } => {
                self.next_message = self.next_message.max(number);
                loose.messages.insert(number, Arc::new(Stored::new(number, message, expires)));
            }
            Record::Entry { id, sequence, entry } => drop(loose.entries.insert((id, sequence), entry)),
            Record::Received { id, packet } => loose.received.push((id, packet)),
            Record::Retained { message, expires } => self.keep_retained(Stored::new(0, message, expires)),
            Record::Will { id, identity, message, delay_seconds, due } => {
                self.next_session = self.next_session.max(id);
                loose.wills.insert(id, (identity, message, delay_seconds, due));
            }
        }
    }

    fn assemble(&mut self, loose: Loose, now: Timestamp) {
        for (id, filter, subscription) in loose.subscriptions {
            if self.sessions.contains_key(&id) {
                self.add_subscription(id, filter, subscription);
            } else {
                self.out.delete(record::subscription_key(id, &filter));
            }
        }
        for (id, packet) in loose.received {
            match self.sessions.get_mut(&id) {
                Some(session) => drop(session.received.insert(packet)),
                None => self.out.delete(record::received_key(id, packet)),
            }
        }
        for ((id, sequence), entry) in loose.entries {
            self.restore_entry(id, sequence, entry, &loose.messages);
        }
        for (number, stored) in loose.messages {
            if !stored.is_held() {
                self.out.delete(record::message_key(number));
            }
        }
        for (id, (identity, message, delay_seconds, due)) in loose.wills {
            match self.gate.decode_identity(&identity) {
                Some(who) => {
                    self.wills.insert(id, PendingWill { who, message, delay_seconds, due, timer: None });
                }
                None => {
                    self.counters.records_unreadable += 1;
                    self.out.delete(record::will_key(id));
                }
            }
        }
        self.resume_lives(now);
    }

    fn restore_entry(
        &mut self,
        id: SessionId,
        sequence: u64,
        record: EntryRecord,
        messages: &HashMap<u64, Arc<Stored>>,
    ) {
        let (Some(session), Some(stored)) = (self.sessions.get_mut(&id), messages.get(&record.message))
        else {
            return self.out.delete(record::entry_key(id, sequence));
        };
        stored.hold();
        session.next_sequence = session.next_sequence.max(sequence);
        let EntryRecord { qos, retain, ids, .. } = record;
        let entry = Entry { sequence, stored: Arc::clone(stored), qos, retain, ids };
        match record.sent {
            Some((id, released)) => session.inflight.push_back(Inflight { id, entry, released, here: false }),
            None => {
                session.queue_bytes = session.queue_bytes.saturating_add(stored.bytes);
                session.queue.push_back(entry);
            }
        }
    }

    /// Lets the lives of sessions and the delays of wills go on from the point they had reached.
    fn resume_lives(&mut self, now: Timestamp) {
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(session) = self.sessions.get(&id) else { continue };
            if session.expiry_seconds == 0 {
                self.end_session(now, id);
                continue;
            }
            let due = session.expires_at();
            let timer = due.and_then(|due| self.timers.add(due, Timer::SessionExpiry(id)));
            if let Some(session) = self.sessions.get_mut(&id) {
                session.timer = timer;
            }
            self.store_session(id);
        }
        let mut ids: Vec<_> = self.wills.iter().map(|(id, will)| (*id, will.due)).collect();
        ids.sort_unstable();
        for (id, due) in ids {
            let expiry = self.sessions.get(&id).map(|session| session.expiry_seconds);
            match (expiry, due) {
                (None, _) => self.publish_will(now, id),
                (Some(_), Some(due)) => {
                    let timer = self.timers.add(due, Timer::Will(id));
                    if let Some(will) = self.wills.get_mut(&id) {
                        will.timer = timer;
                    }
                }
                (Some(expiry), None) => self.start_will_delay(now, id, expiry),
            }
        }
        self.tick(now);
    }
}
