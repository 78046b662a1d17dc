//! Zigbee2MQTT as a source: its devices become things, on its word.
//!
//! It is spoken to over its broker, with MQTT 5. It publishes its devices under `bridge/devices`, with what each of them exposes,
//! what they say under their names, and takes what they are told there too. A device is known by its IEEE address, so that it may be
//! renamed. How its link is protected is not said, so that all is on its word ([`thingward_model::Link::Zigbee2Mqtt`]).
//!
//! What the broker kept is not told as a reading: nobody knows when it was so. What comes from then on is.

mod bridge;
mod device;
mod message;
mod slot;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use thingward_model::Timestamp;
use thingward_mqtt::client::{Client, ClientConfig, ClosedBy, Event, Token};
use thingward_mqtt::codec::{Binary, QoS, RetainHandling, SubscribeRequest, SubscriptionOptions, Text};
use thingward_mqtt::topic::TopicFilter;

use crate::outbox::Outbox;
use crate::wire::{Address, AdmissionState, Order, RefusalKind, Report, Secret, Sentence};
use crate::{Output, Radio};
use device::Device;
use slot::Proof;

/// What its topics begin with.
const BASE: &str = "zigbee2mqtt";
/// Largest message: all devices with what they expose.
const MESSAGE_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// So long the broker has to say what devices there are.
const GREETING_TIME: Duration = Duration::from_secs(30);

/// The client of a Zigbee2MQTT.
#[derive(Default)]
pub struct Zigbee2MqttRadio {
    phase: Phase,
    came: BytesMut,
    /// The coordinator's address.
    network: Option<Address>,
    devices: BTreeMap<Address, Device>,
    /// Devices that nobody wants any more.
    ignored: Vec<Address>,
    calls: Vec<Waiting>,
    is_away: bool,
    outbox: Outbox,
}

#[derive(Default)]
enum Phase {
    /// Nothing was ordered yet.
    #[default]
    Idle,
    /// Until it is known which devices there are; it is said when that is late.
    Greeting(Box<Client>, Option<Duration>),
    Listening(Box<Client>),
    /// It cannot go on.
    Broken,
}

/// A call whose end is to come.
struct Waiting {
    call: u32,
    thing: Address,
    property: String,
    proof: Proof,
    token: Token,
    until: Duration,
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the credentials are not a user name and a password with a colon between")]
    Credentials,
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
    #[error("the broker ended the connection: {0}")]
    Ended(String),
    #[error("the broker refuses the subscription: {0}")]
    Subscription(String),
}

