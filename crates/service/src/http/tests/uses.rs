//! What devices report of grants that were used, and every way to get around that.

use serde_json::json;
use thingward_audit::actors::{ActorFault, Word};
use thingward_audit::entry::Entry;
use thingward_crypto::sha256;
use thingward_grant::{Grant, OPERATION_BYTES_MAX, Operation, PRESENTATION_BYTES_MAX, Value, public};
use thingward_model::{NameRef, Role, Timestamp};
use thingward_mqtt::codec::ReasonCode;
use thingward_seal::command::{Data, Outcome, REPLY_BYTES_MAX, Refusal, Reply};
use thingward_store::registry::{GrantEntry, Registry};

use super::grants::{Meter, TAKEN, acme, body, ed25519};
use super::*;
use crate::fsck::fsck;

/// What a holder shows to a device.
fn shown(grant: &[u8], holder: &SoftwareKey, device: &str, nonce: [u8; 16], minutes: i64) -> Vec<u8> {
    let (mut room, mut out) = ([0; OPERATION_BYTES_MAX], [0; PRESENTATION_BYTES_MAX]);
    let arguments = [("minutes", Value::Integer(minutes))];
    let operation = Operation::write(NameRef::new("park").unwrap(), &arguments, &mut room).unwrap();
    let grant = Grant::decode(grant).unwrap();
    let device = NameRef::new(device).unwrap();
    let len = public::present(holder, &grant, device, &nonce, &operation, &mut out).unwrap();
    out[..len].to_vec()
}

/// What a device says of it.
pub(super) fn report(
    presentation: &[u8],
    nonce: [u8; 16],
    outcome: Outcome<'_>,
    key: &SoftwareKey,
) -> Vec<u8> {
    let reply = Reply { id: nonce, command: sha256(&[presentation]), time: at(), outcome };
    let mut out = [0; REPLY_BYTES_MAX];
    let len = reply.sign(key, &mut out).unwrap();
    [&out[..len], presentation].concat()
}

const DONE: Outcome<'_> = Outcome::Done(Data::NOTHING);

