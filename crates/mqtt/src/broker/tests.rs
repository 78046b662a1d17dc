//! Clients made of packets against the broker, with a durable state that is really kept.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use thingward_model::Timestamp;

use super::*;
use crate::codec::*;
use crate::topic::{TopicFilter, TopicName};

mod delivery;
mod ends;
mod restart;
mod rules;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LIMIT: usize = 1 << 20;

/// Identities are numbers with a scope each. Nobody publishes to `forbidden`, `secret` is for 0 only, and `news` for who has room. What
/// `banned` published is delivered no more.
#[derive(Default, Clone)]
struct TestGate {
    banned: Option<u8>,
}

impl Gate for TestGate {
    type Identity = u8;

    fn scope(&self, who: &u8) -> Scope {
        Bytes::copy_from_slice(&[*who])
    }

    fn share(&self, topic: &TopicName) -> Scope {
        Bytes::copy_from_slice(topic.as_str().split('/').next().unwrap_or_default().as_bytes())
    }

    fn encode_identity(&self, who: &u8) -> Bytes {
        Bytes::copy_from_slice(&[*who])
    }

    fn decode_identity(&self, bytes: &[u8]) -> Option<u8> {
        bytes.first().copied()
    }

    fn connect(&mut self, _: Timestamp, who: &u8, _: &Connect) -> Result<(), ReasonCode> {
        if *who == 255 { Err(ReasonCode::NotAuthorized) } else { Ok(()) }
    }

    fn publish(&mut self, _: Timestamp, who: &u8, incoming: &Incoming<'_>) -> Result<Routed, ReasonCode> {
        let message = Message { author: Bytes::copy_from_slice(&[*who]), ..incoming.message.clone() };
        match message.topic.as_str() {
            "forbidden" => Err(ReasonCode::NotAuthorized),
            "news" => Ok(Routed::ToThoseWithRoom(message)),
            _ => Ok(Routed::ToAll(message)),
        }
    }

    fn subscribe(&mut self, _: &u8, filter: &TopicFilter) -> Result<TopicFilter, ReasonCode> {
        if filter.as_str() == "forbidden" { Err(ReasonCode::NotAuthorized) } else { Ok(filter.clone()) }
    }

    fn deliver(&mut self, who: &u8, message: &Message) -> Option<Delivered> {
        let delivered = Delivered { topic: message.topic.clone(), payload: message.payload.clone() };
        let is_banned = self.banned.is_some_and(|banned| message.author == [banned][..]);
        (!is_banned && (message.topic.as_str() != "secret" || *who == 0)).then_some(delivered)
    }
}

/// A broker, what is durable of it, and what its clients have received.
struct Bed {
    broker: Broker<TestGate>,
    limits: Limits,
    durable: BTreeMap<Vec<u8>, Bytes>,
    now: Timestamp,
    clients: BTreeMap<ConnId, Client>,
    next_conn: ConnId,
}

#[derive(Default)]
struct Client {
    version: Option<Version>,
    bytes: BytesMut,
    closed: bool,
}

