//! One connection that carries durable messages to a service or gateway, for as long as it takes, and brings what is for
//! this member. It is one of MQTT, or of what else is a [`Carrier`].
//!
//! Messages come from a [`Source`], which keeps them until they are said to be delivered. They are in flight a
//! few at a time; within a lane they keep their order: after a failure that may pass, nothing new of the lane leaves
//! before what failed is sent again. Other lanes go on.

mod connection;
mod courier;
mod route;

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_mqtt::client::{Client, ClientConfig as MqttConfig, Receipt, Token};
use thingward_mqtt::codec::{ReasonCode, Text};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::backoff::Backoff;
use crate::http::Endpoint;
pub(crate) use connection::End;
use connection::run;
pub(crate) use courier::Courier;
pub use courier::is_final;
pub use route::Route;

/// Where the messages come from. Called on a thread that may wait for files; one call at a time.
pub trait Source: Send + 'static {
    /// Names a message until its end is known.
    type Key: Send + 'static;

    /// Messages that keep their order among each other, and wait for nobody else.
    type Lane: Clone + Ord + Send + 'static;

    /// The lane of a message.
    fn lane(key: &Self::Key) -> Self::Lane;

    /// The next message that was not handed out yet, of a lane that is not held back; `None` when none waits.
    fn next(&mut self, held: &BTreeSet<Self::Lane>) -> Option<Outgoing<Self::Key>>;

    /// The other end has made the message durable. Ends come in any order.
    fn delivered(&mut self, key: Self::Key);

    /// The other end refused the message for good. Says whether the source has dropped it; else it hands it out
    /// again.
    fn refused(&mut self, key: Self::Key, reason: ReasonCode) -> bool;

    /// There is a new connection: the other end may have lost what it had acknowledged.
    fn connected(&mut self) {}

    /// What to ask for over each new connection, with QoS 1.
    fn subscriptions(&self) -> Vec<TopicFilter> {
        Vec::new()
    }

    /// A message came. It is acknowledged after this returns.
    fn received(&mut self, _message: Received) {}
}

/// A message from the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was published.
    pub topic: TopicName,
    /// What was published.
    pub payload: Bytes,
    /// Seconds that it stays of use; `None` for no end.
    pub expires_in: Option<u32>,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Outgoing<K> {
    /// The source's name for it.
    pub key: K,
    /// Where it goes.
    pub topic: TopicName,
    /// What goes there.
    pub payload: Bytes,
    /// Whether the other end keeps it for later subscribers.
    pub retain: bool,
}

/// Where to and how.
pub struct UplinkSettings {
    /// The service or a gateway.
    pub to: Endpoint,
    /// As whom, and whom to accept. A change, for example a renewed certificate, reconnects.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// Names the MQTT session; only sessions of the same certificate are in danger of having the same name.
    pub client_id: Text,
    /// Most messages on their way.
    pub in_flight_max: NonZeroU16,
    /// Longest silence in seconds.
    pub keep_alive_seconds: u16,
}

impl UplinkSettings {
    /// With 32 messages in flight and a keep-alive of 30 seconds.
    #[must_use]
    pub fn new(to: Endpoint, tls: watch::Receiver<Arc<ClientConfig>>, client_id: Text) -> Self {
        let in_flight_max = NonZeroU16::MIN.saturating_add(31);
        Self { to, tls, client_id, in_flight_max, keep_alive_seconds: 30 }
    }
}

/// How the uplink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkStatus {
    /// Whether the other end has accepted the connection.
    pub online: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// Messages delivered since the start.
    pub delivered: u64,
    /// Messages refused for good since the start.
    pub refused: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A running uplink. Dropping it cuts the connection.
