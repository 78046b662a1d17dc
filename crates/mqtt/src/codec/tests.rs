//! What every packet has in common: it comes back as it was written, and no bytes make the decoder fail badly.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::topic::{TopicFilter, TopicName};

const LIMIT: usize = 1 << 20;

fn text(s: &str) -> Text {
    Text::try_from(s).unwrap()
}

fn unhex(hex: &str) -> BytesMut {
    let digits: Vec<u8> =
        hex.bytes().map(|c| u8::try_from((c as char).to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[track_caller]
fn refused(receiver: Receiver, version: Version, hex: &str, error: &DecodeError, reason: ReasonCode) {
    let got = decode(receiver, version, &mut unhex(hex), LIMIT).unwrap_err();
    assert_eq!((&got, got.reason()), (error, reason), "{hex}");
}

#[test]
fn each_fault_has_its_own_error_and_one_reason_code() {
    use DecodeError as E;
    use ReasonCode as R;
    let check = |hex, error, reason| refused(Receiver::Server, Version::V5, hex, &error, reason);
    check("30ffffffff7f", E::Length, R::MalformedPacket);
    check("c100", E::Flags, R::MalformedPacket);
    check("c00100", E::Leftover, R::MalformedPacket);
    check("0000", E::Unexpected(0), R::ProtocolError);
    check("9003000100", E::Unexpected(9), R::ProtocolError);
    check("360700017000010061", E::Delivery, R::MalformedPacket);
    check("380400017000", E::Delivery, R::MalformedPacket);
    check("30050003610062", E::Text, R::MalformedPacket);
    check("300400012b00", E::TopicName, R::MalformedPacket);
    check("3003000000", E::TopicName, R::MalformedPacket);
    check("320700017000000061", E::PublishIdZero, R::ProtocolError);
    check("300700017003230000", E::TopicAliasZero, R::TopicAliasInvalid);
    check("3006000170020400", E::UnknownProperty(4), R::MalformedPacket);
    check("3006000170020b01", E::PropertyNotAllowed(0x0B), R::ProtocolError);
    check("30080001700401010101", E::DuplicateProperty(1), R::ProtocolError);
    check("3006000170020102", E::PropertyValue(1), R::ProtocolError);
    check("82050001000170", E::Truncated, R::MalformedPacket);
    check("8203000100", E::NoTopicFilter, R::MalformedPacket);
    check("820700010000017003", E::SubscriptionOptions, R::MalformedPacket);
    check("a203000100", E::NoTopicFilter, R::MalformedPacket);
    check("40030001ff", E::ReasonCode(0xff), R::ProtocolError);
    check("40020000", E::PacketIdZero, R::MalformedPacket);
}

#[test]
fn a_packet_above_the_limit_is_refused_before_it_is_there() {
    let mut buf = unhex("30ffff7f");
    let wanted = DecodeError::PacketTooLarge { size: 0x1f_ffff + 4, limit: LIMIT };
    assert_eq!(decode(Receiver::Server, Version::V5, &mut buf, LIMIT), Err(wanted));
}

#[test]
fn mqtt_3_1_knows_no_session_present() {
    for (version, is_present) in [(Version::V3_1, false), (Version::V3_1_1, true)] {
        let packet = decode(Receiver::Client, version, &mut unhex("20020100"), LIMIT).unwrap().unwrap();
        let wanted = ConnAck::new(is_present, ReasonCode::Success);
        assert_eq!(packet, Packet::ConnAck(Box::new(wanted)), "{version:?}");
    }
}

#[test]
fn a_password_never_shows_in_debug_text() {
    let secret = Binary::try_from(Bytes::from_static(b"marked-secret")).unwrap();
    assert_eq!(format!("{secret:?}"), "Binary(13 bytes)");
}

#[track_caller]
fn comes_back(receiver: Receiver, version: Version, packet: &Packet) {
    let mut buf = BytesMut::new();
    packet.write(version, LIMIT, &mut buf).unwrap();
    let bytes = buf.clone().freeze();
    for cut in 0..bytes.len() {
        let got = decode(receiver, version, &mut BytesMut::from(&bytes[..cut]), LIMIT);
        assert_eq!(got, Ok(None), "cut to {cut} bytes: {packet:?}");
    }
    assert_eq!(decode(receiver, version, &mut buf, LIMIT), Ok(Some(packet.clone())));
    assert!(buf.is_empty());
    let mut small = BytesMut::new();
    assert!(packet.write(version, bytes.len() - 1, &mut small).is_err());
    assert!(small.is_empty());
}

#[test]
fn packets_with_every_property_come_back() {
    let user = vec![(text("k"), text("v")), (text("k"), text(""))];
    let data = Some(Binary::try_from(Bytes::from_static(b"\x00\xff")).unwrap());
    let message = MessageProperties {
        payload_format: Some(PayloadFormat::Utf8),
        message_expiry: Some(7),
        content_type: Some(text("text/plain")),
        response_topic: Some(TopicName::try_from("re/ply").unwrap()),
        correlation_data: data.clone(),
        user: user.clone(),
    };
    let id = NonZeroU16::MIN;
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 60,
        client_id: text("client"),
        will: Some(Will {
            topic: TopicName::try_from("will").unwrap(),
            payload: data.clone().unwrap(),
            qos: QoS::ExactlyOnce,
            retain: true,
            delay: Some(5),
            properties: message.clone(),
        }),
        username: Some(text("user")),
        password: data.clone(),
        properties: ConnectProperties {
            session_expiry: Some(1),
            receive_maximum: NonZeroU16::new(2),
            maximum_packet_size: std::num::NonZeroU32::new(3),
            topic_alias_maximum: Some(4),
            request_response_information: Some(true),
            request_problem_information: Some(false),
            user: user.clone(),
            authentication_method: Some(text("m")),
            authentication_data: data.clone(),
        },
    };
    comes_back(Receiver::Server, Version::V5, &Packet::Connect(Box::new(connect)));
    let mut connack = ConnAck::new(true, ReasonCode::Success);
    connack.properties = ConnAckProperties {
        session_expiry: Some(1),
        receive_maximum: NonZeroU16::new(2),
        maximum_qos_is_one: Some(true),
        retain_available: Some(false),
        maximum_packet_size: std::num::NonZeroU32::new(3),
        assigned_client_id: Some(text("auto")),
        topic_alias_maximum: Some(4),
        reason_string: Some(text("why")),
        user: user.clone(),
        wildcard_available: Some(true),
        subscription_ids_available: Some(true),
        shared_available: Some(true),
        server_keep_alive: Some(5),
        response_information: Some(text("info")),
        server_reference: Some(text("there")),
        authentication_method: Some(text("m")),
        authentication_data: data.clone(),
    };
    comes_back(Receiver::Client, Version::V5, &Packet::ConnAck(Box::new(connack)));
    let publish = Publish {
        topic: PublishTopic::Define(TopicName::try_from("\u{feff}a/b").unwrap(), id),
        delivery: Delivery::ExactlyOnce { id, duplicate: true },
        retain: true,
        properties: message,
        subscription_ids: vec![SubscriptionId::new(1).unwrap(), SubscriptionId::new(268_435_455).unwrap()],
        payload: Bytes::from_static(b"payload"),
    };
    comes_back(Receiver::Client, Version::V5, &Packet::Publish(publish));
    for (kind, reason) in [
        (AckKind::PubAck, ReasonCode::NoMatchingSubscribers),
        (AckKind::PubRec, ReasonCode::QuotaExceeded),
        (AckKind::PubRel, ReasonCode::PacketIdentifierNotFound),
        (AckKind::PubComp, ReasonCode::Success),
    ] {
        let ack = Ack { id, reason, reason_string: Some(text("why")), user: user.clone() };
        comes_back(Receiver::Server, Version::V5, &Packet::Ack(kind, ack));
        comes_back(Receiver::Client, Version::V3_1_1, &Packet::Ack(kind, Ack::new(id, ReasonCode::Success)));
    }
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let filter = TopicFilter::try_from("a/+/#").unwrap();
    let subscribe = Subscribe {
        id,
        subscription_id: SubscriptionId::new(9),
        user: user.clone(),
        requests: vec![SubscribeRequest { filter: filter.clone(), options }],
    };
    comes_back(Receiver::Server, Version::V5, &Packet::Subscribe(subscribe));
    let unsubscribe = Unsubscribe { id, user: user.clone(), filters: vec![filter.clone(), filter] };
    comes_back(Receiver::Server, Version::V5, &Packet::Unsubscribe(unsubscribe));
    let reasons = vec![ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized];
    let suback = FilterAck { id, reason_string: Some(text("why")), user: user.clone(), reasons };
    comes_back(Receiver::Client, Version::V5, &Packet::FilterAck(FilterAckKind::SubAck, suback));
    let reasons = vec![ReasonCode::NoSubscriptionExisted];
    let unsuback = FilterAck { id, reason_string: None, user: user.clone(), reasons };
    comes_back(Receiver::Client, Version::V5, &Packet::FilterAck(FilterAckKind::UnsubAck, unsuback));
    let mut disconnect = Disconnect::new(ReasonCode::ServerMoved);
    disconnect.properties = DisconnectProperties {
        session_expiry: Some(3),
        reason_string: Some(text("why")),
        user: user.clone(),
        server_reference: Some(text("there")),
    };
    comes_back(Receiver::Server, Version::V5, &Packet::Disconnect(disconnect));
    let auth = Auth {
        reason: ReasonCode::ReAuthenticate,
        method: Some(text("m")),
        data,
        reason_string: Some(text("why")),
        user,
    };
    comes_back(Receiver::Server, Version::V5, &Packet::Auth(auth));
    comes_back(Receiver::Server, Version::V5, &Packet::PingReq);
    comes_back(Receiver::Client, Version::V5, &Packet::PingResp);
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V3_1), Just(Version::V3_1_1), Just(Version::V5)]
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_and_read_the_same(
        kind in 0u8..16, flags in prop_oneof![Just(0u8), Just(2), 0u8..16],
        body in proptest::collection::vec(prop_oneof![Just(0u8), 0u8..0x30, any::<u8>()], 0..40),
        version in version(), server in any::<bool>(),
    ) {
        let receiver = if server { Receiver::Server } else { Receiver::Client };
        let mut bytes = vec![kind << 4 | flags, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        if let Ok(Some(packet)) = decode(receiver, version, &mut BytesMut::from(&bytes[..]), LIMIT) {
            let mut written = BytesMut::new();
            let version = if let Packet::Connect(c) = &packet { c.version } else { version };
            prop_assert!(packet.write(version, LIMIT, &mut written).is_ok());
            let again = decode(receiver, version, &mut written, LIMIT);
            prop_assert_eq!(again, Ok(Some(packet)));
        }
    }
}
