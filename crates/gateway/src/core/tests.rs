use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use thingward_agent::disk::{Directory, Disk};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::system_rng;
use thingward_ingress::{Waiting, output};
use thingward_model::{Link, Principal};
use thingward_mqtt::client::{Client, ClientConfig, Event as Heard};
use thingward_mqtt::codec::{PublishTopic, QoS, SubscribeRequest, SubscriptionOptions, Text};

use super::*;
use crate::queue::QueueLimits;

fn disk(folder: &std::path::Path) -> Box<dyn Disk + Send> {
    Box::new(Directory::open(folder).unwrap())
}

fn core(folder: &std::path::Path) -> Core {
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let queue = Queue::open(disk(folder), key, QueueLimits::default()).unwrap();
    Core::new("acme".parse().unwrap(), Arc::new(Mutex::new(queue)), Arc::default(), Switchboard::default())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

#[test]
fn a_message_that_the_service_keeps_refusing_leaves_room_for_what_others_say() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let limits = QueueLimits { bytes_max: 64 * 1024, ..QueueLimits::default() };
    let queue = Queue::open(disk(folder.path()), key, limits).unwrap();
    let queue = Arc::new(Mutex::new(queue));
    let mut core =
        Core::new("acme".parse().unwrap(), Arc::clone(&queue), Arc::default(), Switchboard::default());
    let said = |child: &str| Queued {
        child: child.parse().unwrap(),
        topic: "devices/me/state/door".to_owned(),
        received: at(0),
        link: Link::MutualTls,
        message: b"open".to_vec(),
    };
    let refused = said("refused");
    queue.lock().unwrap().push(&refused).unwrap();
    core.step(at(0), std::iter::empty()).unwrap();
    let (name, _) = queue.lock().unwrap().next_message(&BTreeSet::new()).unwrap().unwrap();
    for n in 1..200 {
        for _ in 0..10 {
            queue.lock().unwrap().push(&said("other")).unwrap();
        }
        core.step(at(10 * n), std::iter::empty()).unwrap();
        let mut queue = queue.lock().unwrap();
        while let Some((name, queued)) = queue.next_message(&BTreeSet::new()).unwrap() {
            queue.done(&queued.child, name);
        }
    }
    let mut queue = queue.lock().unwrap();
    assert_eq!(queue.backlog().len(), 1);
    queue.done(&refused.child, name);
    assert!(queue.backlog().is_empty());
}

/// A child connects. Gives what it is sent.
fn connect(core: &mut Core, conn: ConnId, serial: u8) -> Waiting {
    let name = format!("meter-{conn}").parse().unwrap();
    let principal = Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name };
    let who = Member { principal, serial: vec![serial], not_after: at(100), link: Link::MutualTls };
    let (output, waiting) = output();
    core.handle(at(0), Event::Accept { conn, who, output });
    let bytes = BytesMut::from(&b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a"[..]);
    core.handle(at(0), Event::Received { conn, received: bytes.into() });
    core.release();
    waiting
}

/// What waits just now.
fn next(waiting: &mut Waiting) -> Poll<Option<Bytes>> {
    waiting.poll_next(&Context::from_waker(Waker::noop()))
}

/// The reason code of the CONNACK or DISCONNECT that came, and whether the connection is open.
fn told(receiver: &mut Waiting) -> (Option<u8>, bool) {
    let reason = match next(receiver) {
        Poll::Ready(packet) => packet.map(|p| if p[0] == 0x20 { p[3] } else { p[2] }),
        Poll::Pending => None,
    };
    (reason, next(receiver).is_pending())
}

#[test]
fn whose_certificate_is_revoked_has_no_session_and_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    let (mut revoked, mut other) = (connect(&mut core, 1, 1), connect(&mut core, 2, 2));
    assert_eq!((told(&mut revoked), told(&mut other)), ((Some(0), true), (Some(0), true)));
    core.handle(at(1), Event::Revoked { serials: BTreeSet::from([vec![1]]) });
    core.release();
    assert_eq!(told(&mut revoked), (Some(ReasonCode::AdministrativeAction.code()), false));
    assert_eq!(told(&mut other), (None, true));
    // Its handshake was made under the CRL before.
    let mut late = connect(&mut core, 3, 1);
    assert_eq!(told(&mut late), (Some(ReasonCode::NotAuthorized.code()), false));
}

