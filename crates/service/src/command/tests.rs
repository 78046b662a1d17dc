use serde_json::json;
use thingward_crypto::{KeyId, SignatureAlgorithm, Signer};
use thingward_policy::{PolicyFile, Source, UserRole};
use thingward_seal::command::{Command, Data, REPLY_BYTES_MAX, Refusal, Reply, Scalar};

use super::*;

const MINUTE: i64 = 60_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + micros)
}

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).unwrap()
}

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn meter() -> DeviceName {
    "meter-1".parse().unwrap()
}

fn file(text: &str) -> Source {
    Source::new(&[PolicyFile { name: "own.cedar".to_owned(), text: text.to_owned() }]).unwrap()
}

/// A tenant where otto operates meter-1, which takes its rate from operators.
fn access() -> Access {
    let access = Access::default();
    access.add_tenant(acme());
    access.of(&acme()).unwrap().update(|world| {
        world.users.entry("otto".parse().unwrap()).or_default().roles.insert(UserRole::Operator);
        let mut meter_1 = thingward_policy::Member::new(thingward_model::Role::Device);
        let rate = thingward_policy::Operation { roles: [UserRole::Operator].into(), is_sensitive: false };
        meter_1.operations.insert("set-rate".parse().unwrap(), rate);
        world.members.insert(meter(), meter_1);
    });
    access
}

fn new(id: u8) -> NewCommand {
    let mut out = [0; 32];
    let input = Data::scalar(Scalar::Number(3.5), &mut out).unwrap();
    let subject = Subject::User("otto".parse().unwrap());
    let record = CommandRecord {
        tenant: acme(),
        device: meter(),
        id: [id; 16],
        action: "set-rate".parse().unwrap(),
        input: json!(3.5),
        actor: "user/1".to_owned(),
        who: who(&subject),
        issued: at(0),
        expires: at(10 * MINUTE),
        log: 0,
        message: Vec::new(),
        state: State::Waiting,
        reply: Vec::new(),
    };
    let CommandRecord { tenant, device, action, issued, expires, .. } = record;
    let command = Command { tenant, device, id: [id; 16], action, input, issued, expires, actor: "user/1" };
    let mut canonical = vec![0; 1024];
    let len = command.encode(&mut canonical).unwrap();
    canonical.truncate(len);
    let deed = sent(&record, &canonical);
    NewCommand { record, canonical, approval: None, deed }
}

fn commands() -> Commands {
    let mut commands = Commands::new(key(1), Vec::new(), Late::default());
    commands.add(new(7), 12).unwrap();
    commands
}

/// What the device answers to what it was sent.
fn reply(message: &[u8], outcome: Outcome<'_>, signer: &SoftwareKey) -> Vec<u8> {
    let told = SignedCommand::decode(message).unwrap().verify(key(1).public_key()).unwrap();
    let command = digest(told.canonical);
    let mut out = [0; REPLY_BYTES_MAX];
    let len = Reply { id: told.command.id, command, time: at(1), outcome }.sign(signer, &mut out).unwrap();
    out[..len].to_vec()
}

fn take(commands: &mut Commands, bytes: &[u8]) -> Result<(), BadReply> {
    let known = |id: &KeyId| Some(key(2).public_key().clone()).filter(|key| key.id() == *id);
    commands.reply(&acme(), &meter(), [7; 16], bytes, known)
}

fn ended(commands: &mut Commands) -> (State, &'static str) {
    let Changes { records, deeds, .. } = commands.drain();
    (records.last().unwrap().state.clone(), deeds.last().unwrap().1.action)
}

