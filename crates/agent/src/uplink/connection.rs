//! One connection from its CONNECT to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::ClientConfig;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_mqtt::client::{Client, ClosedBy, Event, Message};
use thingward_mqtt::codec::{
    MessageProperties, PublishTopic, QoS, ReasonCode, SubscribeRequest, SubscriptionOptions,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{MqttCourier, Received, Source, UplinkStatus, stopped};

/// Longest time that the transport may take for what we write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time for a last word.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that lived so long, or delivered something, was worth having.
const USEFUL_AFTER: Duration = Duration::from_secs(10);

/// Why a connection ended.
pub(crate) enum End {
    /// We were told to stop.
    Stopped,
    /// There is a new certificate to connect with.
    Renewed,
    /// The source cannot be used any more.
    SourceGone,
    /// It broke, or the other end wanted it so.
    Lost { reason: String, was_useful: bool },
}

/// Runs the connection. What is in flight at its end stays with the client for the next one, unless it would overtake something
/// then: the courier sends all of it again in its order.
pub(super) async fn run<S: Source, T: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client,
    mut stream: T,
    courier: &mut MqttCourier<S>,
    status: &watch::Sender<UplinkStatus>,
    tls: &mut watch::Receiver<Arc<ClientConfig>>,
    stop: &mut watch::Receiver<bool>,
) -> End {
    let started = Instant::now();
    let mut input = BytesMut::with_capacity(8 * 1024);
    let mut deliveries = false;
    if courier.would_overtake() {
        client.forget_unacknowledged();
        courier.recall();
    }
    client.opened(now());
    loop {
        if let Some(reason) = take_events(client, courier, status, &mut deliveries) {
            let _goodbye = flush(client, &mut stream).await;
            let _closed = timeout(GOODBYE_TIMEOUT, stream.shutdown()).await;
            return End::Lost { reason, was_useful: deliveries || started.elapsed() > USEFUL_AFTER };
        }
        if client.is_online() {
            for receipt in courier.take_receipts() {
                client.ack(now(), receipt);
            }
            publish(client, courier);
            courier.dispatch();
        }
        if let Err(reason) = flush(client, &mut stream).await {
            client.closed();
            take_events(client, courier, status, &mut deliveries);
            return End::Lost { reason, was_useful: deliveries };
        }
        let again_at = courier.again_at().filter(|_| client.is_online());
        tokio::select! {
            () = stopped(stop) => {
                leave(client, &mut stream).await;
                take_events(client, courier, status, &mut deliveries);
                courier.settle().await;
                return End::Stopped;
            }
            () = renewed(tls) => {
                leave(client, &mut stream).await;
                take_events(client, courier, status, &mut deliveries);
                return End::Renewed;
            }
            read = stream.read_buf(&mut input) => match read {
                Ok(0) | Err(_) => client.closed(),
                Ok(_) => client.receive(now(), &mut input),
            },
            changed = courier.changed() => {
                if changed.is_err() {
                    leave(client, &mut stream).await;
                    return End::SourceGone;
                }
                let dropped = courier.dropped();
                status.send_if_modified(|s| std::mem::replace(&mut s.refused, dropped) != dropped);
            }
            () = due(client.next_deadline()) => client.tick(now()),
            () = retry(again_at) => {}
        }
    }
}

fn publish<S: Source>(client: &mut Client, courier: &mut MqttCourier<S>) {
    while let Some((order, message)) = courier.pop() {
        let publish = Message {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: QoS::AtLeastOnce,
            retain: message.retain,
            properties: MessageProperties::default(),
        };
        match client.publish(now(), publish) {
            Ok(token) => courier.sent(token, order, message),
            Err(_) => return courier.put(order, message),
        }
    }
}

/// The reason, once the connection is over.
fn take_events<S: Source>(
    client: &mut Client,
    courier: &mut MqttCourier<S>,
    status: &watch::Sender<UplinkStatus>,
    deliveries: &mut bool,
) -> Option<String> {
    while let Some(event) = client.poll_event() {
        match event {
            Event::Connected(_) => {
                courier.connected();
                subscribe(client, courier);
                status.send_modify(|s| {
                    s.online = true;
                    s.since = now();
                });
            }
            Event::Published { token, reason } => {
                if courier.answered(token, reason) {
                    *deliveries = true;
                    status.send_modify(|s| s.delivered += 1);
                }
            }
            Event::Closed(by) => return Some(explain(&by)),
            Event::Message { publish, receipt } => {
                if let PublishTopic::Name(topic) = publish.topic {
                    let expires_in = publish.properties.message_expiry;
                    courier.receive(Received { topic, payload: publish.payload, expires_in }, receipt);
                }
            }
            Event::Answered { ack, .. } if ack.reasons.iter().any(|r| r.is_failure()) => {
                tracing::warn!(reasons = ?ack.reasons, "nothing comes down: the subscription was refused");
            }
            // Over the next connection it is asked again.
            Event::Answered { .. } | Event::Unanswered { .. } => {}
        }
    }
    None
}

fn subscribe<S: Source>(client: &mut Client, courier: &MqttCourier<S>) {
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    let filters = courier.subscriptions().iter();
    let requests: Vec<_> = filters.map(|f| SubscribeRequest { filter: f.clone(), options }).collect();
    if requests.is_empty() {
        return;
    }
    if let Err(error) = client.subscribe(now(), requests, None) {
        tracing::warn!(%error, "nothing comes down");
    }
}

async fn flush<T: AsyncWrite + Unpin>(client: &mut Client, stream: &mut T) -> Result<(), String> {
    let bytes: Bytes = client.take_output();
    if bytes.is_empty() {
        return Ok(());
    }
    let write = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    match timeout(WRITE_TIMEOUT, write).await {
        Ok(written) => written.map_err(|e| e.to_string()),
        Err(_) => Err("the other end takes nothing".to_owned()),
    }
}

/// A clean DISCONNECT.
async fn leave<T: AsyncWrite + Unpin>(client: &mut Client, stream: &mut T) {
    client.disconnect(ReasonCode::Success);
    let goodbye = async {
        let _said = flush(client, stream).await;
        let _closed = stream.shutdown().await;
    };
    let _in_time = timeout(GOODBYE_TIMEOUT, goodbye).await;
}

/// Never when nobody is left who could renew: the certificate then serves while it may.
async fn renewed(tls: &mut watch::Receiver<Arc<ClientConfig>>) {
    if tls.changed().await.is_err() {
        std::future::pending().await
    }
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

async fn retry(at: Option<Instant>) {
    match at {
        None => std::future::pending().await,
        Some(at) => tokio::time::sleep_until(at).await,
    }
}

fn explain(by: &ClosedBy) -> String {
    match by {
        ClosedBy::Client => "closed here".to_owned(),
        ClosedBy::Transport => "connection lost".to_owned(),
        ClosedBy::Refused(ack) => format!("connection refused: {:?}", ack.reason),
        ClosedBy::Server(packet) => format!("disconnected by the other end: {:?}", packet.reason),
        ClosedBy::Timeout => "the other end is silent".to_owned(),
        ClosedBy::Malformed(error) => format!("the other end does not speak MQTT: {error}"),
        ClosedBy::Protocol(reason) => format!("the other end breaks the protocol: {reason:?}"),
        ClosedBy::TooLarge => "the other end takes no packet of ours".to_owned(),
    }
}

#[cfg(test)]
mod tests;