#[track_caller]
fn check(topic: &str, want: Result<(), ReasonCode>) {
    assert_eq!(check_topic(topic), want, "{topic}");
}

#[test]
fn a_topic_that_the_service_would_refuse_is_refused_at_the_gateway() {
    let deep = |levels: usize| format!("devices/me/state{}", "/".repeat(levels - 3));
    check("devices/me/telemetry/climate", Ok(()));
    check("devices/me/replies/1", Ok(()));
    check("devices/me/uses/1", Ok(()));
    check(&deep(TOPIC_LEVELS_MAX), Ok(()));
    check(&deep(TOPIC_LEVELS_MAX + 1), Err(ReasonCode::TopicNameInvalid));
    check(&format!("devices/me/state/{}", "x".repeat(240)), Err(ReasonCode::TopicNameInvalid));
    for topic in ["devices/me/telemetry/two/levels", "devices/me/state/", "devices/me/forward", "x"] {
        check(topic, Err(ReasonCode::NotAuthorized));
    }
}

#[test]
fn what_was_delivered_is_not_sent_again_after_a_kill_some_seconds_later() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let open = || Queue::open(disk(folder.path()), key.clone(), QueueLimits::default()).unwrap();
    let queue = Arc::new(Mutex::new(open()));
    {
        let mut queue = queue.lock().unwrap();
        let child = "meter-1".parse().unwrap();
        let topic = "devices/me/telemetry/climate".to_owned();
        let link = Link::MutualTls;
        queue.push(&Queued { child, topic, received: now(), link, message: b"21.5".to_vec() }).unwrap();
        queue.commit().unwrap();
        let (place, _) = queue.next_message(&BTreeSet::new()).unwrap().unwrap();
        queue.done(&child, place);
    }
    // The core keeps house at its first turn, and then every ten seconds.
    let core = Core::new("acme".parse().unwrap(), Arc::clone(&queue), Arc::default(), Switchboard::default());
    let (events, inbox) = mpsc::channel(1);
    events.try_send(Event::Stop).unwrap();
    core.run(inbox);
    assert!(open().next_message(&BTreeSet::new()).unwrap().is_none());
}

/// A child with a client of its own, and what it hears.
struct Child {
    client: Client,
    conn: ConnId,
    waiting: Option<Waiting>,
}

impl Child {
    fn new() -> Self {
        let client = Client::new(ClientConfig::new(Text::try_from("a").unwrap()));
        Self { client, conn: 0, waiting: None }
    }

    fn connect(&mut self, core: &mut Core, conn: ConnId, name: &str) {
        let principal =
            Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: name.parse().unwrap() };
        let who = Member { principal, serial: name.into(), not_after: at(1_000_000), link: Link::MutualTls };
        let (output, waiting) = output();
        core.handle(at(0), Event::Accept { conn, who, output });
        (self.conn, self.waiting) = (conn, Some(waiting));
        self.client.opened(at(0));
        self.talk(core);
    }

    fn subscribe(&mut self, core: &mut Core, filter: &str) -> ReasonCode {
        let options = SubscriptionOptions::new(QoS::AtLeastOnce);
        let filter = TopicFilter::try_from(filter).unwrap();
        self.client.subscribe(at(0), vec![SubscribeRequest { filter, options }], None).unwrap();
        self.talk(core);
        while let Some(event) = self.client.poll_event() {
            if let Heard::Answered { ack, .. } = event {
                return ack.reasons[0];
            }
        }
        panic!("no SUBACK");
    }

    fn talk(&mut self, core: &mut Core) {
        let bytes = BytesMut::from(self.client.take_output());
        core.handle(at(0), Event::Received { conn: self.conn, received: bytes.into() });
        self.listen(core);
    }

    fn listen(&mut self, core: &mut Core) {
        core.release();
        let mut input = BytesMut::new();
        while let Some(Poll::Ready(Some(bytes))) = self.waiting.as_mut().map(next) {
            input.extend_from_slice(&bytes);
        }
        self.client.receive(at(0), &mut input);
    }

    fn leave(&mut self, core: &mut Core) {
        core.handle(at(0), Event::Closed { conn: self.conn });
        self.client.closed();
        self.waiting = None;
    }

    /// The commands that came: topic and payload.
    fn commands(&mut self, core: &mut Core) -> Vec<(String, Bytes)> {
        self.listen(core);
        let mut all = Vec::new();
        while let Some(event) = self.client.poll_event() {
            if let Heard::Message { publish, receipt } = event {
                let PublishTopic::Name(topic) = publish.topic else { panic!("an alias") };
                all.push((topic.as_str().to_owned(), publish.payload));
                self.client.ack(at(0), receipt.unwrap());
            }
        }
        self.talk(core);
        all
    }
}

