//! The client against a server made of packets.

use bytes::{Bytes, BytesMut};
use thingward_model::Timestamp;

use super::*;
use crate::codec::*;
use crate::topic::{TopicFilter, TopicName};

const NOW: Timestamp = Timestamp::from_seconds(1_000);

fn seconds(after: i64) -> Timestamp {
    NOW.plus_micros(after * 1_000_000)
}

fn config() -> ClientConfig {
    ClientConfig {
        inflight_max: std::num::NonZeroU16::MIN,
        ..ClientConfig::new(Text::try_from("c").unwrap())
    }
}

fn message(payload: &'static str, qos: QoS) -> Message {
    Message {
        topic: TopicName::try_from("t").unwrap(),
        payload: Bytes::from_static(payload.as_bytes()),
        qos,
        retain: false,
        properties: MessageProperties::default(),
    }
}

fn sent(client: &mut Client) -> Vec<Packet> {
    let mut buf = BytesMut::from(client.take_output());
    std::iter::from_fn(|| decode(Receiver::Server, Version::V5, &mut buf, 1 << 20).unwrap()).collect()
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn receive(client: &mut Client, packet: &Packet) {
    let mut buf = BytesMut::new();
    packet.write(Version::V5, 1 << 20, &mut buf).unwrap();
    client.receive(NOW, &mut buf);
}

fn connect(client: &mut Client, session_present: bool) {
    client.opened(NOW);
    assert!(matches!(sent(client)[..], [Packet::Connect(_)]));
    receive(client, &Packet::ConnAck(Box::new(ConnAck::new(session_present, ReasonCode::Success))));
    assert!(matches!(client.poll_event(), Some(Event::Connected(_))));
}

fn ack(client: &mut Client, kind: AckKind, id: PacketId) {
    receive(client, &Packet::Ack(kind, Ack::new(id, ReasonCode::Success)));
}

fn published(packets: &[Packet]) -> (Delivery, &[u8]) {
    match packets {
        [Packet::Publish(p)] => (p.delivery, &p.payload),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_receive_maximum_of_the_server_holds_messages_back_in_order() {
    let mut client = Client::new(config());
    let first = client.publish(NOW, message("1", QoS::AtLeastOnce)).unwrap();
    let second = client.publish(NOW, message("2", QoS::ExactlyOnce)).unwrap();
    connect(&mut client, false);
    let packets = sent(&mut client);
    let (delivery, payload) = published(&packets);
    assert_eq!(payload, b"1");
    ack(&mut client, AckKind::PubAck, delivery.id().unwrap());
    let packets = sent(&mut client);
    let (delivery, payload) = published(&packets);
    assert_eq!((delivery.qos(), payload), (QoS::ExactlyOnce, &b"2"[..]));
    ack(&mut client, AckKind::PubRec, delivery.id().unwrap());
    assert!(matches!(sent(&mut client)[..], [Packet::Ack(AckKind::PubRel, _)]));
    ack(&mut client, AckKind::PubComp, delivery.id().unwrap());
    let reason = ReasonCode::Success;
    let wanted = [Event::Published { token: first, reason }, Event::Published { token: second, reason }];
    assert_eq!(events(&mut client), wanted);
    assert_eq!(client.pending(), 0);
}

#[test]
fn what_was_in_flight_is_sent_again_as_a_duplicate_or_anew_when_the_session_is_gone() {
    for present in [true, false] {
        let mut client = Client::new(config());
        connect(&mut client, false);
        client.publish(NOW, message("1", QoS::AtLeastOnce)).unwrap();
        sent(&mut client);
        client.closed();
        assert_eq!(events(&mut client), [Event::Closed(ClosedBy::Transport)]);
        connect(&mut client, present);
        let packets = sent(&mut client);
        let (delivery, payload) = published(&packets);
        assert_eq!(payload, b"1");
        assert!(matches!(delivery, Delivery::AtLeastOnce { duplicate, .. } if duplicate == present));
    }
}

#[test]
fn what_its_owner_publishes_again_is_not_sent_by_itself() {
    for present in [true, false] {
        let mut client = Client::new(config());
        connect(&mut client, false);
        for payload in ["1", "2"] {
            client.publish(NOW, message(payload, QoS::AtLeastOnce)).unwrap();
        }
        sent(&mut client);
        client.closed();
        client.forget_unacknowledged();
        assert_eq!(client.pending(), 0);
        events(&mut client);
        connect(&mut client, present);
        assert!(sent(&mut client).is_empty());
        client.publish(NOW, message("3", QoS::AtLeastOnce)).unwrap();
        assert_eq!(published(&sent(&mut client)).1, b"3");
    }
}

#[test]
fn a_qos_2_message_is_handed_over_once_although_it_comes_twice() {
    let mut client = Client::new(config());
    connect(&mut client, false);
    let id = PacketId::MIN;
    let mut publish = Publish {
        topic: PublishTopic::Name(TopicName::try_from("t").unwrap()),
        delivery: Delivery::ExactlyOnce { id, duplicate: false },
        retain: false,
        properties: MessageProperties::default(),
        subscription_ids: Vec::new(),
        payload: Bytes::new(),
    };
    receive(&mut client, &Packet::Publish(publish.clone()));
    let Some(Event::Message { receipt: Some(receipt), .. }) = client.poll_event() else { panic!() };
    assert!(sent(&mut client).is_empty(), "nothing is acknowledged before the owner says so");
    client.closed();
    events(&mut client);
    connect(&mut client, true);
    client.ack(NOW, receipt);
    assert!(sent(&mut client).is_empty(), "the server has not sent it on this connection");
    publish.delivery = Delivery::ExactlyOnce { id, duplicate: true };
    receive(&mut client, &Packet::Publish(publish));
    assert!(matches!(sent(&mut client)[..], [Packet::Ack(AckKind::PubRec, _)]));
    assert_eq!(client.poll_event(), None);
    ack(&mut client, AckKind::PubRel, id);
    assert!(matches!(sent(&mut client)[..], [Packet::Ack(AckKind::PubComp, _)]));
}

#[test]
fn a_silent_server_is_pinged_and_then_given_up() {
    let mut client = Client::new(config());
    connect(&mut client, false);
    assert_eq!(client.next_deadline(), Some(seconds(60)));
    client.tick(seconds(60));
    assert_eq!(sent(&mut client), [Packet::PingReq]);
    assert_eq!(client.next_deadline(), Some(seconds(70)));
    client.tick(seconds(70));
    assert_eq!(events(&mut client), [Event::Closed(ClosedBy::Timeout)]);
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn the_queue_is_bounded_and_qos_0_is_never_queued() {
    let mut client = Client::new(ClientConfig { queue_messages_max: 1, ..config() });
    assert_eq!(client.publish(NOW, message("0", QoS::AtMostOnce)), Err(PublishError::NotConnected));
    assert!(client.publish(NOW, message("1", QoS::AtLeastOnce)).is_ok());
    assert_eq!(client.publish(NOW, message("2", QoS::AtLeastOnce)), Err(PublishError::Full));
}

#[test]
fn a_message_larger_than_the_server_takes_is_refused_and_the_next_one_goes_out() {
    let mut client = Client::new(config());
    let large = client.publish(NOW, message("much too large for this server", QoS::AtLeastOnce)).unwrap();
    client.publish(NOW, message("2", QoS::AtLeastOnce)).unwrap();
    client.opened(NOW);
    sent(&mut client);
    let mut connack = ConnAck::new(false, ReasonCode::Success);
    connack.properties.maximum_packet_size = std::num::NonZeroU32::new(20);
    receive(&mut client, &Packet::ConnAck(Box::new(connack)));
    assert_eq!(published(&sent(&mut client)).1, b"2");
    let refused = Event::Published { token: large, reason: ReasonCode::PacketTooLarge };
    assert_eq!(events(&mut client)[1..], [refused]);
}

#[test]
fn a_subscription_is_answered_or_reported_as_unanswered() {
    let mut client = Client::new(config());
    connect(&mut client, false);
    let request = SubscribeRequest {
        filter: TopicFilter::try_from("t/#").unwrap(),
        options: SubscriptionOptions::new(QoS::AtLeastOnce),
    };
    let answered = client.subscribe(NOW, vec![request.clone()], None).unwrap();
    let Some(Packet::Subscribe(subscribe)) = sent(&mut client).pop() else { panic!() };
    let reasons = vec![ReasonCode::GrantedQoS1];
    let suback = FilterAck::new(subscribe.id, reasons);
    receive(&mut client, &Packet::FilterAck(FilterAckKind::SubAck, suback));
    let unanswered = client.subscribe(NOW, vec![request], None).unwrap();
    client.closed();
    let events = events(&mut client);
    assert!(matches!(&events[0], Event::Answered { token, .. } if *token == answered));
    assert_eq!(events[1..], [Event::Unanswered { token: unanswered }, Event::Closed(ClosedBy::Transport)]);
}

#[test]
fn an_answer_of_the_wrong_kind_is_a_protocol_error() {
    let mut client = Client::new(config());
    connect(&mut client, false);
    let filters = vec![TopicFilter::try_from("t/#").unwrap()];
    let asked = client.unsubscribe(NOW, filters).unwrap();
    let Some(Packet::Unsubscribe(unsubscribe)) = sent(&mut client).pop() else { panic!() };
    let suback = FilterAck::new(unsubscribe.id, vec![ReasonCode::Success]);
    receive(&mut client, &Packet::FilterAck(FilterAckKind::SubAck, suback));
    assert_eq!(sent(&mut client), [Packet::Disconnect(Disconnect::new(ReasonCode::ProtocolError))]);
    assert_eq!(events(&mut client)[0], Event::Unanswered { token: asked });
}

#[test]
fn bytes_that_are_no_packet_end_the_connection_with_their_reason() {
    let mut client = Client::new(config());
    connect(&mut client, false);
    client.receive(NOW, &mut BytesMut::from(&[0xd1, 0x00][..]));
    assert_eq!(sent(&mut client), [Packet::Disconnect(Disconnect::new(ReasonCode::MalformedPacket))]);
    assert_eq!(events(&mut client), [Event::Closed(ClosedBy::Malformed(DecodeError::Flags))]);
}
