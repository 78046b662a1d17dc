//! Connections and sessions end as they should.

use super::*;

/// A client that watches the wills.
fn watcher(bed: &mut Bed) -> ConnId {
    let conn = bed.connect(lasting("watcher"));
    bed.subscribe(conn, "wills", at(QoS::AtMostOnce));
    conn
}

#[test]
fn a_will_is_published_unless_the_client_says_goodbye() {
    let mut bed = Bed::new();
    let watcher = watcher(&mut bed);
    for (reason, wanted) in
        [(Some(ReasonCode::Success), 0), (Some(ReasonCode::DisconnectWithWill), 1), (None, 1)]
    {
        let conn = bed.connect(Connect { will: will("gone", None), ..passing("c") });
        match reason {
            Some(reason) => bed.send(conn, Packet::Disconnect(Disconnect::new(reason))),
            None => bed.close(conn),
        }
        assert_eq!(bed.messages(watcher).len(), wanted, "{reason:?}");
        assert!(!bed.durable.keys().any(|key| key[0] == b'w'));
    }
}

#[test]
fn a_delayed_will_waits_and_a_client_that_returns_in_time_calls_it_off() {
    let mut bed = Bed::new();
    let watcher = watcher(&mut bed);
    let connect = Connect { will: will("gone", Some(30)), ..lasting("c") };
    let conn = bed.connect(connect.clone());
    bed.close(conn);
    bed.wait(29);
    let conn = bed.connect(connect);
    bed.wait(60);
    assert!(bed.messages(watcher).is_empty());
    bed.close(conn);
    bed.wait(29);
    assert!(bed.messages(watcher).is_empty());
    bed.wait(1);
    assert_eq!(bed.payloads(watcher), ["gone"]);
}

#[test]
fn the_end_of_the_session_publishes_a_delayed_will_early() {
    let mut bed = Bed::new();
    let watcher = watcher(&mut bed);
    let mut connect = Connect { will: will("gone", Some(600)), ..lasting("c") };
    connect.properties.session_expiry = Some(10);
    let conn = bed.connect(connect);
    bed.close(conn);
    bed.wait(10);
    assert_eq!(bed.payloads(watcher), ["gone"]);
}

#[test]
fn a_killed_service_sends_the_wills_of_those_who_were_connected() {
    let mut bed = Bed::new();
    let conn = bed.connect(lasting("watcher"));
    bed.subscribe(conn, "wills", at(QoS::AtLeastOnce));
    bed.connect(Connect { will: will("passing", None), ..passing("p") });
    bed.connect(Connect { will: will("delayed", Some(30)), ..lasting("d") });
    bed.restart();
    bed.wait(30);
    let conn = bed.connect(lasting("watcher"));
    assert_eq!(bed.payloads(conn), ["passing", "delayed"]);
    bed.restart();
    assert!(!bed.durable.keys().any(|key| key[0] == b'w'), "each will is published once");
}

#[test]
fn another_connection_takes_the_session_over_inside_its_scope_only() {
    let mut bed = Bed::new();
    let first = bed.connect(lasting("c"));
    let (stranger, ack) = bed.connect_as(1, lasting("c"));
    assert!(!ack.session_present && !bed.is_closed(first));
    let (_, ack) = bed.connect_as(0, lasting("c"));
    assert!(ack.session_present);
    assert_eq!(disconnected(&bed.received(first)), Some(ReasonCode::SessionTakenOver));
    assert!(bed.is_closed(first) && !bed.is_closed(stranger));
}

#[test]
fn a_session_expires_and_leaves_nothing_behind() {
    let mut bed = Bed::new();
    let sub = bed.connect(lasting("sub"));
    bed.subscribe(sub, "t", at(QoS::AtLeastOnce));
    bed.close(sub);
    let publisher = bed.connect(passing("pub"));
    bed.publish(publisher, "t", "1", QoS::AtLeastOnce);
    bed.restart();
    assert!(!bed.durable.is_empty());
    bed.wait(3599);
    assert_eq!(bed.broker.sessions(), 1);
    bed.wait(1);
    assert_eq!((bed.broker.sessions(), bed.durable.len()), (0, 0));
    assert_eq!(bed.broker.counters().messages_ended_with_session, 1);
}