#[test]
fn a_command_is_sent_until_its_device_has_answered() {
    let (mut commands, access) = (commands(), access());
    let first = commands.due(at(0), &access);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].topic.as_str(), format!("t/acme/devices/meter-1/commands/{}", "07".repeat(16)));
    assert!(commands.due(at(1), &access).is_empty());
    let again = commands.next_deadline().unwrap();
    assert_eq!(commands.due(again, &access)[0].payload, first[0].payload);
    let told = SignedCommand::decode(&first[0].payload).unwrap().verify(key(1).public_key()).unwrap();
    assert_eq!((told.log, told.command.actor), (Some(12), "user/1"));

    take(&mut commands, &reply(&first[0].payload, Outcome::Done(Data::NOTHING), &key(2))).unwrap();
    assert_eq!(ended(&mut commands), (State::Done { output: json!(null) }, "command.reply"));
    assert!(commands.due(at(9 * MINUTE), &access).is_empty());
    assert!(!commands.may_deliver(&acme(), &meter(), [7; 16], at(2), &access));
}

#[test]
fn a_reply_that_is_not_the_devices_word_on_this_command_changes_nothing() {
    let (mut commands, access) = (commands(), access());
    let sent = commands.due(at(0), &access)[0].payload.clone();
    let done = Outcome::Done(Data::NOTHING);
    let good = reply(&sent, done, &key(2));
    let mut other = commands_with(8);
    let about_another = reply(&other.due(at(0), &access)[0].payload, done, &key(2));
    for (bytes, why) in [
        (b"".to_vec(), "malformed"),
        (good[..good.len() - 1].to_vec(), "malformed"),
        (reply(&sent, done, &key(3)), "wrong-signer"),
        (about_another, "about another command"),
    ] {
        assert_eq!(take(&mut commands, &bytes), Err(BadReply::Wrong(why)));
    }
    let stranger: DeviceName = "meter-2".parse().unwrap();
    let by_stranger =
        commands.reply(&acme(), &stranger, [7; 16], &good, |_| Some(key(2).public_key().clone()));
    assert_eq!(by_stranger, Err(BadReply::NotWaiting));
    take(&mut commands, &good).unwrap();
    assert_eq!(take(&mut commands, &good), Err(BadReply::NotWaiting));
}

fn commands_with(id: u8) -> Commands {
    let mut commands = Commands::new(key(1), Vec::new(), Late::default());
    commands.add(new(id), 1).unwrap();
    commands
}

#[test]
fn a_refusal_of_the_message_as_such_names_the_message() {
    let (mut commands, access) = (commands(), access());
    let sent = commands.due(at(0), &access)[0].payload.clone();
    let outcome = Outcome::Refused { reason: Refusal::NoCommandKey, text: "" };
    let mut out = [0; REPLY_BYTES_MAX];
    let refusal = Reply { id: [7; 16], command: sha256(&[&sent]), time: at(1), outcome };
    let len = refusal.sign(&key(2), &mut out).unwrap();
    take(&mut commands, &out[..len]).unwrap();
    assert_eq!(ended(&mut commands).0.as_str(), "refused");
}

#[test]
fn a_right_that_is_withdrawn_takes_back_what_was_not_delivered() {
    let (mut commands, access) = (commands(), access());
    assert!(commands.may_deliver(&acme(), &meter(), [7; 16], at(0), &access));
    access
        .apply(&acme(), file("forbid (principal, action == Action::\"commands:send\", resource);"))
        .unwrap();
    assert!(!commands.may_deliver(&acme(), &meter(), [7; 16], at(0), &access));
    assert!(commands.due(at(0), &access).is_empty());
    let reason = "a policy forbids it".to_owned();
    assert_eq!(ended(&mut commands), (State::Cancelled { reason }, "command.cancel"));
}

#[test]
fn a_command_ends_with_its_time() {
    let (mut commands, access) = (commands(), access());
    assert!(!commands.may_deliver(&acme(), &meter(), [7; 16], at(10 * MINUTE), &access));
    assert!(commands.due(at(10 * MINUTE), &access).is_empty());
    assert_eq!(ended(&mut commands), (State::Expired, "command.expire"));
}

