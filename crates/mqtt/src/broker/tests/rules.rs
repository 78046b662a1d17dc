//! Policy and bounds.

use super::*;

#[test]
fn the_gate_decides_who_connects_publishes_and_subscribes() {
    let mut bed = Bed::new();
    let (refused, ack) = bed.connect_as(255, passing("c"));
    assert_eq!(ack.reason, ReasonCode::NotAuthorized);
    assert!(bed.is_closed(refused));
    let conn = bed.connect(passing("c"));
    let wanted = [ReasonCode::NotAuthorized];
    assert_eq!(bed.subscribe(conn, "forbidden", at(QoS::AtMostOnce)), wanted);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        bed.publish(conn, "forbidden", "x", qos);
    }
    let wanted = [(AckKind::PubAck, ReasonCode::NotAuthorized), (AckKind::PubRec, ReasonCode::NotAuthorized)];
    assert_eq!(acks(&bed.received(conn)), wanted);
    assert_eq!(bed.broker.counters().publishes_refused_gate, 3);
}

#[test]
fn a_message_is_withheld_at_delivery_from_those_who_may_not_see_it() {
    let mut bed = Bed::new();
    let friend = bed.connect(passing("c"));
    let (stranger, _) = bed.connect_as(1, lasting("c"));
    for conn in [friend, stranger] {
        bed.subscribe(conn, "#", at(QoS::AtLeastOnce));
        bed.subscribe(conn, "$share/g/#", at(QoS::AtLeastOnce));
    }
    for _ in 0..2 {
        bed.publish(friend, "secret", "x", QoS::AtMostOnce);
    }
    assert_eq!(bed.messages(friend).len(), 4);
    assert!(bed.messages(stranger).is_empty());
    assert_eq!(bed.broker.counters().deliveries_withheld, 2);
    bed.publish(friend, "secret", "x", QoS::AtLeastOnce);
    assert!(bed.messages(stranger).is_empty());
    bed.restart();
    let (stranger, _) = bed.connect_as(1, lasting("c"));
    assert!(bed.messages(stranger).is_empty());
}

#[test]
fn text_that_is_no_text_is_refused() {
    let mut bed = Bed::new();
    let conn = bed.connect(passing("c"));
    let mut packet = publish("t", "", QoS::AtLeastOnce);
    packet.properties.payload_format = Some(PayloadFormat::Utf8);
    packet.payload = Bytes::from_static(b"\xff");
    bed.send(conn, Packet::Publish(packet));
    assert_eq!(acks(&bed.received(conn)), [(AckKind::PubAck, ReasonCode::PayloadFormatInvalid)]);
}

#[test]
fn every_bound_refuses_and_says_so() {
    let limits = Limits {
        sessions_max: 1,
        subscriptions_per_session_max: 1,
        retained_messages_max: 1,
        receive_maximum: 1,
        packet_bytes_max: 64,
        topic_alias_max: 1,
        ..Limits::default()
    };
    let mut bed = Bed::with(limits);
    let conn = bed.connect(passing("c"));
    let (_, ack) = bed.connect_as(0, passing("d"));
    assert_eq!(ack.reason, ReasonCode::QuotaExceeded);
    assert_eq!(bed.subscribe(conn, "a", at(QoS::AtMostOnce)), [ReasonCode::Success]);
    assert_eq!(bed.subscribe(conn, "b", at(QoS::AtMostOnce)), [ReasonCode::QuotaExceeded]);
    for topic in ["r/1", "r/1", "r/2"] {
        let packet = Publish { retain: true, ..publish(topic, "x", QoS::AtLeastOnce) };
        bed.send(conn, Packet::Publish(packet));
    }
    let reasons: Vec<_> = acks(&bed.received(conn)).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons[2], ReasonCode::QuotaExceeded);
    assert!(reasons[..2].iter().all(|reason| !reason.is_failure()));

    bed.publish(conn, "t", "1", QoS::ExactlyOnce);
    bed.received(conn);
    let mut second = publish("t", "2", QoS::ExactlyOnce);
    second.delivery = Delivery::ExactlyOnce { id: PacketId::MAX, duplicate: false };
    bed.send(conn, Packet::Publish(second));
    assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::ReceiveMaximumExceeded));

    let conn = bed.connect(passing("c"));
    let mut packet = publish("t", "1", QoS::AtMostOnce);
    packet.topic = PublishTopic::Define(TopicName::try_from("t").unwrap(), TopicAlias::new(2).unwrap());
    bed.send(conn, Packet::Publish(packet));
    assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::TopicAliasInvalid));

    let conn = bed.connect(passing("c"));
    bed.broker.receive_bytes(bed.now, conn, &mut BytesMut::from(&b"\x30\x7f"[..]));
    bed.settle();
    assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::PacketTooLarge));
}