impl Zigbee2MqttRadio {
    /// A client without a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, credentials: Option<&Secret>, now: Duration) -> Result<(), Broken> {
        // The broker names the session, which is over with the connection.
        let mut config = ClientConfig::new(Text::default());
        config.clean_start = true;
        config.session_expiry_seconds = 0;
        config.packet_bytes_max = MESSAGE_BYTES_MAX;
        if let Some(secret) = credentials {
            let (user, password) = std::str::from_utf8(secret.expose())
                .ok()
                .and_then(|text| text.split_once(':'))
                .ok_or(Broken::Credentials)?;
            config.username = Some(Text::try_from(user).map_err(|_| Broken::Credentials)?);
            let password = bytes::Bytes::copy_from_slice(password.as_bytes());
            config.password = Some(Binary::try_from(password).map_err(|_| Broken::Credentials)?);
        }
        let mut client = Client::new(config);
        client.opened(time(now));
        self.phase = Phase::Greeting(Box::new(client), Some(now + GREETING_TIME));
        Ok(())
    }

    fn events(&mut self, now: Duration) -> Result<(), Broken> {
        while let Some(event) = self.phase.client().and_then(Client::poll_event) {
            match event {
                Event::Connected(_) => {
                    self.subscribe(
                        &[format!("{BASE}/bridge/devices"), format!("{BASE}/bridge/state")],
                        true,
                        now,
                    );
                }
                Event::Answered { ack, .. } => {
                    if let Some(reason) = ack.reasons.iter().find(|reason| reason.is_failure()) {
                        return Err(Broken::Subscription(format!("{reason:?}")));
                    }
                }
                Event::Published { token, reason } => {
                    let failure = reason.is_failure().then(|| format!("the broker refuses it: {reason:?}"));
                    self.published(token, failure.as_deref());
                }
                Event::Unanswered { .. } => {}
                Event::Message { publish, receipt } => {
                    if let (Some(receipt), Some(client)) = (receipt, self.phase.client()) {
                        client.ack(time(now), receipt);
                    }
                    self.message(&publish, now);
                }
                Event::Closed(ClosedBy::Refused(ack)) => {
                    return Err(Broken::Refused(format!("{:?}", ack.reason)));
                }
                Event::Closed(by) => return Err(Broken::Ended(why(&by))),
            }
        }
        Ok(())
    }

    fn client(&mut self, now: Duration) -> Option<(&mut Client, Timestamp)> {
        Some((self.phase.client()?, time(now)))
    }

    fn subscribe(&mut self, topics: &[String], kept: bool, now: Duration) {
        let retain_handling = if kept { RetainHandling::Send } else { RetainHandling::DoNotSend };
        let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::new(QoS::AtLeastOnce) };
        let request = |topic: &String| {
            Some(SubscribeRequest { filter: TopicFilter::try_from(topic.as_str()).ok()?, options })
        };
        let requests: Vec<_> = topics.iter().filter_map(request).collect();
        let Some((client, now)) = self.client(now).filter(|_| !requests.is_empty()) else { return };
        // Where the broker takes no more, what is not subscribed to is not heard, and the session is about to end.
        let _ = client.subscribe(now, requests, None);
    }

    fn time(&mut self, now: Duration) {
        if let Phase::Greeting(_, until) = &mut self.phase
            && until.is_some_and(|until| now >= until)
        {
            *until = None;
            let trouble = "the broker knows of no Zigbee2MQTT";
            self.outbox.report(Report::Trouble(Sentence::fitting(trouble)));
        }
        if let Some((client, now)) = self.client(now) {
            client.tick(now);
        }
        self.give_up(now);
    }

    /// What came of something: where it cannot go on, the gateway hears why, and whoever waits that it will not be.
    fn settle(&mut self, result: Result<(), Broken>, now: Duration) {
        let result = result.and_then(|()| self.events(now));
        if let Some(client) = self.phase.client() {
            let bytes = client.take_output();
            self.outbox.line(bytes.to_vec());
        }
        if let Err(broken) = result {
            self.phase = Phase::Broken;
            for waiting in std::mem::take(&mut self.calls) {
                self.outbox.done(waiting.call, Some("the connection to the broker is gone"));
            }
            self.outbox.end(&broken.to_string());
        }
    }
}

impl Phase {
    fn client(&mut self) -> Option<&mut Client> {
        match self {
            Self::Greeting(client, _) | Self::Listening(client) => Some(client),
            Self::Idle | Self::Broken => None,
        }
    }
}

impl Radio for Zigbee2MqttRadio {
    fn order(&mut self, order: Order, now: Duration) {
        let mut result = Ok(());
        match order {
            Order::Start(start) => result = self.start(start.credentials.as_ref(), now),
            Order::Call(call) => self.call(&call, now),
            Order::Admit(_) => {
                self.outbox.refused(
                    None,
                    RefusalKind::Join,
                    "things join at Zigbee2MQTT, with its own means",
                );
                self.outbox.report(Report::Admission(AdmissionState::Closed));
            }
            Order::Close => self.outbox.report(Report::Admission(AdmissionState::Closed)),
            Order::Remove(thing) => self.remove(thing, now),
            Order::Kept | Order::Roll | Order::Ask(_) => {}
        }
        self.settle(result, now);
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        if let Some(client) = self.phase.client() {
            self.came.extend_from_slice(bytes);
            client.receive(time(now), &mut self.came);
        }
        self.settle(Ok(()), now);
    }

    fn tick(&mut self, now: Duration) {
        self.time(now);
        self.settle(Ok(()), now);
    }

    fn due(&self) -> Option<Duration> {
        let (client, greeting) = match &self.phase {
            Phase::Greeting(client, until) => (client.next_deadline(), *until),
            Phase::Listening(client) => (client.next_deadline(), None),
            Phase::Idle | Phase::Broken => (None, None),
        };
        let client = client.map(|at| Duration::from_micros(at.as_micros().unsigned_abs()));
        self.calls.iter().map(|waiting| waiting.until).chain(client).chain(greeting).min()
    }

    fn output(&mut self) -> Option<Output> {
        self.outbox.take()
    }
}

fn time(now: Duration) -> Timestamp {
    Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// Why a connection ended, in words.
fn why(by: &ClosedBy) -> String {
    match by {
        ClosedBy::Timeout => "it is silent".to_owned(),
        ClosedBy::Malformed(error) => error.to_string(),
        ClosedBy::Server(said) => format!("it says {:?}", said.reason),
        ClosedBy::Protocol(reason) => format!("what it sent is not allowed: {reason:?}"),
        ClosedBy::Client | ClosedBy::Transport | ClosedBy::Refused(_) | ClosedBy::TooLarge => {
            "it is over".to_owned()
        }
    }
}
