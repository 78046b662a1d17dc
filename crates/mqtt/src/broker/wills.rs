//! Wills: §3.1.2.5, §3.1.3.2.2.

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::broker::message::MICROS;
use crate::broker::record;
use crate::broker::session::SessionId;
use crate::broker::timers::{Timer, TimerKey};
use crate::broker::{Broker, Gate, Incoming, Message};
use crate::codec::Will;

/// The will of a client.
#[derive(Debug)]
pub(super) struct PendingWill<I> {
    pub(super) who: I,
    pub(super) message: Message,
    pub(super) delay_seconds: u32,
    /// When it is published; `None` while the client is connected.
    pub(super) due: Option<Timestamp>,
    pub(super) timer: Option<TimerKey>,
}

impl<I> PendingWill<I> {
    pub(super) fn new(who: I, will: Will) -> Self {
        let message = Message {
            topic: will.topic,
            payload: will.payload.as_bytes().clone(),
            qos: will.qos,
            retain: will.retain,
            properties: will.properties,
            author: Bytes::new(),
        };
        Self {
            who,
            message: message.detached(),
            delay_seconds: will.delay.unwrap_or(0),
            due: None,
            timer: None,
        }
    }
}

impl<G: Gate> Broker<G> {
    pub(super) fn remember_will(&mut self, id: SessionId, will: PendingWill<G::Identity>) {
        let identity = self.gate.encode_identity(&will.who);
        self.out.put(record::will_key(id), record::will(&will, &identity));
        self.wills.insert(id, will);
    }

    pub(super) fn forget_will(&mut self, id: SessionId) {
        if let Some(will) = self.wills.remove(&id) {
            self.timers.cancel(will.timer);
            self.out.delete(record::will_key(id));
        }
    }

    /// The client is gone without a goodbye and its session lives on.
    pub(super) fn start_will_delay(&mut self, now: Timestamp, id: SessionId, expiry_seconds: u32) {
        let Some(mut will) = self.wills.remove(&id) else { return };
        // Whichever comes first, the delay or the end of the session.
        let delay = will.delay_seconds.min(expiry_seconds);
        let due = now.plus_micros(i64::from(delay) * MICROS);
        will.due = Some(due);
        if delay != 0 {
            will.timer = self.timers.add(due, Timer::Will(id));
        }
        self.remember_will(id, will);
        if delay == 0 {
            self.publish_will(now, id);
        }
    }

    pub(super) fn will_due(&mut self, now: Timestamp, id: SessionId) {
        let due = self.wills.get(&id).and_then(|will| will.due);
        if due.is_some_and(|due| now >= due) {
            self.publish_will(now, id);
        }
    }

    pub(super) fn publish_will(&mut self, now: Timestamp, id: SessionId) {
        let Some(will) = self.wills.remove(&id) else { return };
        self.timers.cancel(will.timer);
        self.out.delete(record::will_key(id));
        let incoming = Incoming { message: &will.message, is_will: true };
        match self.gate.publish(now, &will.who, &incoming) {
            Ok(routed) => {
                if self.route(now, Some(id), routed).is_err() {
                    self.counters.wills_refused_full += 1;
                }
            }
            Err(_) => self.counters.wills_refused_gate += 1,
        }
    }
}
