//! Messages get to their subscribers.

use super::*;

#[test]
fn a_lasting_session_gets_what_came_while_it_was_away_in_order() {
    let mut bed = Bed::new();
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "a/#", at(QoS::ExactlyOnce));
    bed.close(sub);
    let publisher = bed.connect(passing("pub"));
    for (payload, qos) in [("1", QoS::AtLeastOnce), ("2", QoS::AtMostOnce), ("3", QoS::AtLeastOnce)] {
        bed.publish(publisher, "a/b", payload, qos);
    }
    assert_eq!(bed.broker.counters().deliveries_absent_qos0, 1);
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["1", "3"]);
    bed.close(sub);
    let sub = bed.connect(lasting("sub"));
    let again = bed.messages(sub);
    assert!(again.iter().all(|p| matches!(p.delivery, Delivery::AtLeastOnce { duplicate: true, .. })));
    assert_eq!(again.iter().map(|p| &p.payload[..]).collect::<Vec<_>>(), [b"1", b"3"]);
}

#[test]
fn what_waits_is_withheld_once_its_author_has_no_right_to_it_also_after_a_restart() {
    let mut bed = Bed::new();
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "a/#", at(QoS::AtLeastOnce));
    bed.close(sub);
    for (who, payload) in [(1, "one"), (2, "two"), (1, "three")] {
        let (publisher, _) = bed.connect_as(who, passing("pub"));
        bed.publish(publisher, "a/b", payload, QoS::AtLeastOnce);
    }
    bed.restart();
    bed.broker.gate_mut().banned = Some(1);
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["two"]);
    assert_eq!(bed.broker.counters().deliveries_withheld, 2);
    // Withheld is the end of it, whatever may be allowed later.
    bed.broker.gate_mut().banned = None;
    bed.close(sub);
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["two"]);
}

#[test]
fn the_receive_maximum_of_the_client_is_the_window() {
    let mut bed = Bed::new();
    let mut connect = lasting("sub");
    connect.properties.receive_maximum = std::num::NonZeroU16::new(2);
    let sub = bed.connect(connect);
    bed.subscribe(sub, "t", at(QoS::AtLeastOnce));
    let publisher = bed.connect(passing("pub"));
    for payload in ["1", "2", "3", "4"] {
        bed.publish(publisher, "t", payload, QoS::AtLeastOnce);
    }
    let first = bed.messages(sub);
    assert_eq!(first.len(), 2);
    bed.ack(sub, AckKind::PubAck, first[0].delivery.id().unwrap());
    assert_eq!(bed.payloads(sub), ["3"]);
    bed.restart();
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["2", "3", "4"]);
    bed.close(sub);
    let mut narrow = lasting("sub");
    narrow.properties.receive_maximum = std::num::NonZeroU16::new(1);
    let sub = bed.connect(narrow);
    let first = bed.messages(sub);
    assert_eq!(first.iter().map(|p| &p.payload[..]).collect::<Vec<_>>(), [b"2"]);
    bed.ack(sub, AckKind::PubAck, first[0].delivery.id().unwrap());
    assert_eq!(bed.payloads(sub), ["3"]);
}

#[test]
fn a_full_queue_refuses_the_publication_and_loses_nothing() {
    let mut bed = Bed::with(Limits { queue_messages_max: 1, ..Limits::default() });
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "t", at(QoS::ExactlyOnce));
    bed.close(sub);
    let new = bed.connect(passing("new"));
    let old = bed.connect(Connect { version: Version::V3_1_1, ..passing("old") });
    bed.publish(new, "t", "kept", QoS::AtLeastOnce);
    bed.publish(new, "t", "refused", QoS::AtLeastOnce);
    bed.publish(new, "t", "refused", QoS::ExactlyOnce);
    let wanted = [
        (AckKind::PubAck, ReasonCode::Success),
        (AckKind::PubAck, ReasonCode::QuotaExceeded),
        (AckKind::PubRec, ReasonCode::QuotaExceeded),
    ];
    assert_eq!(acks(&bed.received(new)), wanted);
    bed.publish(old, "t", "refused", QoS::AtLeastOnce);
    assert!(bed.received(old).is_empty() && bed.is_closed(old));
    assert_eq!(bed.broker.counters().publishes_refused_queue_full, 3);
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["kept"]);
}

#[test]
fn an_announcement_passes_a_full_queue_by_and_reaches_the_others() {
    let mut bed = Bed::with(Limits { queue_messages_max: 1, ..Limits::default() });
    let away = bed.connect(lasting("away"));
    bed.subscribe(away, "t", at(QoS::AtLeastOnce));
    bed.close(away);
    let here = bed.connect(passing("here"));
    bed.subscribe(here, "t", at(QoS::AtLeastOnce));
    for payload in [&b"1"[..], b"2"] {
        let topic = TopicName::try_from(Text::try_from("t").unwrap()).unwrap();
        let (payload, properties) = (Bytes::from_static(payload), MessageProperties::default());
        let message = Message {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties,
            author: Bytes::new(),
        };
        bed.broker.announce(bed.now, message);
        bed.settle();
        let got = bed.messages(here);
        assert_eq!(got.len(), 1);
        bed.ack(here, AckKind::PubAck, got[0].delivery.id().unwrap());
    }
    assert_eq!(bed.broker.counters().announcements_dropped, 1);
    let away = bed.connect(lasting("away"));
    assert_eq!(bed.payloads(away), ["1"]);
}

