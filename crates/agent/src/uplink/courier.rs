//! Between the connection and the source: what is in flight, what has to be sent again, and the thread that
//! waits for files so that the network does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::TopicFilter;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Outgoing, Received, Source};

/// How long after a failure that may pass the message is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Most payload bytes that are fetched at once.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most messages that are held back. Beyond them nothing new is fetched: what fails everywhere would only pile up.
const HELD_MAX: usize = 256;

/// Most messages without acknowledgement that wait for the source.
const RECEIVED_MAX: usize = 64;

/// The order in which messages came from the source.
pub(crate) type Order = u64;

/// How a message ended.
enum Outcome {
    Delivered,
    Refused(ReasonCode),
}

/// What the source's thread brings back.
struct Visit<S: Source, R> {
    source: S,
    messages: Vec<Outgoing<S::Key>>,
    /// It was asked for messages and has no more.
    is_dry: bool,
    /// Messages that it dropped.
    dropped: u64,
    /// Of the messages that it was given.
    receipts: Vec<R>,
}

/// The source, which is either here or at work on its thread.
enum Place<S: Source, R> {
    Here(S),
    Away(JoinHandle<Visit<S, R>>),
    Gone,
}

/// Messages of a lane behind one that was refused with a reason that passes, until that one may go again.
struct Held<K> {
    until: Instant,
    messages: BTreeMap<Order, Outgoing<K>>,
}

/// See the module. `T` names what is in flight, and `R` what came down, to the protocol that carries it.
pub(crate) struct Courier<S: Source, T, R> {
    place: Place<S, R>,
    wake: Arc<Notify>,
    in_flight_max: usize,
    in_flight: BTreeMap<T, (Order, Outgoing<S::Key>)>,
    held: BTreeMap<S::Lane, Held<S::Key>>,
    /// Of lanes that are not held back.
    fetched: BTreeMap<Order, Outgoing<S::Key>>,
    next_order: Order,
    ended: Vec<(S::Key, Outcome)>,
    /// Messages for the source.
    received: Vec<(Received, Option<R>)>,
    /// Messages that the source has, to be acknowledged.
    receipts: Vec<R>,
    subscriptions: Vec<TopicFilter>,
    /// The source may have more than it was asked for.
    has_more: bool,
    /// The source does not know of the connection yet.
    is_new_connection: bool,
    dropped: u64,
}

/// The source's thread panicked; its messages are on disk.
pub(crate) struct SourceGone;

