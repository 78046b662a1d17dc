//! A member's session with the core. It speaks MQTT inside this process, so that a core knows one kind of member: what a
//! member says is answered when the core acknowledges it, which is when it is durable, and what the core has for it is
//! acknowledged when the member has taken it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use thingward_coap::wire::What;
use thingward_model::clock::now;
use thingward_model::{Principal, Timestamp};
use thingward_mqtt::broker::ConnId;
use thingward_mqtt::client::{Client, ClientConfig, Event, Message, PublishError, Receipt, Token};
use thingward_mqtt::codec::{
    MessageProperties, Publish, PublishTopic, QoS, ReasonCode, SubscribeRequest, SubscriptionOptions, Text,
};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use tokio::sync::{mpsc, oneshot};

use super::down::{Arrived, WAITING_MAX};
use crate::Member;
use crate::listener::Core;
use crate::output::output;

/// Names the session: no other of the same member may have the name.
const CLIENT_ID: &str = "coap";
/// What is asked for. A gateway lets its members have less than a service does.
const FILTERS: [&str; 4] = [
    "devices/me/commands/+",
    "devices/me/grants/revocation",
    "devices/me/attestation",
    "devices/me/membership",
];

/// Something that a member says.
pub(super) struct Say {
    pub(super) topic: String,
    pub(super) message: Vec<u8>,
    /// Whether it is kept for later listeners.
    pub(super) retain: bool,
    pub(super) done: oneshot::Sender<ReasonCode>,
}

/// What becomes of a session.
pub(super) enum News {
    /// There is something for the member.
    Arrived(Arrived),
    /// The core has ended it.
    Ended,
}

/// What a session is told.
pub(super) struct Orders {
    pub(super) says: mpsc::Receiver<Say>,
    /// No more than the core has sent.
    pub(super) taken: mpsc::UnboundedReceiver<Receipt>,
}

/// What became of the session of this member with this number.
pub(super) type Told = (Principal, ConnId, News);

/// Runs until nobody can give orders any more, or the core ends it.
pub(super) async fn run<C: Core>(
    core: C,
    conn: ConnId,
    who: Member,
    mut orders: Orders,
    news: mpsc::Sender<Told>,
) {
    let principal = who.principal;
    let (output, mut waiting) = output();
    core.accept(conn, who, output).await;
    let mut client = Client::new(config());
    let (mut input, mut said) = (BytesMut::new(), BTreeMap::<Token, oneshot::Sender<ReasonCode>>::new());
    client.opened(now());
    loop {
        let mut is_over = false;
        while let Some(event) = client.poll_event() {
            match event {
                Event::Connected(_) => subscribe(&mut client),
                // Who asked may have gone.
                Event::Published { token, reason } => {
                    said.remove(&token).map(|done| done.send(reason));
                }
                Event::Message { publish, receipt } => match arrived(*publish, receipt) {
                    Some(arrived) => drop(news.send((principal, conn, News::Arrived(arrived))).await),
                    None => receipt.into_iter().for_each(|receipt| client.ack(now(), receipt)),
                },
                Event::Closed(by) => {
                    tracing::debug!(?by, "a session with the core ends");
                    is_over = true;
                }
                Event::Answered { .. } | Event::Unanswered { .. } => {}
            }
        }
        let bytes = client.take_output();
        if !bytes.is_empty() {
            core.received(conn, BytesMut::from(bytes).into()).await;
        }
        if is_over {
            let _ = news.send((principal, conn, News::Ended)).await;
            break;
        }
        tokio::select! {
            piece = waiting.next() => match piece {
                Some(piece) => {
                    input.extend_from_slice(&piece);
                    client.receive(now(), &mut input);
                }
                None => client.closed(),
            },
            say = orders.says.recv() => match say {
                Some(say) => publish(&mut client, say, &mut said),
                None => break,
            },
            Some(receipt) = orders.taken.recv() => client.ack(now(), receipt),
            () = due(client.next_deadline()) => client.tick(now()),
        }
    }
    core.closed(conn).await;
}

fn config() -> ClientConfig {
    let waiting = u16::try_from(WAITING_MAX).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
    ClientConfig {
        clean_start: true,
        // What is not taken is sent again by who wants it done.
        session_expiry_seconds: 0,
        keep_alive_seconds: 0,
        receive_maximum: waiting,
        ..ClientConfig::new(Text::try_from(CLIENT_ID).unwrap_or_default())
    }
}

fn subscribe(client: &mut Client) {
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    let filters = FILTERS.into_iter().filter_map(|filter| TopicFilter::try_from(filter).ok());
    let requests = filters.map(|filter| SubscribeRequest { filter, options }).collect();
    if let Err(error) = client.subscribe(now(), requests, None) {
        tracing::warn!(%error, "nothing comes down to a thing");
    }
}

fn publish(client: &mut Client, say: Say, said: &mut BTreeMap<Token, oneshot::Sender<ReasonCode>>) {
    let Say { topic, message, retain, done } = say;
    let Ok(topic) = TopicName::try_from(topic.as_str()) else {
        let _ = done.send(ReasonCode::TopicNameInvalid);
        return;
    };
    let properties = MessageProperties::default();
    let message = Message { topic, payload: Bytes::from(message), qos: QoS::AtLeastOnce, retain, properties };
    let refused = match client.publish(now(), message) {
        Ok(token) => {
            said.insert(token, done);
            return;
        }
        Err(PublishError::TooLarge) => ReasonCode::PacketTooLarge,
        Err(PublishError::Full | PublishError::NotConnected | PublishError::NoPacketId) => {
            ReasonCode::QuotaExceeded
        }
    };
    let _ = done.send(refused);
}

/// A message of the core as what a member is shown; `None` for what is nothing to it.
fn arrived(publish: Publish, receipt: Option<Receipt>) -> Option<Arrived> {
    let PublishTopic::Name(topic) = &publish.topic else { return None };
    let bytes = publish.payload.to_vec();
    let what = match topic.as_str().strip_prefix("devices/me/")? {
        "grants/revocation" => What::Revocation(bytes),
        "attestation" => What::Evidence,
        "membership" => What::Membership(bytes),
        other => {
            let mut id = [0; 16];
            let read = base16ct::lower::decode(other.strip_prefix("commands/")?, &mut id).ok()?.len();
            (read == id.len()).then_some(What::Command { id, command: bytes })?
        }
    };
    let expiry = publish.properties.message_expiry;
    let until = expiry.and_then(|left| Instant::now().checked_add(Duration::from_secs(left.into())));
    Some(Arrived { what, until, receipt })
}

async fn due(deadline: Option<Timestamp>) {
    match deadline {
        None => std::future::pending().await,
        Some(at) => {
            let micros = u64::try_from(at.micros_since(now())).unwrap_or_default();
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }
}
