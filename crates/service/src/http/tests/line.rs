//! A member that speaks MQTT with the core, past TLS.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thingward_ingress::{Core as _, Member, Waiting, output};
use thingward_model::Principal;
use thingward_model::clock::now;
use thingward_mqtt::codec::{
    Ack, AckKind, Connect, ConnectProperties, Delivery, MessageProperties, Packet, PacketId, Publish,
    PublishTopic, QoS, ReasonCode, Receiver, Subscribe, SubscribeRequest, SubscriptionOptions, Text, Version,
    decode,
};
use thingward_mqtt::topic::{TopicFilter, TopicName};

use crate::core::CoreHandle;

const PACKET_BYTES_MAX: usize = 1 << 20;

/// A connection whose other end has shown its certificate.
pub(super) struct Line {
    core: CoreHandle,
    conn: u64,
    waiting: Waiting,
    buffer: BytesMut,
}

impl Line {
    /// Connects, with a new session under the member's name.
    pub(super) async fn open(core: CoreHandle, principal: Principal) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
        let conn = NEXT.fetch_add(1, Ordering::Relaxed);
        let (own, waiting) = output();
        let not_after = now().plus_micros(3_600_000_000);
        core.accept(
            conn,
            Member { principal, serial: vec![1], not_after, link: thingward_model::Link::MutualTls },
            own,
        )
        .await;
        let mut line = Self { core, conn, waiting, buffer: BytesMut::new() };
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 0,
            client_id: Text::try_from(principal.name.as_str()).unwrap(),
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        line.send(&Packet::Connect(Box::new(connect))).await;
        assert!(matches!(line.next().await, Packet::ConnAck(_)));
        line
    }

    async fn send(&self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(Version::V5, PACKET_BYTES_MAX, &mut bytes).unwrap();
        self.core.received(self.conn, bytes.into()).await;
    }

    async fn next(&mut self) -> Packet {
        for _ in 0..1000 {
            let read = decode(Receiver::Client, Version::V5, &mut self.buffer, PACKET_BYTES_MAX).unwrap();
            if let Some(packet) = read {
                return packet;
            }
            match self.waiting.poll_next(&Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(piece)) => self.buffer.extend_from_slice(&piece),
                Poll::Ready(None) | Poll::Pending => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("nothing came");
    }

    pub(super) async fn publish(&mut self, topic: &str, payload: &[u8]) -> ReasonCode {
        self.send_publish(topic, payload).await;
        match self.next().await {
            Packet::Ack(AckKind::PubAck, Ack { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Publishes nothing to a topic; the message that comes of it.
    pub(super) async fn ask(&mut self, topic: &str) -> (String, Bytes) {
        self.send_publish(topic, b"").await;
        let (mut message, mut reason) = (None, None);
        while message.is_none() || reason.is_none() {
            match self.next().await {
                Packet::Ack(AckKind::PubAck, ack) => reason = Some(ack.reason),
                Packet::Publish(Publish { topic: PublishTopic::Name(topic), payload, .. }) => {
                    message = Some((topic.as_str().to_owned(), payload));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reason, Some(ReasonCode::Success));
        message.unwrap()
    }

    /// Whether nothing came.
    pub(super) fn is_silent(&mut self) -> bool {
        !matches!(self.waiting.poll_next(&Context::from_waker(Waker::noop())), Poll::Ready(Some(_)))
    }

    async fn send_publish(&mut self, topic: &str, payload: &[u8]) {
        let publish = Publish {
            topic: PublishTopic::Name(TopicName::try_from(topic).unwrap()),
            delivery: Delivery::AtLeastOnce { id: PacketId::MIN, duplicate: false },
            retain: false,
            properties: MessageProperties::default(),
            subscription_ids: Vec::new(),
            payload: Bytes::copy_from_slice(payload),
        };
        self.send(&Packet::Publish(publish)).await;
    }

    pub(super) async fn subscribe(&mut self, filter: &str) {
        let filter = TopicFilter::try_from(Text::try_from(filter).unwrap()).unwrap();
        let request = SubscribeRequest { filter, options: SubscriptionOptions::new(QoS::AtMostOnce) };
        let subscribe =
            Subscribe { id: PacketId::MIN, subscription_id: None, user: Vec::new(), requests: vec![request] };
        self.send(&Packet::Subscribe(subscribe)).await;
        assert!(matches!(self.next().await, Packet::FilterAck(..)));
    }

    pub(super) async fn message(&mut self) -> (String, Bytes) {
        match self.next().await {
            Packet::Publish(Publish { topic: PublishTopic::Name(topic), payload, .. }) => {
                (topic.as_str().to_owned(), payload)
            }
            other => panic!("{other:?}"),
        }
    }
}