impl<S: Source, T: Ord, R: Send + 'static> Courier<S, T, R> {
    pub(crate) fn new(source: S, wake: Arc<Notify>, in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            subscriptions: source.subscriptions(),
            place: Place::Here(source),
            wake,
            in_flight: BTreeMap::new(),
            held: BTreeMap::new(),
            fetched: BTreeMap::new(),
            next_order: 0,
            ended: Vec::new(),
            received: Vec::new(),
            receipts: Vec::new(),
            has_more: true,
            is_new_connection: false,
            dropped: 0,
        }
    }

    /// There is a new connection.
    pub(crate) fn connected(&mut self) {
        self.is_new_connection = true;
        self.has_more = true;
    }

    /// What the source wants to hear of.
    pub(crate) fn subscriptions(&self) -> &[TopicFilter] {
        &self.subscriptions
    }

    /// Takes a message for the source. Those that want no acknowledgement are let go when too many wait; the others
    /// are bounded by the connection's receive maximum.
    pub(crate) fn receive(&mut self, message: Received, receipt: Option<R>) {
        if receipt.is_some() || self.received.len() < RECEIVED_MAX {
            self.received.push((message, receipt));
        }
    }

    /// Messages that the source has taken since the last call.
    pub(crate) fn take_receipts(&mut self) -> Vec<R> {
        std::mem::take(&mut self.receipts)
    }

    /// Messages that were refused and dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next message to publish, when one more may be in flight.
    pub(crate) fn pop(&mut self) -> Option<(Order, Outgoing<S::Key>)> {
        if self.in_flight.len() >= self.in_flight_max {
            return None;
        }
        let now = Instant::now();
        let Some((lane, held)) = self.held.iter_mut().find(|(_, held)| held.until <= now) else {
            return self.fetched.pop_first();
        };
        let message = held.messages.pop_first();
        if held.messages.is_empty() {
            let lane = lane.clone();
            self.held.remove(&lane);
            self.has_more = true;
        }
        message
    }

    pub(crate) fn sent(&mut self, token: T, order: Order, message: Outgoing<S::Key>) {
        self.in_flight.insert(token, (order, message));
    }

    /// Takes a message that is to be sent, behind those of its lane that are held back.
    pub(crate) fn put(&mut self, order: Order, message: Outgoing<S::Key>) {
        match self.held.get_mut(&S::lane(&message.key)) {
            Some(held) => held.messages.insert(order, message),
            None => self.fetched.insert(order, message),
        };
    }

    /// Whether what is in flight, sent again as it was sent, would overtake something: what is held back, or what was held back
    /// and is in flight behind it.
    pub(crate) fn would_overtake(&self) -> bool {
        !self.held.is_empty() || !self.in_flight.values().is_sorted_by_key(|(order, _)| *order)
    }

    /// What is in flight goes again, in its order: the protocol has forgotten it with its connection.
    pub(crate) fn recall(&mut self) {
        for (_, (order, message)) in std::mem::take(&mut self.in_flight) {
            self.put(order, message);
        }
    }

    /// The other end answered. Says whether it took the message.
    pub(crate) fn answered(&mut self, token: T, reason: ReasonCode) -> bool {
        let Some((order, message)) = self.in_flight.remove(&token) else { return false };
        if !reason.is_failure() {
            self.ended.push((message.key, Outcome::Delivered));
            return true;
        }
        tracing::info!(topic = %message.topic, code = reason.code(), "message refused");
        if is_final(reason) {
            self.ended.push((message.key, Outcome::Refused(reason)));
        } else {
            self.hold_back(S::lane(&message.key));
            self.put(order, message);
        }
        false
    }

    /// Nothing of the lane leaves for a while, so that nothing overtakes what has to go again.
    fn hold_back(&mut self, lane: S::Lane) {
        let until = Instant::now() + RETRY_AFTER;
        if let Some(held) = self.held.get_mut(&lane) {
            held.until = until;
            return;
        }
        let messages = self.fetched.extract_if(.., |_, message| S::lane(&message.key) == lane).collect();
        self.held.insert(lane, Held { until, messages });
    }

    /// When something that was held back may go; `None` also when nothing more may be in flight.
    pub(crate) fn again_at(&self) -> Option<Instant> {
        let has_room = self.in_flight.len() < self.in_flight_max;
        self.held.values().map(|held| held.until).min().filter(|_| has_room)
    }

    /// Sends the source to its thread when there is something to tell or to ask it.
    pub(crate) fn dispatch(&mut self) {
        let held: usize = self.held.values().map(|held| held.messages.len()).sum();
        let taken = self.in_flight.len() + self.fetched.len();
        let room = if held < HELD_MAX { self.in_flight_max.saturating_sub(taken) } else { 0 };
        let asks = self.has_more && room > 0;
        if self.ended.is_empty() && self.received.is_empty() && !asks && !self.is_new_connection {
            return;
        }
        let mut source = match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Here(source) => source,
            other => {
                self.place = other;
                return;
            }
        };
        let ended = std::mem::take(&mut self.ended);
        let received = std::mem::take(&mut self.received);
        let held: BTreeSet<S::Lane> = self.held.keys().cloned().collect();
        let is_new_connection = std::mem::take(&mut self.is_new_connection);
        self.place = Place::Away(tokio::task::spawn_blocking(move || {
            if is_new_connection {
                source.connected();
            }
            let mut receipts = Vec::new();
            for (message, receipt) in received {
                source.received(message);
                receipts.extend(receipt);
            }
            let mut dropped = 0;
            for (key, outcome) in ended {
                match outcome {
                    Outcome::Delivered => source.delivered(key),
                    Outcome::Refused(reason) => dropped += u64::from(source.refused(key, reason)),
                }
            }
            let mut messages = Vec::new();
            let mut bytes = 0;
            let mut is_dry = !asks;
            while asks && messages.len() < room && bytes < BATCH_BYTES_MAX {
                let Some(message) = source.next(&held) else {
                    is_dry = true;
                    break;
                };
                bytes += message.payload.len();
                messages.push(message);
            }
            Visit { source, messages, is_dry: asks && is_dry, dropped, receipts }
        }));
        if asks {
            // A wake-up from here on may be for something that the thread did not see any more.
            self.has_more = false;
        }
    }

    /// Waits for the source to come back, or for news from it. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Result<(), SourceGone> {
        tokio::select! {
            () = self.wake.notified() => self.has_more = true,
            visit = arrival(&mut self.place) => {
                let visit = visit?;
                self.place = Place::Here(visit.source);
                // Not dry: the batch was full, or nothing was asked.
                self.has_more |= !visit.is_dry;
                self.dropped += visit.dropped;
                self.receipts.extend(visit.receipts);
                for message in visit.messages {
                    self.put(self.next_order, message);
                    self.next_order += 1;
                }
            }
        }
        Ok(())
    }

    /// Tells the source what has ended; for the end of the uplink.
    pub(crate) async fn settle(&mut self) {
        self.has_more = false;
        // Not acknowledged, so that it comes again.
        self.received.clear();
        loop {
            if arrival_now(&mut self.place).await.is_err() {
                return;
            }
            if self.ended.is_empty() {
                return;
            }
            self.dispatch();
        }
    }
}

/// Whether the same message would be refused again: it is no readings, its topic cannot be, it is too large, or
/// its sender may not.
#[must_use]
pub fn is_final(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::PayloadFormatInvalid
            | ReasonCode::TopicNameInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::NotAuthorized
    )
}

async fn arrival<S: Source, R>(place: &mut Place<S, R>) -> Result<Visit<S, R>, SourceGone> {
    match place {
        Place::Here(_) => std::future::pending().await,
        Place::Away(visit) => visit.await.map_err(|_| SourceGone),
        Place::Gone => Err(SourceGone),
    }
}

async fn arrival_now<S: Source, R>(place: &mut Place<S, R>) -> Result<(), SourceGone> {
    if matches!(place, Place::Here(_)) {
        return Ok(());
    }
    // What it fetched comes again later.
    *place = Place::Here(arrival(place).await?.source);
    Ok(())
}