pub struct Uplink {
    status: watch::Receiver<UplinkStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Uplink {
    /// Starts to connect with MQTT and keeps at it. `wake` has to be notified when the source has something new.
    ///
    /// MUST be called inside a tokio runtime.
    #[must_use]
    pub fn start<S: Source>(settings: UplinkSettings, source: S, wake: Arc<Notify>) -> Self {
        let in_flight_max = usize::from(settings.in_flight_max.get());
        let client = Client::new(mqtt_config(&settings));
        Self::over(Mqtt { settings, client }, in_flight_max, source, wake)
    }

    /// As [`Self::start`], over another protocol, with so many messages in flight.
    pub(crate) fn over<S: Source, C: Carrier>(
        carrier: C,
        in_flight_max: usize,
        source: S,
        wake: Arc<Notify>,
    ) -> Self {
        let first = UplinkStatus { online: false, since: now(), delivered: 0, refused: 0, last_error: None };
        let (status_tx, status) = watch::channel(first);
        let (stop, stop_rx) = watch::channel(false);
        let courier = Courier::new(source, wake, in_flight_max);
        let task = tokio::spawn(keep_up(carrier, courier, status_tx, stop_rx));
        Self { status, stop, task }
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> UplinkStatus {
        self.status.borrow().clone()
    }

    /// To watch how it is.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<UplinkStatus> {
        self.status.clone()
    }

    /// Says goodbye to the other end and stops. What is in flight is sent again by the next uplink.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "uplink ended badly");
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A protocol that carries messages.
pub(crate) trait Carrier: Send + 'static {
    /// Names what is in flight.
    type Token: Ord + Send + 'static;
    /// Names what came down.
    type Receipt: Send + 'static;

    /// Where to, for people.
    fn to(&self) -> String;

    /// Connects, and carries until that has an end.
    fn carry<S: Source>(
        &mut self,
        courier: &mut Courier<S, Self::Token, Self::Receipt>,
        status: &watch::Sender<UplinkStatus>,
        stop: &mut watch::Receiver<bool>,
    ) -> impl Future<Output = End> + Send;
}

/// MQTT over TLS.
struct Mqtt {
    settings: UplinkSettings,
    client: Client,
}

/// Of messages that MQTT carries.
pub(crate) type MqttCourier<S> = Courier<S, Token, Receipt>;

impl Carrier for Mqtt {
    type Token = Token;
    type Receipt = Receipt;

    fn to(&self) -> String {
        self.settings.to.to_string()
    }

    async fn carry<S: Source>(
        &mut self,
        courier: &mut MqttCourier<S>,
        status: &watch::Sender<UplinkStatus>,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let Self { settings, client } = self;
        let tls = settings.tls.borrow_and_update().clone();
        let connected = tokio::select! {
            () = stopped(stop) => {
                courier.settle().await;
                return End::Stopped;
            }
            connected = settings.to.connect(tls) => connected,
        };
        match connected {
            Ok(stream) => run(client, stream, courier, status, &mut settings.tls, stop).await,
            Err(e) => End::Lost { reason: e.to_string(), was_useful: false },
        }
    }
}

/// Connects again and again until it is told to stop.
async fn keep_up<S: Source, C: Carrier>(
    mut carrier: C,
    mut courier: Courier<S, C::Token, C::Receipt>,
    status: watch::Sender<UplinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    loop {
        let reason = match carrier.carry(&mut courier, &status, &mut stop).await {
            End::Stopped => return,
            End::Renewed => {
                set_offline(&status, None);
                continue;
            }
            End::SourceGone => {
                set_offline(&status, Some("the buffer's thread ended".to_owned()));
                return;
            }
            End::Lost { reason, was_useful } => {
                if was_useful {
                    backoff = Backoff::default();
                }
                reason
            }
        };
        let wait = backoff.next();
        tracing::warn!(to = %carrier.to(), %reason, wait_ms = wait.as_millis(), "uplink is down");
        set_offline(&status, Some(reason));
        tokio::select! {
            () = stopped(&mut stop) => return courier.settle().await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Also when nobody is left who could say so.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _said_or_gone = stop.wait_for(|s| *s).await;
}

fn set_offline(status: &watch::Sender<UplinkStatus>, error: Option<String>) {
    status.send_modify(|s| {
        if s.online {
            s.online = false;
            s.since = now();
        }
        if error.is_some() {
            s.last_error = error;
        }
    });
}

fn mqtt_config(settings: &UplinkSettings) -> MqttConfig {
    let in_flight = usize::from(settings.in_flight_max.get());
    MqttConfig {
        // What an earlier process had in flight comes again from the source.
        clean_start: true,
        keep_alive_seconds: settings.keep_alive_seconds,
        inflight_max: settings.in_flight_max,
        // The courier takes no more than may be in flight, so these only have to be large enough.
        queue_messages_max: in_flight,
        queue_bytes_max: usize::MAX,
        ..MqttConfig::new(settings.client_id.clone())
    }
}