#[test]
fn one_scope_and_one_share_leave_room_for_the_others() {
    let limits =
        Limits { sessions_per_scope_max: 2, retained_messages_per_share_max: 1, ..Limits::default() };
    let mut bed = Bed::with(limits);
    let conn = bed.connect(lasting("a"));
    let other = bed.connect(lasting("b"));
    assert_eq!(bed.subscribe(other, "for-b", at(QoS::AtLeastOnce)), [ReasonCode::GrantedQoS1]);
    assert_eq!(bed.connect_as(0, lasting("c")).1.reason, ReasonCode::QuotaExceeded);
    assert_eq!(bed.connect_as(0, lasting("b")).1.reason, ReasonCode::Success);
    assert_eq!(bed.connect_as(1, lasting("c")).1.reason, ReasonCode::Success);

    let mut retain = |topic: &str, payload: &str| {
        let packet = Publish { retain: true, ..publish(topic, payload, QoS::AtLeastOnce) };
        bed.send(conn, Packet::Publish(packet));
        acks(&bed.received(conn)).pop().unwrap().1
    };
    assert!(!retain("mine/1", "x").is_failure());
    assert_eq!(retain("mine/2", "x"), ReasonCode::QuotaExceeded);
    assert!(!retain("yours/1", "x").is_failure());
    assert!(!retain("mine/1", "").is_failure());
    assert!(!retain("mine/2", "x").is_failure());
    bed.restart();
    let conn = bed.connect(passing("a"));
    let packet = Publish { retain: true, ..publish("mine/3", "x", QoS::AtLeastOnce) };
    bed.send(conn, Packet::Publish(packet));
    assert_eq!(acks(&bed.received(conn)), [(AckKind::PubAck, ReasonCode::QuotaExceeded)]);
}

#[test]
fn a_full_scope_gives_up_the_oldest_session_for_which_nothing_waits() {
    let mut bed = Bed::with(Limits { sessions_per_scope_max: 2, ..Limits::default() });
    let (waits, idle) = (bed.connect(lasting("waits")), bed.connect(lasting("idle")));
    bed.subscribe(waits, "t", at(QoS::AtLeastOnce));
    for conn in [waits, idle] {
        bed.broker.closed(bed.now, conn);
        bed.wait(1);
    }
    let (other, _) = bed.connect_as(1, passing("other"));
    bed.publish(other, "t", "1", QoS::AtLeastOnce);
    assert_eq!(bed.connect_as(0, lasting("new")).1.reason, ReasonCode::Success);
    assert_eq!(bed.connect_as(0, lasting("newer")).1.reason, ReasonCode::QuotaExceeded);
    assert!(bed.connect_as(0, lasting("waits")).1.session_present);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes take too long")]
fn what_gathers_for_one_reader_between_two_drains_is_bounded() {
    let mut bed = Bed::with(Limits { output_bytes_per_connection_max: 1000, ..Limits::default() });
    let (reader, writer) = (bed.connect(passing("r")), bed.connect(passing("w")));
    bed.subscribe(reader, "t/#", at(QoS::AtMostOnce));
    let mut flood = BytesMut::new();
    let retained = Publish { retain: true, ..publish("t/1", &"x".repeat(600), QoS::AtMostOnce) };
    for _ in 0..1000 {
        Packet::Publish(retained.clone()).write(Version::V5, LIMIT, &mut flood).unwrap();
    }
    bed.broker.receive_bytes(bed.now, writer, &mut flood);
    bed.settle();
    assert_eq!(bed.received(reader).len(), 2);
    assert_eq!(bed.broker.counters().deliveries_too_slow, 998);
    // Subscriptions bring retained messages, of 600 bytes each.
    let mut packets = BytesMut::new();
    for id in 1..=3 {
        let requests = vec![SubscribeRequest {
            filter: TopicFilter::try_from("t/1").unwrap(),
            options: at(QoS::AtMostOnce),
        }];
        let id = PacketId::new(id).unwrap();
        let packet = Subscribe { id, subscription_id: None, user: Vec::new(), requests };
        Packet::Subscribe(packet).write(Version::V5, LIMIT, &mut packets).unwrap();
    }
    bed.broker.receive_bytes(bed.now, reader, &mut packets);
    bed.settle();
    let reasons: Vec<_> = bed
        .received(reader)
        .into_iter()
        .filter_map(|packet| match packet {
            Packet::FilterAck(_, ack) => Some(ack.reasons[0]),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [ReasonCode::Success, ReasonCode::QuotaExceeded, ReasonCode::QuotaExceeded]);
}

#[test]
fn an_empty_client_identifier_gets_one_where_the_version_allows() {
    let mut bed = Bed::new();
    let (_, ack) = bed.connect_as(0, lasting(""));
    let assigned = ack.properties.assigned_client_id.unwrap();
    let (_, ack) = bed.connect_as(0, lasting(assigned.as_str()));
    assert!(ack.session_present);
    let old = Connect { version: Version::V3_1_1, clean_start: false, ..passing("") };
    assert_eq!(bed.connect_as(0, old).1.reason, ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn the_server_says_which_limits_differ_from_what_was_asked() {
    let mut bed = Bed::with(Limits {
        session_expiry_seconds_max: 100,
        keep_alive_seconds_max: 30,
        ..Limits::default()
    });
    let (_, ack) = bed.connect_as(0, lasting("c"));
    let p = ack.properties;
    assert_eq!((p.session_expiry, p.server_keep_alive), (Some(100), Some(30)));
    assert_eq!(p.maximum_packet_size.map(std::num::NonZeroU32::get), Some(256 * 1024));
}
