//! Retained messages: §3.3.1.3, with a bound for each share of the topics and one for all.

use std::collections::HashMap;

use thingward_model::Timestamp;

use crate::broker::message::Stored;
use crate::broker::record;
use crate::broker::timers::{Timer, TimerKey};
use crate::broker::{Broker, Gate, Limits, Message, Scope};
use crate::topic::TopicName;
use crate::topic::retained::TopicMap;

/// The retained messages, and what they take.
#[derive(Debug, Default)]
pub(super) struct RetainedMessages {
    by_topic: TopicMap<Retained>,
    all: Use,
    shares: HashMap<Scope, Use>,
}

/// The retained message of a topic.
#[derive(Debug)]
pub(super) struct Retained {
    pub(super) stored: Stored,
    timer: Option<TimerKey>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Use {
    messages: usize,
    bytes: usize,
}

impl Use {
    fn with(self, bytes: usize) -> Self {
        Self { messages: self.messages + 1, bytes: self.bytes.saturating_add(bytes) }
    }

    fn without(self, bytes: usize) -> Self {
        Self { messages: self.messages.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }

    const fn is_within(self, messages_max: usize, bytes_max: usize) -> bool {
        self.messages <= messages_max && self.bytes <= bytes_max
    }
}

impl RetainedMessages {
    fn has_room(&self, share: &Scope, message: &Message, limits: &Limits) -> bool {
        let old = self.by_topic.get(&message.topic).map(|old| old.stored.bytes);
        let after = |used: Use| old.map_or(used, |bytes| used.without(bytes)).with(message.bytes());
        let share = after(self.shares.get(share).copied().unwrap_or_default());
        after(self.all).is_within(limits.retained_messages_max, limits.retained_bytes_max)
            && share.is_within(limits.retained_messages_per_share_max, limits.retained_bytes_per_share_max)
    }

    fn count(&mut self, share: Scope, bytes: usize) {
        self.all = self.all.with(bytes);
        let used = self.shares.entry(share).or_default();
        *used = used.with(bytes);
    }

    fn discount(&mut self, share: &Scope, bytes: usize) {
        self.all = self.all.without(bytes);
        if let Some(used) = self.shares.get_mut(share) {
            *used = used.without(bytes);
            if used.messages == 0 {
                self.shares.remove(share);
            }
        }
    }
}

impl<G: Gate> Broker<G> {
    pub(super) fn retained_room(&self, message: &Message) -> bool {
        message.payload.is_empty()
            || self.retained.has_room(&self.gate.share(&message.topic), message, &self.limits)
    }

    /// Sets the retained message of a topic; an empty payload removes it [MQTT-3.3.1-6].
    pub(super) fn retain(&mut self, message: &Message, expires: Option<Timestamp>) {
        if message.payload.is_empty() {
            return self.remove_retained(&message.topic);
        }
        let message = message.detached();
        self.out.put(record::retained_key(&message.topic), record::message(&message, expires));
        self.keep_retained(Stored::new(0, message, expires));
    }

    pub(super) fn keep_retained(&mut self, stored: Stored) {
        let topic = stored.message.topic.clone();
        let share = self.gate.share(&topic);
        let timer = stored.expires.and_then(|due| self.timers.add(due, Timer::Retained(topic.clone())));
        self.retained.count(share, stored.bytes);
        if let Some(old) = self.retained.by_topic.insert(&topic, Retained { stored, timer }) {
            self.forget_retained(&old);
        }
    }

    /// Visits the retained messages that `filter` matches and that still live.
    pub(super) fn live_retained(
        &self,
        now: Timestamp,
        filter: &crate::topic::TopicFilter,
        visit: &mut impl FnMut(&Stored),
    ) {
        self.retained.by_topic.visit(filter, &mut |retained| {
            if retained.stored.expires.is_none_or(|then| then > now) {
                visit(&retained.stored);
            }
        });
    }

    pub(super) fn retained_due(&mut self, now: Timestamp, topic: &TopicName) {
        let due = self.retained.by_topic.get(topic).and_then(|retained| retained.stored.expires);
        if due.is_some_and(|due| now >= due) {
            self.remove_retained(topic);
        }
    }

    fn remove_retained(&mut self, topic: &TopicName) {
        if let Some(old) = self.retained.by_topic.remove(topic) {
            self.forget_retained(&old);
            self.out.delete(record::retained_key(topic));
        }
    }

    fn forget_retained(&mut self, old: &Retained) {
        self.timers.cancel(old.timer);
        let share = self.gate.share(&old.stored.message.topic);
        self.retained.discount(&share, old.stored.bytes);
    }
}
