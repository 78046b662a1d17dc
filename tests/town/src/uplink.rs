//! Carries messages over the real client, without threads and timers: what `agent::uplink` does, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use thingward_agent::uplink::{Outgoing, Received, Source, is_final};
use thingward_model::Timestamp;
use thingward_mqtt::broker::ConnId;
use thingward_mqtt::client::{Client, ClientConfig, Event, Message, Receipt, Token};
use thingward_mqtt::codec::{
    MessageProperties, PublishTopic, QoS, ReasonCode, SubscribeRequest, SubscriptionOptions, Text,
};

/// As the agent's courier has it, in microseconds.
const RETRY_AFTER: i64 = 5_000_000;
const IN_FLIGHT: usize = 32;

struct Held<K> {
    until: Timestamp,
    messages: BTreeMap<u64, Outgoing<K>>,
}

/// See the module.
pub struct Uplink<S: Source> {
    client: Client,
    input: BytesMut,
    conn: Option<ConnId>,
    in_flight: BTreeMap<Token, (u64, Outgoing<S::Key>)>,
    held: BTreeMap<S::Lane, Held<S::Key>>,
    /// What was in flight over an earlier connection.
    recalled: BTreeMap<u64, Outgoing<S::Key>>,
    receipts: Vec<Receipt>,
    order: u64,
}

impl<S: Source> Uplink<S> {
    /// Without a connection.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let config = ClientConfig {
            clean_start: true,
            keep_alive_seconds: 30,
            inflight_max: NonZeroU16::MIN.saturating_add(31),
            queue_messages_max: IN_FLIGHT,
            queue_bytes_max: usize::MAX,
            ..ClientConfig::new(Text::try_from(name).unwrap_or_default())
        };
        let (in_flight, held, recalled, receipts) = Default::default();
        let (client, input) = (Client::new(config), BytesMut::new());
        Self { client, input, conn: None, in_flight, held, recalled, receipts, order: 0 }
    }

    /// The connection that it uses.
    #[must_use]
    pub const fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// There is a connection.
    pub fn opened(&mut self, conn: ConnId, now: Timestamp) {
        self.conn = Some(conn);
        self.input.clear();
        let in_order = self.in_flight.values().is_sorted_by_key(|(order, _)| *order);
        if !in_order || !self.held.is_empty() {
            self.client.forget_unacknowledged();
            for (order, message) in std::mem::take(&mut self.in_flight).into_values() {
                self.put(order, message);
            }
        }
        self.client.opened(now);
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        if self.conn.take().is_some() {
            self.client.closed();
        }
    }

    /// Takes bytes, or the end of the connection; whether it is still there.
    pub fn taken(&mut self, piece: Option<&Bytes>, now: Timestamp) -> bool {
        let Some(bytes) = piece else {
            self.lost();
            return false;
        };
        self.input.extend_from_slice(bytes);
        self.client.receive(now, &mut self.input);
        true
    }

    /// Whether it is connected, and nothing is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_empty = self.in_flight.is_empty() && self.held.is_empty() && self.recalled.is_empty();
        self.client.is_online() && is_empty
    }

    /// Asks and tells the source, and gives what is to be sent. The connection may be over then.
    pub fn step(&mut self, source: &mut S, now: Timestamp) -> Bytes {
        if self.client.next_deadline().is_some_and(|at| at <= now) {
            self.client.tick(now);
        }
        self.events(source, now);
        if self.client.is_online() {
            for receipt in std::mem::take(&mut self.receipts) {
                self.client.ack(now, receipt);
            }
            while self.in_flight.len() < IN_FLIGHT
                && let Some((order, message)) = self.next(source, now)
            {
                self.publish(order, message, now);
            }
        }
        self.client.take_output()
    }

    fn events(&mut self, source: &mut S, now: Timestamp) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Connected(_) => {
                    source.connected();
                    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
                    let ask = |filter| SubscribeRequest { filter, options };
                    let requests: Vec<_> = source.subscriptions().into_iter().map(ask).collect();
                    let _full = self.client.subscribe(now, requests, None);
                }
                Event::Published { token, reason } => self.answered(source, token, reason, now),
                Event::Message { publish, receipt } => {
                    if let PublishTopic::Name(topic) = publish.topic {
                        let expires_in = publish.properties.message_expiry;
                        source.received(Received { topic, payload: publish.payload, expires_in });
                    }
                    self.receipts.extend(receipt);
                }
                Event::Closed(_) => {
                    self.conn = None;
                    // They are of that connection.
                    self.receipts.clear();
                }
                Event::Answered { .. } | Event::Unanswered { .. } => {}
            }
        }
    }

    fn answered(&mut self, source: &mut S, token: Token, reason: ReasonCode, now: Timestamp) {
        let Some((order, message)) = self.in_flight.remove(&token) else { return };
        if !reason.is_failure() {
            return source.delivered(message.key);
        }
        if is_final(reason) {
            source.refused(message.key, reason);
            return;
        }
        self.hold_back(S::lane(&message.key), now.plus_micros(RETRY_AFTER));
        self.put(order, message);
    }

    fn hold_back(&mut self, lane: S::Lane, until: Timestamp) {
        if let Some(held) = self.held.get_mut(&lane) {
            held.until = until;
            return;
        }
        let messages = self.recalled.extract_if(.., |_, message| S::lane(&message.key) == lane).collect();
        self.held.insert(lane, Held { until, messages });
    }

    fn put(&mut self, order: u64, message: Outgoing<S::Key>) {
        match self.held.get_mut(&S::lane(&message.key)) {
            Some(held) => held.messages.insert(order, message),
            None => self.recalled.insert(order, message),
        };
    }

    fn next(&mut self, source: &mut S, now: Timestamp) -> Option<(u64, Outgoing<S::Key>)> {
        // A clock that was set back holds nothing longer than that.
        let is_due = |held: &Held<_>| held.until <= now || held.until.micros_since(now) > RETRY_AFTER;
        let due = self.held.iter_mut().find(|(_, held)| is_due(held));
        if let Some((lane, held)) = due {
            let next = held.messages.pop_first();
            if held.messages.is_empty() {
                let lane = lane.clone();
                self.held.remove(&lane);
            }
            return next;
        }
        if let Some(recalled) = self.recalled.pop_first() {
            return Some(recalled);
        }
        let held: BTreeSet<S::Lane> = self.held.keys().cloned().collect();
        let message = source.next(&held)?;
        self.order += 1;
        Some((self.order, message))
    }

    fn publish(&mut self, order: u64, message: Outgoing<S::Key>, now: Timestamp) {
        let publish = Message {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: QoS::AtLeastOnce,
            retain: message.retain,
            properties: MessageProperties::default(),
        };
        match self.client.publish(now, publish) {
            Ok(token) => drop(self.in_flight.insert(token, (order, message))),
            Err(_) => self.put(order, message),
        }
    }
}