#[test]
fn who_sends_it_takes_it_back_once() {
    let mut commands = commands();
    let stranger: DeviceName = "meter-2".parse().unwrap();
    let deed = || taken_back(&new(7).record, "user/1".to_owned());
    assert!(!commands.cancel(&acme(), &stranger, [7; 16], deed()));
    assert!(commands.cancel(&acme(), &meter(), [7; 16], deed()));
    assert!(!commands.cancel(&acme(), &meter(), [7; 16], deed()));
}

#[test]
fn what_waits_for_a_token_that_ended_is_taken_back() {
    let mut commands = commands();
    commands.cancel_all_of(&["user/2".to_owned()].into());
    assert!(commands.drain().deeds.is_empty());
    commands.cancel_all_of(&["user/1".to_owned()].into());
    assert_eq!(ended(&mut commands).1, "command.cancel");
}

#[test]
fn a_device_that_begins_to_listen_gets_what_waits_at_once_also_behind_a_gateway() {
    let (mut commands, access) = (commands(), access());
    commands.due(at(0), &access);
    commands.listens(&acme(), &meter(), at(10));
    assert_eq!(commands.due(at(10), &access).len(), 1);
    let hub: DeviceName = "hub".parse().unwrap();
    commands.carried(acme(), meter(), hub, at(20));
    let topics: Vec<String> =
        commands.due(at(20), &access).iter().map(|m| m.topic.as_str().to_owned()).collect();
    assert!(topics[1].starts_with("t/acme/devices/hub/children/meter-1/commands/"), "{topics:?}");
    // The same gateway again is no news.
    commands.carried(acme(), meter(), hub, at(30));
    assert!(commands.due(at(30), &access).is_empty());
    commands.gateway_listens(&acme(), &hub, at(40));
    assert_eq!(commands.due(at(40), &access).len(), 2);
}

#[test]
fn what_waits_is_there_after_a_restart_for_whoever_wanted_it() {
    let (mut before, access) = (commands(), access());
    let record = before.drain().records.remove(0);
    let read = CommandRecord::decode(&record.key(), &record.encode()).unwrap();
    assert_eq!(read, record);
    let mut after = Commands::new(key(1), vec![read], Late::default());
    assert_eq!(after.due(at(0), &access).len(), 1);
    let scopes = [Action::SendCommands, Action::ReadDevices].into_iter().collect();
    for subject in [
        Subject::Operator,
        Subject::User("otto".parse().unwrap()),
        Subject::Token { name: "t1".parse().unwrap(), user: Some("otto".parse().unwrap()), scopes },
        Subject::Token { name: "t1".parse().unwrap(), user: None, scopes },
    ] {
        assert_eq!(CommandRecord { who: who(&subject), ..record.clone() }.subject(), Some(subject));
    }
    assert_eq!(CommandRecord::decode(b"w", b"{}"), None);
}

#[test]
fn a_device_has_room_for_so_many_and_no_more() {
    let mut commands = Commands::new(key(1), Vec::new(), Late::default());
    for id in 0..WAITING_MAX {
        assert!(commands.has_room(&acme(), &meter()));
        commands.add(new(u8::try_from(id).unwrap()), 1).unwrap();
    }
    assert!(!commands.has_room(&acme(), &meter()));
    assert!(commands.has_room(&acme(), &"meter-2".parse().unwrap()));
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_waits_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).await.unwrap();
    let mut batch = Batch::new();
    let kept = |id: u8, minutes: i64, state: State| {
        let record = new(id).record;
        CommandRecord { issued: at(minutes * MINUTE), state, ..record }.key()
    };
    let keys = [kept(1, 0, State::Expired), kept(2, 9, State::Expired), kept(3, 0, State::Waiting)];
    keys.iter().for_each(|key| batch.put(Space::Commands, key.clone(), b"sealed".to_vec()));
    store.commit(batch).unwrap();
    forget_ended(&store, at(5 * MINUTE)).unwrap();
    let left: Vec<_> =
        store.scan(Space::Commands, b"", 10).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [keys[1].clone(), keys[2].clone()]);
}

