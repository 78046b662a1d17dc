//! A broker made from the durable state behaves as the one that wrote it.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Connect(usize, bool, u16),
    Close(usize),
    Subscribe(usize, &'static str, QoS),
    Unsubscribe(usize, &'static str),
    Publish(usize, &'static str, QoS, bool, Option<u32>),
    /// Answers the oldest unanswered packet of a client.
    Answer(usize),
    Wait(i64),
    Restart,
}

/// No shared ones: whose turn it is in a group is not durable, so a restored broker may choose another member.
fn filter() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("t/1"), Just("t/+"), Just("#")]
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..NAMES.len();
    prop_oneof![
        3 => (who.clone(), any::<bool>(), 1u16..4).prop_map(|(w, clean, max)| Step::Connect(w, clean, max)),
        2 => who.clone().prop_map(Step::Close),
        4 => (who.clone(), filter(), qos()).prop_map(|(w, f, q)| Step::Subscribe(w, f, q)),
        1 => (who.clone(), filter()).prop_map(|(w, f)| Step::Unsubscribe(w, f)),
        8 => (who.clone(), prop_oneof![Just("t/1"), Just("t/2")], qos(), any::<bool>(), proptest::option::of(1u32..50))
            .prop_map(|(w, t, q, r, e)| Step::Publish(w, t, q, r, e)),
        6 => who.prop_map(Step::Answer),
        1 => (0i64..40).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// A world of clients that remember what they have not answered.
struct World {
    bed: Bed,
    conns: [Option<ConnId>; 3],
    unanswered: [Vec<Packet>; 3],
    published: u32,
    next_id: u16,
}

impl World {
    fn new() -> Self {
        Self {
            bed: Bed::with(Limits { queue_messages_max: 6, ..Limits::default() }),
            conns: [None; 3],
            unanswered: Default::default(),
            published: 0,
            next_id: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Connect(who, clean_start, window) => self.connect(who, clean_start, window),
            Step::Close(who) => {
                if let Some(conn) = self.conns[who].take() {
                    self.bed.close(conn);
                    self.unanswered[who].clear();
                }
            }
            Step::Subscribe(who, filter, qos) => {
                let Some(conn) = self.conns[who] else { return };
                self.collect();
                self.bed.subscribe(conn, filter, at(qos));
            }
            Step::Unsubscribe(who, filter) => {
                let Some(conn) = self.conns[who] else { return };
                let filters = vec![TopicFilter::try_from(filter).unwrap()];
                let packet = Unsubscribe { id: PacketId::MAX, user: Vec::new(), filters };
                self.bed.send(conn, Packet::Unsubscribe(packet));
            }
            Step::Publish(who, topic, qos, retain, expiry) => {
                let Some(conn) = self.conns[who] else { return };
                self.published += 1;
                self.next_id += 1;
                let mut packet = publish(topic, &self.published.to_string(), qos);
                let id = PacketId::new(self.next_id).unwrap();
                packet.delivery = match qos {
                    QoS::AtMostOnce => Delivery::AtMostOnce,
                    QoS::AtLeastOnce => Delivery::AtLeastOnce { id, duplicate: false },
                    QoS::ExactlyOnce => Delivery::ExactlyOnce { id, duplicate: false },
                };
                packet.retain = retain;
                packet.properties.message_expiry = expiry;
                self.bed.send(conn, Packet::Publish(packet));
                if qos == QoS::ExactlyOnce {
                    self.bed.ack(conn, AckKind::PubRel, id);
                }
            }
            Step::Answer(who) => {
                self.collect();
                if !self.unanswered[who].is_empty() {
                    let packet = self.unanswered[who].remove(0);
                    self.answer(who, &packet);
                }
            }
            Step::Wait(seconds) => self.bed.wait(seconds),
            Step::Restart => {
                self.bed.restart();
                self.conns = [None; 3];
                self.unanswered = Default::default();
            }
        }
        self.collect();
    }

    fn connect(&mut self, who: usize, clean_start: bool, window: u16) {
        let mut connect = Connect { clean_start, ..lasting(NAMES[who]) };
        connect.properties.receive_maximum = std::num::NonZeroU16::new(window);
        self.unanswered[who].clear();
        self.conns[who] = Some(self.bed.connect(connect));
    }

    fn collect(&mut self) {
        for (conn, unanswered) in self.conns.iter().zip(&mut self.unanswered) {
            let Some(conn) = conn else { continue };
            unanswered.extend(self.bed.received(*conn).into_iter().filter(|p| match p {
                Packet::Publish(p) => p.delivery.qos() != QoS::AtMostOnce,
                Packet::Ack(kind, _) => *kind == AckKind::PubRel,
                _ => false,
            }));
        }
    }

    fn answer(&mut self, who: usize, packet: &Packet) {
        let conn = self.conns[who].unwrap();
        match packet {
            Packet::Publish(p) => {
                let kind =
                    if p.delivery.qos() == QoS::AtLeastOnce { AckKind::PubAck } else { AckKind::PubRec };
                self.bed.ack(conn, kind, p.delivery.id().unwrap());
            }
            Packet::Ack(_, ack) => self.bed.ack(conn, AckKind::PubComp, ack.id),
            other => panic!("{other:?}"),
        }
    }

    /// What the clients get from here on when all of them return and answer everything, and what is retained.
    fn rest(mut self) -> Vec<String> {
        for (who, name) in NAMES.iter().enumerate() {
            self.conns[who] = None;
            self.conns[who] = Some(self.bed.connect(lasting(name)));
        }
        let mut seen = Vec::new();
        for (who, name) in NAMES.iter().enumerate() {
            self.unanswered[who].clear();
            self.collect();
            while !self.unanswered[who].is_empty() {
                let packet = self.unanswered[who].remove(0);
                seen.push(format!("{name} {}", describe(&packet)));
                self.answer(who, &packet);
                self.collect();
            }
        }
        let late = self.bed.connect(passing("late"));
        self.bed.subscribe(late, "#", at(QoS::AtMostOnce));
        seen.extend(self.bed.messages(late).iter().map(|p| format!("{:?} {:?}", p.topic, p.payload)));
        // Once more a message for each subscription, so that these are compared too.
        for topic in ["t/1", "t/2"] {
            self.bed.publish(late, topic, "last", QoS::AtLeastOnce);
        }
        self.unanswered.iter_mut().for_each(Vec::clear);
        self.collect();
        seen.extend(self.unanswered.iter().map(|packets| format!("{} last", packets.len())));
        seen
    }
}

/// Identifiers are compared only where the client has seen them before. A PUBREL with a wrong one would not be
/// completed.
fn describe(packet: &Packet) -> String {
    let Packet::Publish(p) = packet else { return "release".to_owned() };
    let id = match p.delivery {
        Delivery::AtLeastOnce { id, duplicate: true } | Delivery::ExactlyOnce { id, duplicate: true } => {
            Some(id)
        }
        _ => None,
    };
    format!("{:?} {id:?} {:?} {} {:?} {:?}", p.delivery.qos(), p.topic, p.retain, p.properties, p.payload)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    #[cfg_attr(miri, ignore = "400 worlds take too long")]
    fn a_restored_broker_goes_on_where_the_other_was(steps in proptest::collection::vec(step(), 1..60)) {
        let mut went_on = World::new();
        let mut restarted = World::new();
        for step in &steps {
            went_on.step(step);
            restarted.step(step);
        }
        for conn in std::mem::take(&mut went_on.conns).into_iter().flatten() {
            went_on.bed.close(conn);
        }
        restarted.step(&Step::Restart);
        prop_assert_eq!(restarted.bed.broker.counters().records_unreadable, 0);
        // Every stored message belongs to an entry, and every entry to a session.
        let kinds = |kind| restarted.bed.durable.keys().filter(|key| key[0] == kind).count();
        let entries: usize =
            restarted.bed.broker.sessions.values().map(|s| s.queue.len() + s.inflight.len()).sum();
        prop_assert_eq!(kinds(b'q'), entries);
        prop_assert!(kinds(b'm') <= entries);
        prop_assert_eq!(went_on.rest(), restarted.rest());
    }

    #[test]
    fn bytes_of_a_bad_disk_are_counted_and_harm_nothing(
        kind in prop_oneof![Just(b's'), Just(b'f'), Just(b'm'), Just(b'q'), Just(b'i'), Just(b'r'), Just(b'w'), any::<u8>()],
        key in proptest::collection::vec(any::<u8>(), 0..20),
        value in proptest::collection::vec(prop_oneof![Just(1u8), Just(0), any::<u8>()], 0..60),
    ) {
        let mut full = vec![kind];
        full.extend(key);
        let mut broker =
            Broker::restore(TestGate::default(), Limits::default(), START, std::iter::once((full, Bytes::from(value))));
        broker.tick(START.plus_micros(1_000_000_000));
    }
}