fn at() -> Timestamp {
    Timestamp::from_seconds(1_700_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_counts_once_and_stands_on_the_devices_word() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let issued = fixture.granted(&body(&anna)).await;
    let nonces: [[u8; 16]; 2] = [rand(), rand()];
    for nonce in nonces {
        let shown = shown(&issued.bytes, &anna, "meter-1", nonce, 30);
        let report = report(&shown, nonce, DONE, &meter.key);
        for _ in 0..3 {
            assert_eq!(meter.says(nonce, &report).await, TAKEN);
        }
    }
    let view = fixture.grant(&issued.id).await;
    assert_eq!((&view["used"], &view["last_used"]), (&json!(2), &json!(at().to_string())), "{view}");
    let entries = fixture.entries().await;
    let uses: Vec<&Entry> = entries.iter().filter(|entry| entry.action == "grant.use").collect();
    assert_eq!(uses.len(), 2);
    assert_eq!(
        (uses[0].actor.as_str(), uses[0].target.as_str()),
        ("device/meter-1", "operation/meter-1/park")
    );
    assert_eq!(uses[0].details["grant"], issued.id);
    assert_eq!(fixture.last_word(&entries), Ok(Word::Device));
    // Counted for good: not again after a restart either.
    let (name, key) = (meter.name, meter.key);
    let fixture = fixture.restarted().await;
    fixture.app.shared.directory.enrolled(acme(), name, Role::Device, &key_of(&key));
    let meter = Meter { fixture: &fixture, name, key };
    let presentation = shown(&issued.bytes, &anna, "meter-1", nonces[0], 30);
    let late = report(&presentation, nonces[0], Outcome::Interrupted, &meter.key);
    assert_eq!(meter.says(nonces[0], &late).await, TAKEN);
    assert_eq!(fixture.grant(&issued.id).await["used"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_grant_counts_for_the_one_that_was_issued() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let (anna, ben) = (ed25519(), ed25519());
    let issued = fixture.granted(&body(&anna)).await;
    let mut out = [0; thingward_grant::GRANT_BYTES_MAX];
    let grant = Grant::decode(&issued.bytes).unwrap();
    let next = thingward_grant::HolderKey::from_key(ben.public_key()).unwrap();
    let len = public::narrow(&anna, &grant, &thingward_grant::Terms::default(), next, &mut out).unwrap();
    let nonce = rand();
    let shown = shown(&out[..len], &ben, "meter-1", nonce, 5);
    let said = report(&shown, nonce, Outcome::Failed { text: "jammed" }, &meter.key);
    assert_eq!(meter.says(nonce, &said).await, TAKEN);
    assert_eq!(fixture.grant(&issued.id).await["used"], 1);
    assert_eq!(fixture.last_word(&fixture.entries().await), Ok(Word::Device));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_that_is_forged_in_any_part_counts_for_nothing() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let second = fixture.meter("meter-2").await;
    let (anna, nonce) = (ed25519(), rand());
    let issued = fixture.granted(&body(&anna)).await;
    let good = shown(&issued.bytes, &anna, "meter-1", nonce, 30);
    let said = report(&good, nonce, DONE, &meter.key);
    let wrong = async |what: &str, bytes: &[u8]| {
        assert_eq!(meter.says(nonce, bytes).await, ReasonCode::PayloadFormatInvalid, "{what}");
    };
    for index in (0..said.len()).step_by(7) {
        let mut bent = said.clone();
        bent[index] ^= 1;
        wrong(&format!("byte {index}"), &bent).await;
    }
    wrong("nothing", b"").await;
    wrong("no presentation", &said[..said.len() - good.len()]).await;
    wrong("cut off", &said[..said.len() - 1]).await;
    wrong("more behind it", &[said.as_slice(), &[0]].concat()).await;
    wrong("a key that is not the device's", &report(&good, nonce, DONE, &p256())).await;
    wrong("another device's key", &report(&good, nonce, DONE, &second.key)).await;
    let longer = shown(&issued.bytes, &anna, "meter-1", nonce, 31);
    let reply = &said[..said.len() - good.len()];
    wrong("a reply about another presentation", &[reply, longer.as_slice()].concat()).await;
    wrong("a reply with another nonce", &report(&good, rand(), DONE, &meter.key)).await;
    let refused = Outcome::Refused { reason: Refusal::Expired, text: "" };
    wrong("a use that was refused", &report(&good, nonce, refused, &meter.key)).await;
    let elsewhere = shown(&issued.bytes, &anna, "meter-2", nonce, 30);
    wrong("shown to another device", &report(&elsewhere, nonce, DONE, &meter.key)).await;
    // A grant by somebody else, and one that is for another device.
    let mallory = ed25519();
    let grant = Grant::decode(&issued.bytes).unwrap();
    let terms = grant.terms_unverified().next().unwrap().unwrap();
    let mut out = [0; thingward_grant::GRANT_BYTES_MAX];
    let holder = thingward_grant::HolderKey::from_key(anna.public_key()).unwrap();
    let len = public::issue(&mallory, grant.origin_unverified(), &terms, holder, &mut out).unwrap();
    let of_mallory = shown(&out[..len], &anna, "meter-1", nonce, 30);
    wrong("a grant that we did not issue", &report(&of_mallory, nonce, DONE, &meter.key)).await;
    let of_second = shown(&issued.bytes, &anna, "meter-2", nonce, 30);
    let answer = second.says(nonce, &report(&of_second, nonce, DONE, &second.key)).await;
    assert_eq!(answer, ReasonCode::PayloadFormatInvalid, "a grant for another device");
    // The topic's nonce is the presentation's.
    let other = rand();
    assert_eq!(meter.says(other, &said).await, ReasonCode::PayloadFormatInvalid);
    assert_eq!(fixture.grant(&issued.id).await["used"], 0);
    assert!(!fixture.actions().await.contains(&"grant.use".to_owned()));
    let findings = fixture.admin("get", "/api/v1/tenants/acme/findings", "").await.1;
    assert!(findings.to_string().contains("wrong-use"), "{findings}");
    assert_eq!(meter.says(nonce, &said).await, TAKEN);
    assert_eq!(fixture.grant(&issued.id).await["used"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_makes_up_uses_or_grants_is_found_out() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let issued = fixture.granted(&body(&anna)).await;
    let nonce = rand();
    let said = report(&shown(&issued.bytes, &anna, "meter-1", nonce, 30), nonce, DONE, &meter.key);
    assert_eq!(meter.says(nonce, &said).await, TAKEN);
    let entries = fixture.entries().await;
    assert_eq!(fixture.last_word(&entries), Ok(Word::Device));
    let bent = |bend: &dyn Fn(&mut Entry)| {
        let mut all = entries.clone();
        bend(all.last_mut().unwrap());
        fixture.last_word(&all).unwrap_err()
    };
    assert_eq!(bent(&|e| e.evidence = None), ActorFault::Unsigned);
    assert_eq!(bent(&|e| e.evidence = Some(vec![0x80])), ActorFault::Evidence);
    assert_eq!(bent(&|e| e.target = "operation/meter-1/leave".to_owned()), ActorFault::Evidence);
    for name in ["id", "grant", "outcome", "reply"] {
        assert_eq!(bent(&|e| drop(e.details.remove(name))), ActorFault::Evidence, "{name}");
    }
    assert_eq!(bent(&|e| e.actor = "device/meter-2".to_owned()), ActorFault::UnknownKey);
    let mut twice = entries.clone();
    twice.push(entries.last().unwrap().clone());
    assert_eq!(fixture.last_word(&twice), Err(ActorFault::Replayed));
    let mut unissued = entries.clone();
    unissued.retain(|entry| entry.action != "grant.issue");
    assert_eq!(fixture.last_word(&unissued), Err(ActorFault::NoGrant));
    // The same id for a grant that says something else.
    let mut swapped = entries.clone();
    let issue = swapped.iter_mut().find(|entry| entry.action == "grant.issue").unwrap();
    issue.details.insert("sha256".to_owned(), "00".repeat(32));
    assert_eq!(fixture.last_word(&swapped), Err(ActorFault::Evidence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_the_log_does_not_know_or_counts_otherwise_is_found() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let anna = ed25519();
    let [used, other] = [fixture.granted(&body(&anna)).await, fixture.granted(&body(&anna)).await];
    let nonce = rand();
    let said = report(&shown(&used.bytes, &anna, "meter-1", nonce, 30), nonce, DONE, &meter.key);
    assert_eq!(meter.says(nonce, &said).await, TAKEN);
    fixture.revoke(&other.id).await;
    drop(meter);
    let (_folder, settings) = fixture.stopped().await;
    let report = fsck(&settings.data_dir).await.unwrap();
    assert_eq!((report.problems, report.grants), (Vec::new(), 2));

    let registry = Registry::open(&settings.data_dir.join("registry.sqlite")).await.unwrap();
    let grants = registry.grants(&acme(), None, None, 10).await.unwrap();
    let unused = grants.iter().find(|grant| grant.bytes == other.bytes).unwrap();
    let forged = GrantEntry { id: [7; 8], ..unused.clone() };
    registry.add_grant(&acme(), &forged).await.unwrap();
    let silently = grants.iter().find(|grant| grant.bytes == used.bytes).unwrap();
    registry.revoke_grant(&acme(), &silently.audience, &silently.id, 0, now()).await.unwrap();
    registry.close().await;
    let problems = fsck(&settings.data_dir).await.unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for what in ["grant/0707070707070707 is not the one", "is taken back, and no log entry says by whom"] {
        assert!(problems.iter().any(|problem| problem.contains(what)), "{what}: {problems:?}");
    }
}