fn command(core: &mut Core, child: &str, id: &str) {
    let topic = format!("devices/me/children/{child}/commands/{id}");
    let command = ChildCommand::read(&topic, Bytes::copy_from_slice(id.as_bytes()), Some(60)).unwrap();
    core.handle(at(0), Event::Command(command));
}

fn heard(id: &'static str) -> (String, Bytes) {
    (format!("devices/me/commands/{id}"), Bytes::from_static(id.as_bytes()))
}

#[test]
fn a_command_reaches_the_child_that_it_is_for_also_when_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    command(&mut core, "meter-1", "00");
    let (mut one, mut ten) = (Child::new(), Child::new());
    one.connect(&mut core, 1, "meter-1");
    ten.connect(&mut core, 2, "meter-10");
    for child in [&mut one, &mut ten] {
        assert_eq!(child.subscribe(&mut core, "devices/me/commands/+"), ReasonCode::GrantedQoS1);
    }
    command(&mut core, "meter-1", "01");
    command(&mut core, "meter-10", "02");
    command(&mut core, "meter-2", "03");
    assert_eq!(one.commands(&mut core), [heard("01")]);
    assert_eq!(ten.commands(&mut core), [heard("02")]);
    one.leave(&mut core);
    command(&mut core, "meter-1", "04");
    one.connect(&mut core, 3, "meter-1");
    assert_eq!(one.commands(&mut core), [heard("04")]);
    assert_eq!(ten.commands(&mut core), []);
    // After its time it is of no use any more.
    one.leave(&mut core);
    command(&mut core, "meter-1", "05");
    core.broker.tick(at(61));
    let serials = BTreeSet::from([b"meter-10".to_vec()]);
    core.handle(at(61), Event::Revoked { serials });
    command(&mut core, "meter-10", "06");
    assert_eq!(ten.commands(&mut core), []);
}

#[test]
fn a_child_hears_what_was_taken_back_and_that_evidence_is_asked_for_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    let (mut one, mut ten) = (Child::new(), Child::new());
    one.connect(&mut core, 1, "meter-1");
    ten.connect(&mut core, 2, "meter-10");
    for child in [&mut one, &mut ten] {
        for filter in ["devices/me/grants/revocation", "devices/me/attestation"] {
            assert_eq!(child.subscribe(&mut core, filter), ReasonCode::GrantedQoS1);
        }
    }
    for what in [Tell::Revocation(Bytes::from_static(b"signed")), Tell::Evidence] {
        core.handle(at(0), Event::Tell { child: "meter-1".parse().unwrap(), what });
    }
    let told = [("grants/revocation", &b"signed"[..]), ("attestation", b"")];
    let told = told.map(|(rest, payload)| (format!("devices/me/{rest}"), Bytes::from_static(payload)));
    assert_eq!(one.commands(&mut core), told);
    assert_eq!(ten.commands(&mut core), []);
}

#[test]
fn a_child_asks_for_its_own_commands_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    let mut child = Child::new();
    child.connect(&mut core, 1, "meter-1");
    for filter in [
        "#",
        "devices/me/#",
        "children/meter-2/commands/+",
        "devices/me/state/x",
        "devices/me/grants/#",
        "devices/me/membership",
        "$share/g/devices/me/commands/+",
    ] {
        assert_eq!(child.subscribe(&mut core, filter), ReasonCode::NotAuthorized, "{filter}");
    }
}