#[test]
fn what_is_for_those_with_room_is_taken_whoever_does_not_fetch_it() {
    let mut bed = Bed::with(Limits { queue_messages_max: 1, ..Limits::default() });
    let away = bed.connect(lasting("away"));
    bed.subscribe(away, "+", at(QoS::AtLeastOnce));
    bed.close(away);
    let device = bed.connect(passing("device"));
    let mut says = |topic: &str, payload: &str| {
        bed.publish(device, topic, payload, QoS::AtLeastOnce);
        acks(&bed.received(device))[0].1
    };
    assert_eq!(says("news", "1"), ReasonCode::Success);
    assert_eq!(says("news", "2"), ReasonCode::Success, "its reader is behind, which is not its affair");
    assert_eq!(says("order", "3"), ReasonCode::QuotaExceeded);
    assert_eq!(bed.broker.counters().announcements_dropped, 1);
    let away = bed.connect(lasting("away"));
    assert_eq!(bed.payloads(away), ["1"]);
}

#[test]
fn a_shared_subscription_goes_round_and_to_connected_members_first() {
    let mut bed = Bed::new();
    let subs = ["a", "b", "c"].map(|name| {
        let conn = bed.connect(lasting(name));
        bed.subscribe(conn, "$share/group/t", at(QoS::AtLeastOnce));
        conn
    });
    let publisher = bed.connect(passing("pub"));
    for payload in ["1", "2", "3"] {
        bed.publish(publisher, "t", payload, QoS::AtLeastOnce);
    }
    assert_eq!(subs.map(|conn| bed.payloads(conn)), [["1"], ["2"], ["3"]]);
    bed.close(subs[0]);
    bed.close(subs[1]);
    bed.publish(publisher, "t", "4", QoS::AtLeastOnce);
    bed.publish(publisher, "t", "5", QoS::AtLeastOnce);
    assert_eq!(bed.payloads(subs[2]), ["4", "5"]);
    bed.close(subs[2]);
    bed.publish(publisher, "t", "6", QoS::AtLeastOnce);
    let waiting: usize = bed.broker.sessions.values().map(|s| s.queue.len()).sum();
    assert_eq!(waiting, 1);
}

#[test]
fn retained_messages_follow_retain_handling_and_retain_as_published() {
    let mut bed = Bed::new();
    let publisher = bed.connect(passing("pub"));
    let retained = Publish { retain: true, ..publish("r/1", "kept", QoS::AtLeastOnce) };
    bed.send(publisher, Packet::Publish(retained.clone()));
    bed.restart();
    let sub = bed.connect(passing("sub"));
    let mut options =
        SubscriptionOptions { retain_handling: RetainHandling::SendIfNew, ..at(QoS::AtLeastOnce) };
    bed.subscribe(sub, "r/+", options);
    let got = bed.messages(sub);
    assert!(got.len() == 1 && got[0].retain && got[0].payload == "kept");
    bed.subscribe(sub, "r/+", options);
    assert!(bed.messages(sub).is_empty());
    options.retain_handling = RetainHandling::Send;
    bed.subscribe(sub, "r/+", options);
    assert_eq!(bed.messages(sub).len(), 1);
    let publisher = bed.connect(passing("pub"));
    bed.send(publisher, Packet::Publish(retained.clone()));
    assert!(!bed.messages(sub)[0].retain);
    options.retain_as_published = true;
    options.retain_handling = RetainHandling::DoNotSend;
    bed.subscribe(sub, "r/+", options);
    bed.send(publisher, Packet::Publish(retained.clone()));
    assert!(bed.messages(sub)[0].retain);
    bed.send(publisher, Packet::Publish(Publish { payload: Bytes::new(), ..retained }));
    bed.messages(sub);
    let late = bed.connect(passing("late"));
    bed.subscribe(late, "#", at(QoS::AtLeastOnce));
    assert!(bed.messages(late).is_empty());
    assert!(!bed.durable.keys().any(|key| key[0] == b'r'));
}

#[test]
fn overlapping_subscriptions_bring_one_copy_with_all_identifiers_and_the_highest_qos() {
    let mut bed = Bed::new();
    let sub = bed.connect(passing("sub"));
    for (filter, qos, id) in [("a/+", QoS::AtMostOnce, 3), ("a/#", QoS::AtLeastOnce, 4)] {
        let requests =
            vec![SubscribeRequest { filter: TopicFilter::try_from(filter).unwrap(), options: at(qos) }];
        let subscription_id = SubscriptionId::new(id);
        let packet = Subscribe { id: PacketId::MIN, subscription_id, user: Vec::new(), requests };
        bed.send(sub, Packet::Subscribe(packet));
        bed.received(sub);
    }
    let publisher = bed.connect(passing("pub"));
    bed.publish(publisher, "a/b", "1", QoS::ExactlyOnce);
    let got = bed.messages(sub);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].delivery.qos(), QoS::AtLeastOnce);
    let mut ids: Vec<_> = got[0].subscription_ids.iter().map(|id| id.get()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [3, 4]);
}