#[test]
fn a_topic_is_heard_while_a_session_subscribes_to_it_connected_or_not() {
    let mut bed = Bed::new();
    let topic = ["t", "acme", "power"];
    let conn = bed.connect(lasting("c"));
    assert!(!bed.broker.is_heard(&topic));
    bed.subscribe(conn, "t/+/power", at(QoS::AtLeastOnce));
    assert!(bed.broker.is_heard(&topic) && !bed.broker.is_heard(&["t", "acme"]));
    bed.close(conn);
    bed.restart();
    assert!(bed.broker.is_heard(&topic));
    bed.wait(3601);
    assert!(!bed.broker.is_heard(&topic));

    let conn = bed.connect(passing("c"));
    bed.subscribe(conn, "t/#", at(QoS::AtLeastOnce));
    assert!(bed.broker.is_heard(&topic));
    let filters = vec![TopicFilter::try_from("t/#").unwrap()];
    bed.send(conn, Packet::Unsubscribe(Unsubscribe { id: PacketId::MIN, user: Vec::new(), filters }));
    assert!(!bed.broker.is_heard(&topic));
}

#[test]
fn before_mqtt_5_the_clean_session_flag_decides_how_long_a_session_lives() {
    let mut bed = Bed::new();
    for (clean_start, wanted) in [(true, 0), (false, 1)] {
        let conn = bed.connect(Connect { version: Version::V3_1_1, clean_start, ..passing("c") });
        bed.close(conn);
        assert_eq!(bed.broker.sessions(), wanted);
    }
    let (_, ack) =
        bed.connect_as(0, Connect { version: Version::V3_1_1, clean_start: false, ..passing("c") });
    assert!(ack.session_present);
}

#[test]
fn the_expiry_given_at_goodbye_counts_but_cannot_prolong_a_passing_session() {
    let mut bed = Bed::new();
    let goodbye = |seconds| {
        let mut packet = Disconnect::new(ReasonCode::Success);
        packet.properties.session_expiry = Some(seconds);
        Packet::Disconnect(packet)
    };
    let conn = bed.connect(lasting("c"));
    bed.send(conn, goodbye(0));
    assert_eq!((bed.broker.sessions(), bed.durable.len()), (0, 0));
    let conn = bed.connect(passing("c"));
    bed.send(conn, goodbye(10));
    assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::ProtocolError));
}

#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let mut bed = Bed::new();
    let conn = bed.connect(Connect { keep_alive: 10, ..passing("c") });
    bed.wait(14);
    bed.send(conn, Packet::PingReq);
    assert_eq!(bed.received(conn), [Packet::PingResp]);
    bed.wait(14);
    assert!(!bed.is_closed(conn));
    bed.wait(1);
    assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::KeepAliveTimeout));
    assert_eq!(bed.broker.counters().keep_alive_timeouts, 1);
}

#[test]
fn a_connection_that_was_heard_is_not_silent() {
    let mut bed = Bed::new();
    let conn = bed.connect(Connect { keep_alive: 10, ..passing("c") });
    bed.wait(14);
    bed.broker.heard(bed.now, conn);
    bed.wait(14);
    assert!(!bed.is_closed(conn));
    bed.wait(1);
    assert!(bed.is_closed(conn));
}

