//! Between the connection and the source: what is in flight, what has to be sent again, and the thread that
//! waits for files so that the network does not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use thingward_mqtt::client::Token;
use thingward_mqtt::codec::ReasonCode;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Outgoing, Source};

/// How long after a failure that may pass the message is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Most payload bytes that are fetched at once.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How a message ended.
enum Outcome {
    Delivered,
    Refused(ReasonCode),
}

type Visit<S> = (S, Vec<Outgoing<<S as Source>::Key>>, bool);

/// The source, which is either here or at work on its thread.
enum Place<S: Source> {
    Here(S),
    Away(JoinHandle<Visit<S>>),
    Gone,
}

/// See the module.
pub(super) struct Courier<S: Source> {
    place: Place<S>,
    wake: Arc<Notify>,
    in_flight_max: usize,
    in_flight: BTreeMap<Token, Outgoing<S::Key>>,
    /// In the order in which they were first sent.
    again: BTreeMap<Token, Outgoing<S::Key>>,
    again_at: Option<Instant>,
    fetched: VecDeque<Outgoing<S::Key>>,
    ended: Vec<(S::Key, Outcome)>,
    /// The source may have more than it was asked for.
    has_more: bool,
}

/// The source's thread panicked; its messages are on disk.
pub(super) struct SourceGone;

impl<S: Source> Courier<S> {
    pub(super) fn new(source: S, wake: Arc<Notify>, in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            place: Place::Here(source),
            wake,
            in_flight: BTreeMap::new(),
            again: BTreeMap::new(),
            again_at: None,
            fetched: VecDeque::new(),
            ended: Vec::new(),
            has_more: true,
        }
    }

    /// The next message to publish, when one more may be in flight.
    pub(super) fn pop(&mut self) -> Option<Outgoing<S::Key>> {
        if self.in_flight.len() >= self.in_flight_max {
            return None;
        }
        if let Some(at) = self.again_at {
            if Instant::now() < at {
                return None;
            }
            if let Some((_, message)) = self.again.pop_first() {
                return Some(message);
            }
            self.again_at = None;
        }
        self.fetched.pop_front()
    }

    pub(super) fn sent(&mut self, token: Token, message: Outgoing<S::Key>) {
        self.in_flight.insert(token, message);
    }

    /// It could not even be queued.
    pub(super) fn not_sent(&mut self, message: Outgoing<S::Key>) {
        self.fetched.push_front(message);
    }

    /// The other end answered. Says whether it took the message, refused it, or neither yet.
    pub(super) fn answered(&mut self, token: Token, reason: ReasonCode) -> Answer {
        let Some(message) = self.in_flight.remove(&token) else { return Answer::Later };
        match reason {
            ReasonCode::PayloadFormatInvalid | ReasonCode::NotAuthorized => {
                tracing::warn!(topic = %message.topic, code = reason.code(), "message refused for good");
                self.ended.push((message.key, Outcome::Refused(reason)));
                Answer::Refused
            }
            failure if failure.is_failure() => {
                tracing::info!(topic = %message.topic, code = reason.code(), "message refused for now");
                self.again.insert(token, message);
                self.again_at = Some(Instant::now() + RETRY_AFTER);
                Answer::Later
            }
            _ => {
                self.ended.push((message.key, Outcome::Delivered));
                Answer::Delivered
            }
        }
    }

    /// When there is something to send again; nothing once that time has come.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at.filter(|at| *at > Instant::now())
    }

    /// Sends the source to its thread when there is something to tell or to ask it.
    pub(super) fn dispatch(&mut self) {
        let taken = self.in_flight.len() + self.again.len() + self.fetched.len();
        // Nothing new overtakes what has to go again.
        let room = if self.again.is_empty() { self.in_flight_max.saturating_sub(taken) } else { 0 };
        let asks = self.has_more && room > 0;
        if self.ended.is_empty() && !asks {
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
        self.place = Place::Away(tokio::task::spawn_blocking(move || {
            for (key, outcome) in ended {
                match outcome {
                    Outcome::Delivered => source.delivered(key),
                    Outcome::Refused(reason) => source.refused(key, reason),
                }
            }
            let mut messages = Vec::new();
            let mut bytes = 0;
            let mut is_dry = !asks;
            while asks && messages.len() < room && bytes < BATCH_BYTES_MAX {
                let Some(message) = source.next() else {
                    is_dry = true;
                    break;
                };
                bytes += message.payload.len();
                messages.push(message);
            }
            (source, messages, asks && is_dry)
        }));
        if asks {
            // A wake-up from here on may be for something that the thread did not see any more.
            self.has_more = false;
        }
    }

    /// Waits for the source to come back, or for news from it. Cancel safe.
    pub(super) async fn changed(&mut self) -> Result<(), SourceGone> {
        tokio::select! {
            () = self.wake.notified() => self.has_more = true,
            visit = arrival(&mut self.place) => {
                let (source, messages, is_dry) = visit?;
                self.place = Place::Here(source);
                // Not dry: the batch was full, or nothing was asked.
                self.has_more |= !is_dry;
                self.fetched.extend(messages);
            }
        }
        Ok(())
    }

    /// Tells the source what has ended; for the end of the uplink.
    pub(super) async fn settle(&mut self) {
        self.has_more = false;
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

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Delivered,
    Refused,
    Later,
}

async fn arrival<S: Source>(place: &mut Place<S>) -> Result<Visit<S>, SourceGone> {
    match place {
        Place::Here(_) => std::future::pending().await,
        Place::Away(visit) => visit.await.map_err(|_| SourceGone),
        Place::Gone => Err(SourceGone),
    }
}

async fn arrival_now<S: Source>(place: &mut Place<S>) -> Result<(), SourceGone> {
    if matches!(place, Place::Here(_)) {
        return Ok(());
    }
    let (source, _fetched_again_later, _) = arrival(place).await?;
    *place = Place::Here(source);
    Ok(())
}