#[test]
fn a_flood_of_commands_for_one_that_is_away_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    let mut child = Child::new();
    child.connect(&mut core, 1, "meter-1");
    child.subscribe(&mut core, "devices/me/commands/+");
    child.leave(&mut core);
    for n in 0..1000 {
        command(&mut core, "meter-1", &n.to_string());
    }
    child.connect(&mut core, 2, "meter-1");
    let mut came = 0;
    loop {
        let now = child.commands(&mut core).len();
        came += now;
        if now == 0 {
            break;
        }
    }
    assert_eq!(came, COMMANDS_WAITING_MAX);
}

#[test]
fn what_is_no_command_for_a_child_is_let_go() {
    for topic in [
        "devices/me/children/meter-1/commands/",
        "devices/me/children/meter-1/commands/a/b",
        "devices/me/children/meter-1/state/a",
        "devices/me/children/../commands/a",
        "devices/me/commands/a",
    ] {
        assert_eq!(ChildCommand::read(topic, Bytes::new(), None), None, "{topic}");
    }
}

#[test]
fn nothing_overtakes_an_item_of_a_chain_that_found_no_room_however_late_it_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let limits = QueueLimits { bytes_max: 4_000, ..QueueLimits::default() };
    let queue = Arc::new(Mutex::new(Queue::open(disk(folder.path()), key, limits).unwrap()));
    let tenant = "acme".parse().unwrap();
    let (revoked, held_back) = Default::default();
    let mut gate = ChildGate { tenant, queue: Arc::clone(&queue), revoked, held_back };
    let principal = Principal { tenant, role: Role::Device, name: "meter-1".parse().unwrap() };
    let who = Member { principal, serial: vec![1], not_after: at(1000), link: Link::MutualTls };
    let mut say = |seconds: i64, qos: QoS, payload: Vec<u8>| {
        let message = Message {
            topic: TopicName::try_from("devices/me/telemetry/climate").unwrap(),
            payload: payload.into(),
            qos,
            retain: false,
            properties: thingward_mqtt::codec::MessageProperties::default(),
            author: Bytes::new(),
        };
        gate.publish(at(seconds), &who, &Incoming { message: &message, is_will: false }).map(drop)
    };
    let item = |payload: &[u8]| [&[0xd0], payload].concat();
    let full = Err(ReasonCode::QuotaExceeded);
    let mut publish = |seconds, payload: &[u8]| say(seconds, QoS::AtLeastOnce, item(payload));
    assert_eq!(publish(0, &[1; 600]), Ok(()));
    assert_eq!(publish(0, &[2; 300]), full);
    queue.lock().unwrap().commit().unwrap();
    let (place, queued) = queue.lock().unwrap().next_message(&BTreeSet::new()).unwrap().unwrap();
    queue.lock().unwrap().done(&queued.child, place);
    // There is room now, and the child has not heard yet that its second message was refused.
    assert_eq!(publish(10, &[3; 10]), full);
    assert_eq!(publish(15, &[2; 300]), Ok(()));
    assert_eq!(publish(15, &[3; 10]), Ok(()));
    // One that never comes again holds up the others for a minute by any clock: one that is set back begins it anew.
    assert_eq!(publish(1000, &[4; 900]), full);
    assert_eq!(publish(1059, &[5; 10]), full);
    assert_eq!(publish(20, &[5; 10]), full);
    assert_eq!(publish(79, &[5; 10]), full);
    assert_eq!(publish(80, &[5; 10]), Ok(()));
    // Without a chain, or where nothing is sent again, one that finds no room holds up nobody.
    assert_eq!(say(90, QoS::AtLeastOnce, vec![b'2'; 900]), full);
    assert_eq!(say(90, QoS::AtMostOnce, item(&[6; 900])), full);
    assert_eq!(say(90, QoS::AtLeastOnce, b"21.5".to_vec()), Ok(()));
    assert_eq!(say(90, QoS::AtLeastOnce, item(&[7; 10])), Ok(()));
}