impl Bed {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            broker: Broker::new(TestGate::default(), limits.clone()),
            limits,
            durable: BTreeMap::new(),
            now: START,
            clients: BTreeMap::new(),
            next_conn: 0,
        }
    }

    /// The process is killed and started again.
    fn restart(&mut self) {
        let entries = self.durable.clone().into_iter();
        let gate = self.broker.gate_mut().clone();
        self.broker = Broker::restore(gate, self.limits.clone(), self.now, entries);
        self.clients.clear();
        self.settle();
    }

    fn settle(&mut self) {
        let output = self.broker.drain();
        for change in output.changes {
            match change.value {
                Some(value) => drop(self.durable.insert(change.key, value)),
                None => drop(self.durable.remove(&change.key)),
            }
        }
        for effect in output.effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    self.clients.entry(conn).or_default().bytes.extend_from_slice(&bytes);
                }
                Effect::Close { conn } => self.clients.entry(conn).or_default().closed = true,
            }
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus_micros(seconds * 1_000_000);
        self.broker.tick(self.now);
        self.settle();
    }

    fn open(&mut self, who: u8) -> ConnId {
        self.next_conn += 1;
        self.broker.accept(self.now, self.next_conn, who);
        self.next_conn
    }

    fn send(&mut self, conn: ConnId, packet: Packet) {
        if let Packet::Connect(connect) = &packet {
            self.clients.entry(conn).or_default().version = Some(connect.version);
        }
        self.broker.receive(self.now, conn, packet);
        self.settle();
    }

    fn connect_as(&mut self, who: u8, connect: Connect) -> (ConnId, ConnAck) {
        let conn = self.open(who);
        self.send(conn, Packet::Connect(Box::new(connect)));
        let (packets, bytes) = self.take_first(conn);
        let Packet::ConnAck(ack) = packets else { panic!("{packets:?}") };
        self.clients.get_mut(&conn).unwrap().bytes = bytes;
        (conn, *ack)
    }

    fn take_first(&mut self, conn: ConnId) -> (Packet, BytesMut) {
        let client = self.clients.get_mut(&conn).unwrap();
        let mut bytes = std::mem::take(&mut client.bytes);
        let packet = decode(Receiver::Client, client.version.unwrap(), &mut bytes, LIMIT).unwrap().unwrap();
        (packet, bytes)
    }

    fn connect(&mut self, connect: Connect) -> ConnId {
        let (conn, ack) = self.connect_as(0, connect);
        assert_eq!(ack.reason, ReasonCode::Success);
        conn
    }

    fn close(&mut self, conn: ConnId) {
        self.broker.closed(self.now, conn);
        self.settle();
    }

    fn received(&mut self, conn: ConnId) -> Vec<Packet> {
        let Some(client) = self.clients.get_mut(&conn) else { return Vec::new() };
        let version = client.version.unwrap();
        let next = || decode(Receiver::Client, version, &mut client.bytes, LIMIT).unwrap();
        std::iter::from_fn(next).collect()
    }

    fn messages(&mut self, conn: ConnId) -> Vec<Publish> {
        let packets = self.received(conn);
        let publish = |p| if let Packet::Publish(p) = p { p } else { panic!("{p:?}") };
        packets.into_iter().map(publish).collect()
    }

    fn payloads(&mut self, conn: ConnId) -> Vec<String> {
        self.messages(conn).iter().map(|p| String::from_utf8(p.payload.to_vec()).unwrap()).collect()
    }

    fn is_closed(&self, conn: ConnId) -> bool {
        self.clients.get(&conn).is_some_and(|client| client.closed)
    }

    fn subscribe(&mut self, conn: ConnId, filter: &str, options: SubscriptionOptions) -> Vec<ReasonCode> {
        let filter = TopicFilter::try_from(filter).unwrap();
        let requests = vec![SubscribeRequest { filter, options }];
        let packet = Subscribe { id: PacketId::MAX, subscription_id: None, user: Vec::new(), requests };
        self.send(conn, Packet::Subscribe(packet));
        let (Packet::FilterAck(FilterAckKind::SubAck, ack), bytes) = self.take_first(conn) else { panic!() };
        self.clients.get_mut(&conn).unwrap().bytes = bytes;
        ack.reasons
    }

    fn publish(&mut self, conn: ConnId, topic: &str, payload: &str, qos: QoS) {
        self.send(conn, Packet::Publish(publish(topic, payload, qos)));
    }

    fn ack(&mut self, conn: ConnId, kind: AckKind, id: PacketId) {
        self.send(conn, Packet::Ack(kind, Ack::new(id, ReasonCode::Success)));
    }
}

fn publish(topic: &str, payload: &str, qos: QoS) -> Publish {
    let id = PacketId::MIN;
    Publish {
        topic: PublishTopic::Name(TopicName::try_from(topic).unwrap()),
        delivery: match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { id, duplicate: false },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { id, duplicate: false },
        },
        retain: false,
        properties: MessageProperties::default(),
        subscription_ids: Vec::new(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// An MQTT 5.0 client whose session ends with its connection.
fn passing(client_id: &str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::try_from(client_id).unwrap(),
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// An MQTT 5.0 client whose session lives on for an hour.
fn lasting(client_id: &str) -> Connect {
    let properties = ConnectProperties { session_expiry: Some(3600), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..passing(client_id) }
}

fn will(payload: &str, delay: Option<u32>) -> Option<Will> {
    Some(Will {
        topic: TopicName::try_from("wills").unwrap(),
        payload: Binary::try_from(Bytes::copy_from_slice(payload.as_bytes())).unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay,
        properties: MessageProperties::default(),
    })
}

const fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::new(qos)
}

fn acks(packets: &[Packet]) -> Vec<(AckKind, ReasonCode)> {
    packets
        .iter()
        .map(|p| if let Packet::Ack(kind, a) = p { (*kind, a.reason) } else { panic!("{p:?}") })
        .collect()
}

fn disconnected(packets: &[Packet]) -> Option<ReasonCode> {
    if let [Packet::Disconnect(packet)] = packets { Some(packet.reason) } else { panic!("{packets:?}") }
}