#[test]
fn packets_their_filters_and_the_retained_messages_that_they_ask_for_are_work() {
    let mut bed = Bed::new();
    let conn = bed.connect(passing("c"));
    for n in 0..20 {
        let retained = Publish { retain: true, ..publish(&format!("r/{n}"), "x", QoS::AtMostOnce) };
        bed.send(conn, Packet::Publish(retained));
    }
    assert_eq!(bed.broker.work(), 21);
    bed.subscribe(conn, "r/+", at(QoS::AtMostOnce));
    assert_eq!((bed.broker.work(), bed.messages(conn).len()), (21 + 2 + 20, 20));
    bed.subscribe(conn, "other", at(QoS::AtMostOnce));
    bed.send(conn, Packet::PingReq);
    assert_eq!(bed.broker.work(), 43 + 2 + 1);
}

#[test]
fn a_connection_without_connect_is_closed() {
    let mut bed = Bed::new();
    let conn = bed.open(0);
    bed.wait(10);
    assert!(bed.is_closed(conn));
    assert_eq!(bed.broker.next_deadline(), None);
}

#[test]
fn deadlines_do_not_pile_up_when_clients_come_and_go() {
    let mut bed = Bed::new();
    for _ in 0..20 {
        let conn = bed.connect(Connect { keep_alive: 600, will: will("gone", Some(60)), ..lasting("c") });
        let mut packet = Publish { retain: true, ..publish("r", "x", QoS::AtMostOnce) };
        packet.properties.message_expiry = Some(3600);
        bed.send(conn, Packet::Publish(packet));
        bed.close(conn);
    }
    assert_eq!(bed.broker.timers.len(), 3, "the session, its will, the retained message");
}

#[test]
fn a_cut_ends_connections_at_once_and_sessions_if_asked() {
    let mut bed = Bed::new();
    let keep = bed.connect(lasting("c"));
    let (revoked, _) = bed.connect_as(7, lasting("c"));
    let (waiting, _) = bed.connect_as(7, lasting("d"));
    bed.close(waiting);
    let cut = bed.broker.cut(bed.now, |who| *who == 7, ReasonCode::AdministrativeAction, true);
    bed.settle();
    assert_eq!(cut, 1);
    assert_eq!(disconnected(&bed.received(revoked)), Some(ReasonCode::AdministrativeAction));
    assert!(bed.is_closed(revoked) && !bed.is_closed(keep));
    assert_eq!(bed.broker.sessions(), 1);
}

#[test]
fn a_server_that_ends_says_so_and_keeps_everything_for_the_next_one() {
    let mut bed = Bed::new();
    let watcher = watcher(&mut bed);
    let keep = bed.connect(Connect { will: will("gone", Some(30)), ..lasting("c") });
    bed.subscribe(keep, "t", at(QoS::AtLeastOnce));
    let older = bed.connect(Connect { version: Version::V3_1_1, ..passing("d") });
    let silent = bed.open(0);
    bed.publish(older, "t", "in flight", QoS::AtLeastOnce);
    assert_eq!(bed.payloads(keep), ["in flight"]);
    bed.received(older);

    bed.broker.shut_down();
    // Something of the service itself, while it ends.
    let message = publish("t", "queued", QoS::AtLeastOnce);
    let PublishTopic::Name(topic) = message.topic else { panic!() };
    let message = Message {
        topic,
        payload: message.payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: MessageProperties::default(),
        author: Bytes::from_static(&[0]),
    };
    bed.broker.announce(bed.now, message);
    bed.settle();
    for conn in [watcher, keep] {
        assert_eq!(disconnected(&bed.received(conn)), Some(ReasonCode::ServerShuttingDown));
    }
    assert_eq!(bed.received(older), [], "MQTT 3.1.1 has no such packet");
    assert!([watcher, keep, older, silent].iter().all(|conn| bed.is_closed(*conn)));

    bed.wait(3000);
    bed.restart();
    // Its life began with the restart, and so did the delay of its will.
    bed.wait(29);
    let (keep, ack) = bed.connect_as(0, lasting("c"));
    assert!(ack.session_present);
    assert_eq!(bed.payloads(keep), ["in flight", "queued"]);
    bed.wait(600);
    let watcher = bed.connect(lasting("watcher"));
    assert!(bed.payloads(watcher).is_empty(), "nobody was gone");
}