#[test]
fn no_local_keeps_a_client_from_its_own_messages_only() {
    let mut bed = Bed::new();
    let [one, two] = ["one", "two"].map(|name| {
        let conn = bed.connect(passing(name));
        bed.subscribe(conn, "t", SubscriptionOptions { no_local: true, ..at(QoS::AtMostOnce) });
        conn
    });
    bed.publish(one, "t", "x", QoS::AtMostOnce);
    assert!(bed.messages(one).is_empty());
    assert_eq!(bed.payloads(two), ["x"]);
}

#[test]
fn the_time_that_a_message_waited_is_taken_from_its_expiry() {
    let mut bed = Bed::new();
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "t", at(QoS::AtLeastOnce));
    bed.close(sub);
    let publisher = bed.connect(passing("pub"));
    for (payload, seconds) in [("short", 5), ("long", 60)] {
        let mut packet = publish("t", payload, QoS::AtLeastOnce);
        packet.properties.message_expiry = Some(seconds);
        bed.send(publisher, Packet::Publish(packet));
    }
    bed.wait(20);
    bed.restart();
    let sub = bed.connect(lasting("sub"));
    let got = bed.messages(sub);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].properties.message_expiry, &got[0].payload[..]), (Some(40), &b"long"[..]));
    assert_eq!(bed.broker.counters().deliveries_expired, 1);
}

#[test]
fn a_client_never_gets_a_packet_larger_than_it_takes() {
    let mut bed = Bed::new();
    let mut connect = lasting("sub");
    connect.properties.maximum_packet_size = std::num::NonZeroU32::new(60);
    let sub = bed.connect(connect);
    bed.subscribe(sub, "t", at(QoS::AtLeastOnce));
    let publisher = bed.connect(passing("pub"));
    bed.publish(publisher, "t", &"x".repeat(80), QoS::AtLeastOnce);
    bed.publish(publisher, "t", "small", QoS::AtLeastOnce);
    assert_eq!(bed.payloads(sub), ["small"]);
    assert_eq!(bed.broker.counters().deliveries_too_large, 1);
    assert_eq!(bed.durable.keys().filter(|key| key[0] == b'm').count(), 1);
}

#[test]
fn topic_aliases_work_in_both_directions() {
    let mut bed = Bed::new();
    let mut connect = passing("sub");
    connect.properties.topic_alias_maximum = Some(1);
    let sub = bed.connect(connect);
    bed.subscribe(sub, "#", at(QoS::AtMostOnce));
    let publisher = bed.connect(passing("pub"));
    let alias = TopicAlias::MIN;
    let mut packet = publish("t", "1", QoS::AtMostOnce);
    let name = TopicName::try_from("t").unwrap();
    packet.topic = PublishTopic::Define(name.clone(), alias);
    bed.send(publisher, Packet::Publish(packet.clone()));
    packet.topic = PublishTopic::Alias(alias);
    bed.send(publisher, Packet::Publish(packet.clone()));
    bed.publish(publisher, "other", "3", QoS::AtMostOnce);
    let topics: Vec<_> = bed.messages(sub).into_iter().map(|p| p.topic).collect();
    let other = PublishTopic::Name(TopicName::try_from("other").unwrap());
    assert_eq!(topics, [PublishTopic::Define(name, alias), PublishTopic::Alias(alias), other]);
    packet.topic = PublishTopic::Alias(TopicAlias::new(2).unwrap());
    bed.send(publisher, Packet::Publish(packet));
    assert_eq!(disconnected(&bed.received(publisher)), Some(ReasonCode::ProtocolError));
}

#[test]
fn a_qos_2_publication_that_comes_twice_is_routed_once() {
    let mut bed = Bed::new();
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "t", at(QoS::ExactlyOnce));
    let publisher = bed.connect(lasting("pub"));
    bed.publish(publisher, "t", "1", QoS::ExactlyOnce);
    bed.restart();
    let publisher = bed.connect(lasting("pub"));
    bed.publish(publisher, "t", "1", QoS::ExactlyOnce);
    assert_eq!(acks(&bed.received(publisher)), [(AckKind::PubRec, ReasonCode::Success)]);
    bed.ack(publisher, AckKind::PubRel, PacketId::MIN);
    assert_eq!(acks(&bed.received(publisher)), [(AckKind::PubComp, ReasonCode::Success)]);
    let sub = bed.connect(lasting("sub"));
    assert_eq!(bed.payloads(sub), ["1"]);
}
