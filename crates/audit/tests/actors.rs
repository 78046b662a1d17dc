//! What devices sign, in a log, and what a service says that they did.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use thingward_audit::account::{self, Place};
use thingward_audit::actors::{ActorFault, Actors, Word, key_detail};
use thingward_audit::entry::{Entry, EntryError};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_grant::{
    Audience, GRANT_BYTES_MAX, Grant, HolderKey, OPERATION_BYTES_MAX, Operation, Origin,
    PRESENTATION_BYTES_MAX, Permission, SCOPE_BYTES_MAX, Scope, Terms, public,
};
use thingward_model::{NameRef, Timestamp};
use thingward_seal::command::{Data, Outcome, REPLY_BYTES_MAX, Refusal, Reply};
use thingward_seal::statement::{STATEMENT_BYTES_MAX, Statement, StatementKind, Subject};

const ID: [u8; 16] = [3; 16];
const COMMAND: [u8; 32] = [4; 32];

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

/// In this log a request to enrol is the key itself.
fn request_key(request: &[u8]) -> Option<VerifyingKey> {
    VerifyingKey::from_spki(request).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(action: &str, actor: &str, target: &str, details: &[(&str, String)]) -> Entry {
    let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let [action, actor, target] = [action, actor, target].map(str::to_owned);
    Entry { time: 1, action, actor, target, details, evidence: None }
}

fn enrolled(device: &str, key: &SoftwareKey) -> Entry {
    let id = hex(&key.public_key().id());
    let name = format!("device/{device}");
    Entry {
        evidence: Some(key.public_key().to_spki()),
        ..entry("device.enrol", &name, &name, &[("key", id)])
    }
}

fn checkpoint(tenant: &str, stream: &str, key: &SoftwareKey) -> Entry {
    let [tenant, device] = [tenant, "meter-1"];
    let subject = Subject {
        tenant: tenant.parse().unwrap(),
        device: device.parse().unwrap(),
        stream: stream.parse().unwrap(),
    };
    let kind = StatementKind::Checkpoint { first: 1, last: 9, head: [7; 32] };
    let statement = Statement { subject, chain: [1; 8], time: Timestamp::EPOCH, kind };
    let mut bytes = [0; STATEMENT_BYTES_MAX];
    let len = statement.sign(key, &mut bytes).unwrap();
    let evidence = Some(bytes[..len].to_vec());
    Entry { evidence, ..entry("chain.checkpoint", "device/meter-1", "stream/meter-1/power", &[]) }
}

fn sent() -> Entry {
    let details = [("id", hex(&ID)), ("sha256", hex(&COMMAND))];
    entry("command.send", "operator", "operation/meter-1/set-rate", &details)
}

fn reply(command: [u8; 32], outcome: Outcome<'_>, key: &SoftwareKey) -> Entry {
    let said = Reply { id: ID, command, time: Timestamp::EPOCH, outcome };
    let mut bytes = [0; REPLY_BYTES_MAX];
    let len = said.sign(key, &mut bytes).unwrap();
    let evidence = bytes[..len].to_vec();
    let details = [("id", hex(&ID)), ("outcome", "done".to_owned()), ("reply", hex(&sha256(&[&evidence])))];
    let entry = entry("command.reply", "device/meter-1", "operation/meter-1/set-rate", &details);
    Entry { evidence: Some(evidence), ..entry }
}

fn last_word(entries: &[Entry]) -> Result<Word, ActorFault> {
    let mut actors = Actors::new("example.com/tenant/acme", request_key);
    let mut word = Ok(Word::Service);
    for entry in entries {
        word = Ok(actors.entry(entry)?);
    }
    word
}

#[test]
fn what_a_device_signed_stands_on_its_word() {
    let own = key(1);
    let all = [
        enrolled("meter-1", &own),
        checkpoint("acme", "power", &own),
        sent(),
        reply(COMMAND, Outcome::Done(Data::NOTHING), &own),
    ];
    assert_eq!(last_word(&all[..2]), Ok(Word::Device));
    assert_eq!(last_word(&all), Ok(Word::Device));
}

#[test]
fn a_checkpoint_is_the_devices_own_and_about_the_stream_and_tenant_that_the_entry_names() {
    let own = key(1);
    let fault = |entry: Entry| last_word(&[enrolled("meter-1", &own), entry]).unwrap_err();
    let good = checkpoint("acme", "power", &own);
    assert_eq!(fault(checkpoint("acme", "power", &key(2))), ActorFault::UnknownKey);
    assert_eq!(fault(checkpoint("acme", "flow", &own)), ActorFault::Evidence);
    assert_eq!(fault(checkpoint("other", "power", &own)), ActorFault::Evidence);
    assert_eq!(fault(Entry { evidence: None, ..good.clone() }), ActorFault::Unsigned);
    assert_eq!(fault(Entry { evidence: Some(vec![0; 40]), ..good.clone() }), ActorFault::Evidence);
    let mut bent = good.clone();
    *bent.evidence.as_mut().unwrap().last_mut().unwrap() ^= 1;
    assert_eq!(fault(bent), ActorFault::Order(EntryError::Signature));
    let mut longer = good.clone();
    longer.evidence.as_mut().unwrap().push(0);
    assert_eq!(fault(longer), ActorFault::Evidence);
    assert_eq!(last_word(&[good]), Err(ActorFault::UnknownKey), "of a device that never enrolled");
}

#[test]
fn a_reply_says_what_the_entry_says_about_the_command_that_was_sent() {
    let own = key(1);
    let fault = |entry: Entry| last_word(&[enrolled("meter-1", &own), sent(), entry]).unwrap_err();
    let (done, failed) = (Outcome::Done(Data::NOTHING), Outcome::Failed { text: "jammed" });
    assert_eq!(
        fault(reply(COMMAND, failed, &own)),
        ActorFault::Evidence,
        "it failed, and the entry says done"
    );
    assert_eq!(fault(reply([5; 32], done, &own)), ActorFault::Evidence, "another command");
    assert_eq!(fault(reply(COMMAND, done, &key(2))), ActorFault::UnknownKey);
    let good = reply(COMMAND, done, &own);
    let with = |name: &str, value: &str| {
        let mut bent = good.clone();
        bent.details.insert(name.to_owned(), value.to_owned());
        bent
    };
    assert_eq!(fault(with("id", &hex(&[9; 16]))), ActorFault::Evidence);
    assert_eq!(fault(with("reply", &hex(&[9; 32]))), ActorFault::Evidence);
    let elsewhere = Entry { target: "operation/meter-2/set-rate".to_owned(), ..good.clone() };
    assert_eq!(fault(elsewhere), ActorFault::Evidence);
    let never_sent = last_word(&[enrolled("meter-1", &own), good]);
    assert_eq!(never_sent, Err(ActorFault::Evidence), "nobody sent it");
    // A message that is no command has no hash of one.
    let refused = Outcome::Refused { reason: Refusal::Malformed, text: "" };
    let mut of_message = reply([6; 32], refused, &own);
    of_message.details.insert("outcome".to_owned(), "refused".to_owned());
    assert_eq!(fault(of_message.clone()), ActorFault::Evidence, "the entry gives no reason");
    of_message.details.insert("reason".to_owned(), Refusal::Malformed.as_str().to_owned());
    assert_eq!(last_word(&[enrolled("meter-1", &own), sent(), of_message]), Ok(Word::Device));
}

#[test]
fn an_enrolment_is_of_the_key_that_signed_the_request() {
    let (own, other) = (key(1), key(2));
    let good = enrolled("meter-1", &own);
    let of_other = Entry { evidence: Some(other.public_key().to_spki()), ..good.clone() };
    assert_eq!(last_word(&[of_other]), Err(ActorFault::Evidence));
    assert_eq!(last_word(&[Entry { evidence: None, ..good.clone() }]), Err(ActorFault::Unsigned));
    let for_another = Entry { target: "device/meter-2".to_owned(), ..good };
    assert_eq!(last_word(&[for_another]), Err(ActorFault::Evidence));
}

fn gateway(key: &SoftwareKey) -> Entry {
    Entry { actor: "gateway/hall".to_owned(), target: "gateway/hall".to_owned(), ..enrolled("hall", key) }
}

fn account(place: &Place, number: &str, key: &SoftwareKey) -> Entry {
    let details = [("number", number.to_owned()), ("for", "application/home".to_owned())];
    let deed = entry("gateway.command", "gateway/hall", "operation/bulb-1/turn-on", &details);
    Entry { evidence: Some(account::sign("example.com/tenant/acme", place, &deed, key).unwrap()), ..deed }
}

#[test]
fn what_a_gateway_did_by_itself_stands_on_its_word() {
    let own = key(1);
    let first = account(&Place::FIRST, "1", &own);
    let behind = |entry: &Entry, place: &Place| place.next(entry.evidence.as_ref().unwrap());
    let second_place = behind(&first, &Place::FIRST);
    let second = account(&second_place, "2", &own);
    let third = account(&behind(&second, &second_place), "3", &own);
    let all = [gateway(&own), first.clone(), second.clone(), third.clone()];
    assert_eq!(last_word(&all), Ok(Word::Gateway));
    assert_eq!(last_word(&[gateway(&own), first.clone(), first.clone()]), Err(ActorFault::Replayed));
    assert_eq!(
        last_word(&[gateway(&own), account(&Place::FIRST, "1", &key(2))]),
        Err(ActorFault::UnknownKey)
    );
    let other = Entry { target: "operation/bulb-1/turn-off".to_owned(), ..first.clone() };
    assert_eq!(last_word(&[gateway(&own), other]), Err(ActorFault::Evidence));
    let unsigned = Entry { evidence: None, ..first.clone() };
    assert_eq!(last_word(&[gateway(&own), unsigned]), Err(ActorFault::Unsigned));
    // A gateway with a new disk begins anew, and says so by what it signs.
    let anew = account(&Place::FIRST, "1 again", &own);
    assert_eq!(last_word(&[gateway(&own), first, second, anew]), Ok(Word::Gateway));
}

#[test]
fn what_a_gateway_left_out_or_told_twice_is_counted_and_the_log_goes_on() {
    let own = key(1);
    let behind = |entry: &Entry, place: &Place| place.next(entry.evidence.as_ref().unwrap());
    let first = account(&Place::FIRST, "1", &own);
    let second_place = behind(&first, &Place::FIRST);
    let [second, other] = ["2", "2, another story"].map(|number| account(&second_place, number, &own));
    let third_place = behind(&second, &second_place);
    let third = account(&third_place, "3", &own);
    let fourth = account(&behind(&third, &third_place), "4", &own);
    let gaps = |told: &[&Entry]| {
        let mut actors = Actors::new("example.com/tenant/acme", request_key);
        actors.entry(&gateway(&own)).unwrap();
        told.iter().for_each(|entry| assert_eq!(actors.entry(entry), Ok(Word::Gateway)));
        actors.gaps().clone()
    };
    let of_hall = |count: u64| [("gateway/hall".to_owned(), count)].into();
    assert_eq!(gaps(&[&first, &second, &third, &fourth]), [].into());
    assert_eq!(gaps(&[&first, &third, &fourth]), of_hall(1), "what follows the gap is none");
    assert_eq!(gaps(&[&second, &third]), of_hall(1));
    assert_eq!(gaps(&[&first, &second, &other, &third]), of_hall(2));
}

#[test]
fn what_a_thing_of_a_radio_says_is_the_word_of_the_gateway_that_has_its_key() {
    let own = key(1);
    let mut enrolled = enrolled("meter-1", &own);
    enrolled.details.insert("keeper".to_owned(), "hall".to_owned());
    assert_eq!(last_word(&[enrolled.clone()]), Ok(Word::Gateway));
    assert_eq!(last_word(&[enrolled, checkpoint("acme", "power", &own)]), Ok(Word::Gateway));
}

/// The bytes of a grant to park.
fn grant(audience: Audience<'_>) -> Vec<u8> {
    let (mut room, mut out) = ([0; SCOPE_BYTES_MAX], [0; GRANT_BYTES_MAX]);
    let park = Permission { action: NameRef::new("park").unwrap(), bounds: &[] };
    let scope = Some(Scope::write(&[park], &mut room).unwrap());
    let origin = Origin { issuer: NameRef::new("acme").unwrap(), id: [8; 8], epoch: 0, reference: None };
    let terms = Terms { audience: Some(audience), uses: Some(1), scope, ..Terms::default() };
    let holder = HolderKey::from_key(key(6).public_key()).unwrap();
    let len = public::issue(&key(5), &origin, &terms, holder, &mut out).unwrap();
    out[..len].to_vec()
}

fn issued(grant: &[u8], audience: (&str, &str)) -> Entry {
    let (kind, whose) = audience;
    let details = [
        (kind, whose.to_owned()),
        ("issuer", key_detail(key(5).public_key())),
        ("sha256", hex(&sha256(&[grant]))),
    ];
    entry("grant.issue", "operator", &format!("grant/{}", hex(&[8; 8])), &details)
}

fn used(grant: &[u8], device: &str, own: &SoftwareKey) -> Entry {
    let (mut room, mut out) = ([0; OPERATION_BYTES_MAX], [0; PRESENTATION_BYTES_MAX]);
    let park = Operation::write(NameRef::new("park").unwrap(), &[], &mut room).unwrap();
    let (grant, to) = (Grant::decode(grant).unwrap(), NameRef::new(device).unwrap());
    let len = public::present(&key(6), &grant, to, &ID, &park, &mut out).unwrap();
    let shown = &out[..len];
    let outcome = Outcome::Done(Data::NOTHING);
    let said = Reply { id: ID, command: sha256(&[shown]), time: Timestamp::EPOCH, outcome };
    let mut reply = [0; REPLY_BYTES_MAX];
    let len = said.sign(own, &mut reply).unwrap();
    let reply = &reply[..len];
    let details = [
        ("id", hex(&ID)),
        ("grant", hex(&[8; 8])),
        ("outcome", "done".to_owned()),
        ("reply", hex(&sha256(&[reply]))),
    ];
    let target = format!("operation/{device}/park");
    Entry {
        evidence: Some([reply, shown].concat()),
        ..entry("grant.use", &format!("device/{device}"), &target, &details)
    }
}

#[test]
fn a_use_of_a_grant_for_a_class_stands_on_the_word_of_the_device_that_is_in_it() {
    let own = key(1);
    let of_class = grant(Audience::Class(NameRef::new("north").unwrap()));
    let use_of_it = |issue| last_word(&[enrolled("meter-1", &own), issue, used(&of_class, "meter-1", &own)]);
    assert_eq!(use_of_it(issued(&of_class, ("class", "north"))), Ok(Word::Device));
    assert_eq!(use_of_it(issued(b"another", ("class", "north"))), Err(ActorFault::Evidence));
    assert_eq!(use_of_it(issued(&of_class, ("device", "meter-2"))), Err(ActorFault::Evidence));
    let forged = used(&of_class, "meter-1", &key(2));
    let all = [enrolled("meter-1", &own), issued(&of_class, ("class", "north")), forged];
    assert_eq!(last_word(&all), Err(ActorFault::UnknownKey));
}

#[test]
fn a_use_of_a_grant_for_a_device_is_that_devices() {
    let own = key(1);
    let of_first = grant(Audience::Device(NameRef::new("meter-1").unwrap()));
    let use_by = |device| {
        last_word(&[
            enrolled(device, &own),
            issued(&of_first, ("device", "meter-1")),
            used(&of_first, device, &own),
        ])
    };
    assert_eq!(use_by("meter-1"), Ok(Word::Device));
    assert_eq!(use_by("meter-2"), Err(ActorFault::Evidence));
    // An entry that speaks of a class gives nobody a grant that is for a device.
    let as_class =
        [enrolled("meter-2", &own), issued(&of_first, ("class", "north")), used(&of_first, "meter-2", &own)];
    assert_eq!(last_word(&as_class), Err(ActorFault::Evidence));
}