#[test]
fn the_devices_word_is_taken_late_too() {
    let (mut commands, access) = (commands(), access());
    let sent = commands.due(at(0), &access)[0].payload.clone();
    commands.due(at(10 * MINUTE), &access);
    assert_eq!(ended(&mut commands).0, State::Expired);
    take(&mut commands, &reply(&sent, Outcome::Done(Data::NOTHING), &key(2))).unwrap();
    assert_eq!(ended(&mut commands), (State::Done { output: json!(null) }, "command.reply"));
    assert!(!commands.may_deliver(&acme(), &meter(), [7; 16], at(0), &access));
}

#[test]
fn two_devices_may_have_commands_of_one_name() {
    let mut commands = commands();
    let other: DeviceName = "meter-2".parse().unwrap();
    let mut second = new(7);
    second.record.device = other;
    commands.add(second, 13).unwrap();
    assert!(commands.is_waiting(&acme(), &meter(), [7; 16]) && commands.is_waiting(&acme(), &other, [7; 16]));
    commands.cancel_all_for(&acme(), &other);
    assert!(
        commands.is_waiting(&acme(), &meter(), [7; 16]) && !commands.is_waiting(&acme(), &other, [7; 16])
    );
}

#[test]
fn a_command_is_found_by_its_name_and_the_newest_stand_in_front() {
    let record = CommandRecord { issued: at(5), ..new(7).record };
    let (index, place) = record.index();
    let found = [keys_of(WAITING_PREFIX, &acme(), &meter()), place].concat();
    assert_eq!(found, record.key());
    assert_eq!(super::record::index_of(&record.key()), index);
    let newer = CommandRecord { issued: at(6), ..new(7).record };
    assert!(newer.key() < record.key());
    assert_eq!(super::record::issued(&record.key()), Some(at(5)));
}

#[test]
fn one_device_keeps_nobody_from_being_late() {
    let (mut commands, access) = (commands(), access());
    let sent = commands.due(at(0), &access)[0].payload.clone();
    let other: DeviceName = "meter-2".parse().unwrap();
    commands.due(at(10 * MINUTE), &access);
    for _ in 0..200 {
        let mut new = new(9);
        new.record.device = other;
        commands.add(new, 1).unwrap();
        commands.cancel_all_for(&acme(), &other);
    }
    commands.drain();
    take(&mut commands, &reply(&sent, Outcome::Done(Data::NOTHING), &key(2))).unwrap();
    let changes = commands.drain();
    assert_eq!(changes.records[0].state, State::Done { output: json!(null) });
    let entry = CommandRecord { state: State::Expired, ..new(7).record }.late_key();
    assert_eq!(changes.over, [entry]);
}

#[tokio::test]
async fn the_devices_word_is_taken_late_after_a_restart_too_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).await.unwrap();
    let mut sealer =
        Sealer::new(thingward_crypto::sealed::SealingKey::from_bytes(&[1; 32]).unwrap()).unwrap();
    let mut commit = |commands: &mut Commands| {
        let mut batch = Batch::new();
        commands.drain().write(&mut sealer, &mut batch).unwrap();
        store.commit(batch).unwrap();
        Late::load(&store, &mut sealer).unwrap()
    };
    let (mut before, access) = (commands(), access());
    let sent = before.due(at(0), &access)[0].payload.clone();
    before.due(at(10 * MINUTE), &access);
    let late = commit(&mut before);
    let mut after = Commands::new(key(1), Vec::new(), late);
    let word = reply(&sent, Outcome::Done(Data::NOTHING), &key(2));
    take(&mut after, &word).unwrap();
    assert_eq!(after.changed[0].state, State::Done { output: json!(null) });
    let mut third = Commands::new(key(1), Vec::new(), commit(&mut after));
    assert_eq!(take(&mut third, &word), Err(BadReply::NotWaiting));
    assert_eq!(store.scan(Space::Commands, b"", 10).unwrap().len(), 2, "the command and its index");
}
