//! A thing whose key the gateway keeps, spoken with as the gateway does.

use std::collections::HashSet;

use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey};
use thingward_device::link::{Hello, JOIN_BYTES_MAX, Join, Outgoing, Pending};
use thingward_model::clock::now;
use thingward_radio::Order;
use thingward_radio::wire::{Address, Name, Text};
use thingward_seal::command::{self, Command, Data, Outcome, SignedReply};
use thingward_seal::{Item, Items, StatementKind};
use tokio::io::duplex;

use super::super::desk::Desk;
use super::super::part::Actions;
use super::super::room::RadioRoom;
use super::*;

const AT: &str = "c0ffee01-5";
const PATIENCE: Duration = Duration::from_secs(10);

fn service_key() -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap()
}

/// A thing that is served, and the line to it.
struct Talk {
    ways: Ways,
    link: SharedLink,
    desk: Desk,
    orders: mpsc::Receiver<Order>,
    counts: Counts,
    line: DuplexStream,
    frames: Decoder<Vec<u8>>,
    sequence: u8,
}

impl Talk {
    async fn open(folder: &Path, address: &str) -> io::Result<Self> {
        let key = SealingKey::load_or_create(&folder.join("key")).unwrap();
        let (orders_in, orders) = mpsc::channel(8);
        let desk = Desk::new(orders_in);
        let actions = Actions::default();
        let document = br#"{"@context": "https://www.w3.org/2022/wot/td/v1.1", "title": "Bulb",
            "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
            "actions": {"set-level": {"forms": [{"href": "devices/me/commands"}]}}}"#;
        actions.set(&thingward_model::description::ThingDescription::parse(document).unwrap());
        let (link, counts) = (SharedLink::new(Link::ZwaveNone), Counts::default());
        let part = Part { address: Address::new(address).unwrap(), actions, desk: desk.clone() };
        let (server, ways) = super::open(folder, key, part, link.clone(), Arc::default(), counts.clone())?;
        tokio::spawn(server.run());
        let (line, far) = duplex(4096);
        ways.ends.send(far).await.unwrap();
        let frames = Decoder::new(vec![0; 8192]);
        Ok(Self { ways, link, desk, orders, counts, line, frames, sequence: 0 })
    }

    async fn ask(&mut self, kind: Kind, body: &[u8]) -> Result<Vec<u8>, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        encode(&Frame { sequence: self.sequence, kind: kind.code(), body }, |byte| bytes.push(byte));
        self.line.write_all(&bytes).await.unwrap();
        loop {
            let byte = tokio::time::timeout(PATIENCE, self.line.read_u8()).await.expect("an answer").unwrap();
            let Some(frame) = self.frames.take(byte) else { continue };
            assert_eq!(frame.sequence, self.sequence);
            if frame.kind == Kind::FAILED {
                return Err(Failure::from_code(frame.body[0]).unwrap());
            }
            return Ok(frame.body.to_vec());
        }
    }

    async fn hello(&mut self) -> Hello {
        Hello::read(&self.ask(Kind::Hello, &[7; 32]).await.unwrap()).unwrap()
    }

    async fn join(&mut self) {
        let recipient = *RecipientSecretKey::from_bytes([9; 32]).public_key().unwrap().as_bytes();
        let (tenant, device) = ("acme".parse().unwrap(), "bulb-1".parse().unwrap());
        let command_key = service_key().public_key().to_ed25519();
        let join = Join { tenant, device, command_key, grant_key: None, recipient };
        let mut room = [0; JOIN_BYTES_MAX];
        let len = join.write(&mut room).unwrap();
        self.ask(Kind::Join, &room[..len]).await.unwrap();
    }

    async fn say(&self, link: Link, value: f64) {
        self.ways.heard.send(heard(link, vec![reading(value)])).await.unwrap();
    }

    /// Takes everything that waits: what it is, and over which link it is said to have come.
    async fn collect(&mut self) -> Vec<(Pending, Link, Vec<u8>)> {
        let (mut all, mut safe) = (Vec::new(), 0_u32);
        loop {
            let answer = self.ask(Kind::Poll, &safe.to_be_bytes()).await.unwrap();
            if answer.is_empty() {
                return all;
            }
            let message = Outgoing::read(&answer).unwrap();
            safe = message.number;
            all.push((message.pending, self.link.get(), message.payload.to_vec()));
        }
    }

    /// The numbers of records that wait, each with its link, once there are so many.
    async fn records(&mut self, count: usize) -> Vec<(u64, Link)> {
        let mut records = Vec::new();
        let started = Instant::now();
        while records.len() < count {
            assert!(started.elapsed() < PATIENCE, "{records:?}");
            for (_, link, message) in self.collect().await {
                for item in Items::new(&message) {
                    if let Item::Record(record) = item.unwrap() {
                        records.push((record.seq, link));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        records
    }
}

fn heard(link: Link, readings: Vec<wire::Reading>) -> Heard {
    let room = RadioRoom::default().of_thing().take(&readings).unwrap();
    Heard { link, time: now(), readings, _room: Arc::new(room) }
}

fn reading(value: f64) -> wire::Reading {
    let (name, unit) = (Name::new("level").unwrap(), Text::new("%").unwrap());
    wire::Reading { name, unit, value: wire::Value::Number(value) }
}

#[tokio::test]
async fn what_a_thing_says_is_in_one_chain_through_restarts_and_its_key_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    let first = talk.hello().await;
    assert!(!first.is_joined);
    talk.join().await;
    talk.say(Link::ZwaveS2Authenticated, 1.0).await;
    assert_eq!(talk.records(1).await, [(1, Link::ZwaveS2Authenticated)]);
    talk.say(Link::ZwaveS2Authenticated, 2.0).await;
    // It is durable when it was recorded, and nobody has taken it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(talk);
    let mut talk = reopened(folder.path(), AT).await;
    let second = talk.hello().await;
    assert_eq!((second.public_key, second.is_joined), (first.public_key, true));
    // Nobody remembers how it came: the least is said of it.
    assert_eq!(talk.records(1).await, [(2, Link::ZwaveNone)]);
    talk.say(Link::ZwaveS2Authenticated, 3.0).await;
    assert_eq!(talk.records(1).await, [(3, Link::ZwaveS2Authenticated)]);
}

#[tokio::test]
async fn a_message_is_said_to_have_come_as_it_did_whatever_came_before_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    let links =
        [Link::ZwaveS2Access, Link::ZwaveS2Access, Link::ZwaveNone, Link::ZwaveS2Access, Link::ZwaveS0];
    for (number, link) in (0_u32..).zip(links) {
        talk.say(link, f64::from(number)).await;
    }
    let records = talk.records(links.len()).await;
    assert_eq!(records, (1..).zip(links).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_checkpoint_follows_what_a_thing_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    talk.say(Link::ZwaveS0, 1.0).await;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < 2 * PATIENCE, "no checkpoint");
        let messages = talk.collect().await;
        let signed = messages.iter().flat_map(|(.., message)| Items::new(message)).any(|item| {
            let Item::Statement(statement) = item.unwrap() else { return false };
            matches!(statement.claimed_unverified().kind, StatementKind::Checkpoint { last: 1, .. })
        });
        if signed {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn under_another_address_it_is_nobody_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    talk.say(Link::ZwaveS0, 1.0).await;
    assert_eq!(talk.records(1).await.len(), 1);
    let key = talk.hello().await.public_key;
    assert!(Talk::open(folder.path(), AT).await.is_err(), "two devices on one memory");
    drop(talk);
    let mut other = reopened(folder.path(), "c0ffee01-6").await;
    let hello = other.hello().await;
    assert!(!hello.is_joined && hello.public_key != key);
    drop(other);
    let mut talk = reopened(folder.path(), AT).await;
    assert_eq!(talk.hello().await.public_key, key);
    talk.say(Link::ZwaveS0, 2.0).await;
    // That the first is safe is durable with the next: it comes again, and the chain's numbers show it.
    assert_eq!(talk.records(2).await, [(1, Link::ZwaveNone), (2, Link::ZwaveS0)]);
}

/// Once the one before has let go of the memory.
async fn reopened(folder: &Path, address: &str) -> Talk {
    let started = Instant::now();
    loop {
        match Talk::open(folder, address).await {
            Ok(talk) => return talk,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_damaged_on_disk_is_an_error_and_no_new_thing() {
    let folder = tempfile::tempdir().unwrap();
    drop(Talk::open(folder.path(), AT).await.unwrap());
    drop(reopened(folder.path(), AT).await);
    std::fs::write(folder.path().join("secret"), b"short").unwrap();
    assert!(Talk::open(folder.path(), AT).await.is_err());
}

#[tokio::test]
async fn who_says_more_than_there_is_room_for_loses_the_oldest_and_it_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    // Before it is a member nothing has a place in the chain.
    let count = u32::try_from(WAITING_MAX).unwrap() + 10;
    for number in 0..count {
        talk.say(Link::ZwaveS0, f64::from(number)).await;
    }
    talk.join().await;
    talk.say(Link::ZwaveS0, 0.0).await;
    let records = talk.records(WAITING_MAX).await;
    let numbers: HashSet<u64> = records.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), records.len());
    assert_eq!(talk.counts.dropped.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn more_than_fits_a_record_is_taken_in_parts_and_what_never_fits_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    let value = wire::Value::Text(Text::fitting(&"long ".repeat(10)));
    let long = wire::Reading { value, ..reading(0.0) };
    let many = heard(Link::ZwaveS0, vec![long; wire::READINGS_MAX]);
    talk.ways.heard.send(many).await.unwrap();
    assert!(talk.records(2).await.len() >= 2);
    let value = wire::Value::Data(vec![1; wire::DATA_BYTES_MAX]);
    let huge = wire::Reading { value, ..reading(0.0) };
    talk.ways.heard.send(heard(Link::ZwaveS0, vec![huge])).await.unwrap();
    talk.say(Link::ZwaveS0, 2.0).await;
    talk.records(1).await;
    assert_eq!(talk.counts.dropped.load(Ordering::Relaxed), 1);
}

/// A signed order to set a level.
fn order(id: u8, action: &str) -> Vec<u8> {
    let (issued, action) = (now(), action.parse().unwrap());
    let command = Command {
        tenant: "acme".parse().unwrap(),
        device: "bulb-1".parse().unwrap(),
        id: [id; 16],
        action,
        input: Data::NOTHING,
        issued,
        expires: issued.plus_micros(60_000_000),
        actor: "user/1",
    };
    let (mut canonical, mut out) = ([0; 1024], [0; 3200]);
    let len = command.encode(&mut canonical).unwrap();
    let len = command::sign(&service_key(), &canonical[..len], None, None, &mut out).unwrap();
    [&[id; 16], &out[..len]].concat()
}

/// The outcome of the reply that waits.
async fn outcome(talk: &mut Talk) -> String {
    let messages = talk.collect().await;
    let (_, _, reply) = messages.iter().find(|(pending, ..)| *pending == Pending::Reply).expect("a reply");
    let reply = SignedReply::decode(reply).unwrap();
    let key = talk.hello().await.public_key;
    let key = thingward_crypto::VerifyingKey::from_ed25519(&key).unwrap();
    match reply.verify(&key).unwrap().outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Failed { text } => text.to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_is_done_by_the_radio_once_and_answered_as_the_thing() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    let (desk, mut orders) = (talk.desk.clone(), std::mem::replace(&mut talk.orders, mpsc::channel(1).1));
    let asked = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(Order::Call(call)) = orders.recv().await {
            assert_eq!((call.thing.as_str(), call.action.as_str()), (AT, "set-level"));
            let is_first = seen.fetch_add(1, Ordering::Relaxed) == 0;
            desk.done(call.id, (!is_first).then(|| "the bulb is broken".to_owned()));
        }
    });
    talk.ask(Kind::Command, &order(1, "set-level")).await.unwrap();
    assert_eq!(outcome(&mut talk).await, "done");
    talk.ask(Kind::Command, &order(1, "set-level")).await.unwrap();
    assert!(talk.collect().await.is_empty(), "it was done before");
    talk.ask(Kind::Command, &order(2, "set-level")).await.unwrap();
    assert_eq!(outcome(&mut talk).await, "the bulb is broken");
    talk.ask(Kind::Command, &order(3, "explode")).await.unwrap();
    assert!(outcome(&mut talk).await.contains("UnknownAction"));
    let mut forged = order(4, "set-level");
    *forged.last_mut().unwrap() ^= 1;
    talk.ask(Kind::Command, &forged).await.unwrap();
    assert!(outcome(&mut talk).await.contains("Refused"));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_command_to_a_radio_that_went_away_fails_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    talk.join().await;
    let desk = talk.desk.clone();
    let mut orders = std::mem::replace(&mut talk.orders, mpsc::channel(1).1);
    tokio::spawn(async move {
        orders.recv().await;
        desk.gone();
        orders.recv().await;
    });
    talk.ask(Kind::Command, &order(1, "set-level")).await.unwrap();
    assert_eq!(outcome(&mut talk).await, "the radio went away meanwhile");
}

#[tokio::test]
async fn it_proves_nothing_of_firmware() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::open(folder.path(), AT).await.unwrap();
    assert_eq!(talk.ask(Kind::Evidence, &[8; 36]).await, Err(Failure::Malformed));
}
