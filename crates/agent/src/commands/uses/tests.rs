use std::sync::Arc;

use serde_json::{Value as Json, json};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256};
use thingward_grant::{
    Audience, Bound, GRANT_BYTES_MAX, Grant, GrantId, HolderKey, IssuerKey, OPERATION_BYTES_MAX, Operation,
    Origin, PRESENTATION_BYTES_MAX, Permission, REVOCATION_BYTES_MAX, Revocation, SCOPE_BYTES_MAX, Scope,
    Terms, Value, public,
};
use thingward_model::description::{CONTEXT, NAMESPACE, ThingDescription};
use thingward_model::{DeviceName, NameRef};
use thingward_seal::command::{Outcome, SignedReply};

use super::*;
use crate::commands::journal::JournalError;
use crate::commands::tests;
use crate::disk::memory::MemoryDisk;
use crate::grants::Grants;
use crate::membership::{Class, Membership};

const SECOND: i64 = 1_000_000;
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ID: GrantId = [7; 8];

fn key(who: &str) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &sha256(&[who.as_bytes()])).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    START.plus_micros(seconds * SECOND)
}

fn description() -> ThingDescription {
    let forms = json!([{"href": "devices/me/commands"}]);
    let minutes = json!({"type": "integer", "minimum": 1, "maximum": 240});
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": "Parking meter",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": {
            "park": {"input": minutes, "tw:grants": true, "forms": forms},
            "arrive": {"tw:grants": true, "tw:step": "start", "forms": forms},
            "depart": {"tw:grants": true, "tw:step": "end", "forms": forms},
            "set-rate": {"input": {"type": "number", "minimum": 0, "maximum": 10}, "forms": forms},
        },
    });
    ThingDescription::parse(document.to_string().as_bytes()).unwrap()
}

fn membership() -> Membership {
    Membership { grant_key: Some(key("city").public_key().clone()), ..tests::membership() }
}

/// A meter, with what its disks keep.
struct Bench {
    commands: MemoryDisk,
    grants: MemoryDisk,
    key: SealingKey,
}

type Meter = Commands<MemoryDisk>;

impl Bench {
    fn new() -> Self {
        let key = SealingKey::from_bytes(&[5; 32]).unwrap();
        Self { commands: MemoryDisk::default(), grants: MemoryDisk::default(), key }
    }

    fn try_open(&self, now: Timestamp) -> Result<Meter, JournalError> {
        let description = Arc::new(description());
        let grants = Grants::open(self.grants.clone(), self.key.clone(), &description).unwrap();
        let signer: Arc<SoftwareKey> = Arc::new(key("meter"));
        Commands::open(
            self.commands.clone(),
            self.key.clone(),
            signer,
            membership(),
            description,
            grants,
            now,
        )
    }

    fn open(&self) -> Meter {
        self.try_open(START).unwrap()
    }
}

fn meter_1() -> Audience<'static> {
    Audience::Device(NameRef::new("meter-1").unwrap())
}

fn class(name: &str) -> Audience<'_> {
    Audience::Class(NameRef::new(name).unwrap())
}

/// A grant to `holder` for at most two hours of parking until two hours from the start.
struct Ticket {
    issuer: SoftwareKey,
    audience: Audience<'static>,
    id: GrantId,
    epoch: u32,
    expires: Option<Timestamp>,
    uses: Option<u32>,
    holder: SoftwareKey,
}

impl Ticket {
    fn new() -> Self {
        let holder = key("passer-by");
        let (issuer, audience) = (key("city"), meter_1());
        Self { issuer, audience, id: ID, epoch: 0, expires: Some(at(7200)), uses: None, holder }
    }

    fn bytes(&self) -> Vec<u8> {
        let bound = Bound::Range { at_least: Some(1), at_most: Some(120) };
        let bounds = [("", bound)];
        let may = |action, bounds| Permission { action: NameRef::new(action).unwrap(), bounds };
        let all = [may("park", &bounds[..]), may("arrive", &[]), may("depart", &[])];
        let mut room = [0; SCOPE_BYTES_MAX];
        let scope = Scope::write(&all, &mut room).unwrap();
        let tenant = NameRef::new("acme").unwrap();
        let origin = Origin { issuer: tenant, id: self.id, epoch: self.epoch, reference: None };
        let terms = Terms {
            audience: Some(self.audience),
            not_before: None,
            expires: self.expires,
            uses: self.uses,
            scope: Some(scope),
        };
        let holder = HolderKey::from_key(self.holder.public_key()).unwrap();
        let mut out = [0; GRANT_BYTES_MAX];
        let len = public::issue(&self.issuer, &origin, &terms, holder, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn shown(&self, nonce: &Nonce, action: &str, minutes: i64) -> Vec<u8> {
        shown(&Grant::decode(&self.bytes()).unwrap(), &self.holder, nonce, action, minutes)
    }

    /// Asks the meter for so many minutes.
    fn park(&self, meter: &mut Meter, minutes: i64, now: Timestamp) -> Result<CommandId, UseError> {
        let nonce = meter.nonce(now)?;
        meter.present(&self.shown(&nonce, "park", minutes), now)
    }

    /// Asks the meter for a step of a use.
    fn step(&self, meter: &mut Meter, action: &str) -> Result<CommandId, UseError> {
        let nonce = meter.nonce(START)?;
        let bytes = self.bytes();
        meter.present(&present(&Grant::decode(&bytes).unwrap(), &self.holder, &nonce, action, &[]), START)
    }
}

fn shown(grant: &Grant<'_>, holder: &SoftwareKey, nonce: &Nonce, action: &str, minutes: i64) -> Vec<u8> {
    present(grant, holder, nonce, action, &[("", Value::Integer(minutes))])
}

fn present(
    grant: &Grant<'_>,
    holder: &SoftwareKey,
    nonce: &Nonce,
    action: &str,
    arguments: &[(&str, Value<'_>)],
) -> Vec<u8> {
    let mut room = [0; OPERATION_BYTES_MAX];
    let operation = Operation::write(NameRef::new(action).unwrap(), arguments, &mut room).unwrap();
    let device: DeviceName = "meter-1".parse().unwrap();
    let mut out = [0; PRESENTATION_BYTES_MAX];
    let len = public::present(holder, grant, device.borrowed(), nonce, &operation, &mut out).unwrap();
    out[..len].to_vec()
}

/// The meter does what waits, and says how many minutes.
fn work(meter: &mut Meter, now: Timestamp) -> Vec<Json> {
    let mut done = Vec::new();
    while let Some(order) = meter.next_order(now) {
        done.push(order.input.clone());
        meter.finish(&order.id, Ending::Done(json!({"until": "later"})), now);
    }
    done
}

fn refused(refusal: Refusal) -> Result<CommandId, UseError> {
    Err(UseError::Refused(refusal))
}

#[test]
fn what_a_grant_allows_is_done_and_answered_with_a_reply_over_the_exact_presentation() {
    let mut meter = Bench::new().open();
    let ticket = Ticket::new();
    let nonce = meter.nonce(START).unwrap();
    let presentation = ticket.shown(&nonce, "park", 90);
    let id = meter.present(&presentation, START).unwrap();
    assert_eq!((id, meter.use_state(&id)), (nonce, UseState::Open));
    let order = meter.next_order(START).unwrap();
    assert_eq!((order.action.as_str(), &order.input), ("park", &json!(90)));
    let given_to = key("passer-by").public_key().id();
    assert_eq!(order.actor, format!("holder/{}", base16ct::lower::encode_string(&given_to)));
    meter.finish(&id, Ending::Done(json!(null)), at(1));
    let UseState::Answered(reply) = meter.use_state(&id) else { panic!("no answer") };
    let signed = SignedReply::decode(&reply).unwrap();
    let said = signed.verify(key("meter").public_key()).unwrap();
    assert_eq!((said.id, said.command, said.time), (nonce, sha256(&[&presentation]), at(1)));
    assert!(matches!(said.outcome, Outcome::Done(_)));
    let sent = meter.next_reply().unwrap();
    assert_eq!((sent.bytes, sent.presentation), (reply, presentation));
}

#[test]
fn all_that_one_key_was_given_is_one_and_a_part_that_was_handed_on_belongs_to_it() {
    let mut meter = Bench::new().open();
    let (first, second) = (Ticket::new(), Ticket { id: [8; 8], ..Ticket::new() });
    let strangers = Ticket { id: [9; 8], holder: key("stranger"), ..Ticket::new() };
    for ticket in [&first, &second, &strangers] {
        ticket.park(&mut meter, 1, START).unwrap();
    }
    let bytes = first.bytes();
    let (friend, mut out) = (key("friend"), [0; GRANT_BYTES_MAX]);
    let next = HolderKey::from_key(friend.public_key()).unwrap();
    let len =
        public::narrow(&first.holder, &Grant::decode(&bytes).unwrap(), &Terms::default(), next, &mut out);
    let nonce = meter.nonce(START).unwrap();
    let part = Grant::decode(&out[..len.unwrap()]).unwrap();
    meter.present(&shown(&part, &friend, &nonce, "park", 1), START).unwrap();
    let actors: Vec<String> =
        std::iter::from_fn(|| meter.next_order(START)).map(|order| order.actor).collect();
    assert_eq!(actors[0], actors[1]);
    assert_ne!(actors[0], actors[2]);
    assert_eq!(actors[0], actors[3]);
}

#[test]
fn a_presentation_counts_once_and_only_for_the_nonce_it_was_made_for() {
    let mut meter = Bench::new().open();
    let ticket = Ticket::new();
    let nonce = meter.nonce(START).unwrap();
    let shown = ticket.shown(&nonce, "park", 1);
    meter.present(&shown, START).unwrap();
    assert_eq!(meter.present(&shown, START), refused(Refusal::WrongNonce));
    let late = meter.nonce(START).unwrap();
    assert_eq!(meter.present(&ticket.shown(&late, "park", 1), at(60)), refused(Refusal::WrongNonce));
    assert_eq!(meter.present(&ticket.shown(&[3; 16], "park", 1), START), refused(Refusal::WrongNonce));
    // A refusal spends it too.
    let nonce = meter.nonce(START).unwrap();
    let thief = Ticket { issuer: key("nobody"), ..Ticket::new() };
    assert_eq!(meter.present(&thief.shown(&nonce, "park", 1), START), refused(Refusal::UnknownIssuer));
    assert_eq!(meter.present(&ticket.shown(&nonce, "park", 1), START), refused(Refusal::WrongNonce));
    assert_eq!(work(&mut meter, START), [json!(1)]);
}

#[test]
fn beyond_the_grant_the_description_and_the_time_nothing_is_done() {
    let mut meter = Bench::new().open();
    let ticket = Ticket::new();
    assert_eq!(ticket.park(&mut meter, 121, START), refused(Refusal::NotGranted));
    assert_eq!(ticket.park(&mut meter, 241, START), refused(Refusal::NotOpened));
    let nonce = meter.nonce(START).unwrap();
    let set_rate = ticket.shown(&nonce, "set-rate", 0);
    assert_eq!(meter.present(&set_rate, START), refused(Refusal::NotOpened));
    assert_eq!(ticket.park(&mut meter, 1, at(7200 + 1)), refused(Refusal::Expired));
    assert_eq!(work(&mut meter, at(7202)), [] as [Json; 0]);
}

#[test]
fn uses_are_counted_over_restarts_and_with_those_that_wait() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket { uses: Some(3), expires: None, ..Ticket::new() };
    ticket.park(&mut meter, 1, START).unwrap();
    assert_eq!(work(&mut meter, START), [json!(1)]);
    let mut meter = bench.open();
    ticket.park(&mut meter, 2, START).unwrap();
    ticket.park(&mut meter, 3, START).unwrap();
    assert_eq!(ticket.park(&mut meter, 4, START), refused(Refusal::UsedUp));
    assert_eq!(work(&mut meter, START), [json!(2), json!(3)]);
    assert_eq!(ticket.park(&mut bench.open(), 5, START), refused(Refusal::UsedUp));
}

#[test]
fn a_grant_starts_once_and_ends_once_over_restarts_and_with_what_waits() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    ticket.step(&mut meter, "arrive").unwrap();
    // Both were in turn when they came; the second is not begun.
    let second = ticket.step(&mut meter, "arrive").unwrap();
    assert_eq!(work(&mut meter, START).len(), 1);
    assert_eq!(meter.use_state(&second), UseState::Dropped);
    assert_eq!(ticket.step(&mut bench.open(), "arrive"), refused(Refusal::OutOfTurn));
    // What is no step has no course, and another grant has its own.
    ticket.park(&mut meter, 1, START).unwrap();
    Ticket { id: [8; 8], ..Ticket::new() }.step(&mut meter, "arrive").unwrap();
    ticket.step(&mut meter, "depart").unwrap();
    assert_eq!(work(&mut meter, START).len(), 3);
    for action in ["arrive", "depart"] {
        assert_eq!(ticket.step(&mut bench.open(), action), refused(Refusal::OutOfTurn), "{action}");
    }
}

#[test]
fn a_step_that_failed_was_not_taken_and_one_that_was_cut_short_was() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    let fail = |meter: &mut Meter, action: &str| {
        let id = ticket.step(meter, action).unwrap();
        meter.next_order(START).unwrap();
        meter.finish(&id, Ending::Failed("somebody is there".to_owned()), START);
        id
    };
    fail(&mut meter, "arrive");
    let mut meter = bench.open();
    let started = ticket.step(&mut meter, "arrive").unwrap();
    assert_eq!(work(&mut meter, START).len(), 1);
    // An answer is final.
    meter.finish(&started, Ending::Failed("no".to_owned()), START);
    assert_eq!(ticket.step(&mut meter, "arrive"), refused(Refusal::OutOfTurn));
    fail(&mut meter, "depart");
    ticket.step(&mut meter, "depart").unwrap();
    meter.next_order(START).unwrap();
    assert_eq!(ticket.step(&mut bench.open(), "depart"), refused(Refusal::OutOfTurn));
}

#[test]
fn a_start_that_fails_after_the_end_came_leaves_the_use_ended() {
    let mut meter = Bench::new().open();
    let ticket = Ticket::new();
    let start = ticket.step(&mut meter, "arrive").unwrap();
    meter.next_order(START).unwrap();
    ticket.step(&mut meter, "depart").unwrap();
    meter.next_order(START).unwrap();
    meter.finish(&start, Ending::Failed("the bay is taken".to_owned()), START);
    for action in ["arrive", "depart"] {
        assert_eq!(ticket.step(&mut meter, action), refused(Refusal::OutOfTurn), "{action}");
    }
}

#[test]
fn a_step_that_cannot_be_written_down_is_not_begun_and_changes_nothing_of_the_course() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    ticket.step(&mut meter, "arrive").unwrap();
    work(&mut meter, START);
    let first = *bench.grants.writes.borrow();
    *bench.grants.failing.borrow_mut() = first..first + 1;
    ticket.step(&mut meter, "depart").unwrap();
    assert_eq!(work(&mut meter, START), [] as [Json; 0]);
    assert_eq!(ticket.step(&mut meter, "arrive"), refused(Refusal::OutOfTurn));
    ticket.step(&mut meter, "depart").unwrap();
    assert_eq!(work(&mut meter, START).len(), 1);
}

#[test]
fn what_waited_past_its_grant_is_dropped_and_not_counted() {
    let mut meter = Bench::new().open();
    let ticket = Ticket { uses: Some(1), expires: Some(at(100)), ..Ticket::new() };
    let id = ticket.park(&mut meter, 1, START).unwrap();
    assert_eq!(work(&mut meter, at(100)), [] as [Json; 0]);
    assert_eq!(meter.use_state(&id), UseState::Dropped);
    assert!(meter.next_reply().is_none());
    ticket.park(&mut meter, 2, START).unwrap();
}

fn taken_back(epoch: u32, ids: &[GrantId], issuer: &SoftwareKey) -> Vec<u8> {
    taken_back_of(meter_1(), epoch, ids, issuer)
}

fn taken_back_of(audience: Audience<'_>, epoch: u32, ids: &[GrantId], issuer: &SoftwareKey) -> Vec<u8> {
    let revocation = Revocation { issuer: NameRef::new("acme").unwrap(), audience, epoch, ids };
    let mut out = [0; REVOCATION_BYTES_MAX];
    let len = revocation.sign(IssuerKey::Public(issuer), &mut out).unwrap();
    out[..len].to_vec()
}

#[test]
fn a_revocation_reaches_what_waits_and_what_comes_and_outlives_a_restart() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    let id = ticket.park(&mut meter, 1, START).unwrap();
    assert!(meter.take_back(&taken_back(0, &[ID], &key("thief"))).is_err());
    meter.take_back(&taken_back(0, &[ID], &key("city"))).unwrap();
    assert_eq!(work(&mut meter, START), [] as [Json; 0]);
    assert_eq!(meter.use_state(&id), UseState::Dropped);
    assert_eq!(ticket.park(&mut bench.open(), 1, START), refused(Refusal::Revoked));
    // Another grant goes on; a new epoch ends all before it.
    let other = Ticket { id: [8; 8], ..Ticket::new() };
    other.park(&mut meter, 1, START).unwrap();
    meter.take_back(&taken_back(1, &[], &key("city"))).unwrap();
    assert_eq!(other.park(&mut bench.open(), 1, START), refused(Refusal::OldEpoch));
}

#[test]
fn what_the_membership_says_is_taken_back_holds_at_once_and_after_a_restart() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    let id = ticket.park(&mut meter, 1, START).unwrap();
    let taken = |ids: &[GrantId], issuer| Membership {
        grant_revocation: Some(taken_back(0, ids, &key(issuer))),
        ..membership()
    };
    meter.set_membership(taken(&[ID], "thief"));
    assert_eq!(meter.use_state(&id), UseState::Open);
    meter.set_membership(taken(&[ID], "city"));
    assert_eq!(work(&mut meter, START), [] as [Json; 0]);
    assert_eq!(meter.use_state(&id), UseState::Dropped);
    // An older one takes nothing of it back.
    meter.set_membership(taken(&[], "city"));
    assert_eq!(ticket.park(&mut bench.open(), 1, START), refused(Refusal::Revoked));
}

/// The membership of a meter in these classes, each with its epoch and what was taken back.
fn in_classes(classes: &[(&str, u32, &[GrantId])]) -> Membership {
    let classes = classes.iter().map(|(name, epoch, ids)| Class {
        name: name.parse().unwrap(),
        grant_revocation: taken_back_of(class(name), *epoch, ids, &key("city")),
    });
    Membership { classes: classes.collect(), ..membership() }
}

#[test]
fn a_grant_for_a_class_is_good_at_a_device_that_is_in_it_and_counts_there() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket { audience: class("meters"), epoch: 3, uses: Some(2), ..Ticket::new() };
    assert_eq!(ticket.park(&mut meter, 1, START), refused(Refusal::WrongAudience));
    meter.set_membership(in_classes(&[("meters", 3, &[]), ("street", 9, &[])]));
    ticket.park(&mut meter, 1, START).unwrap();
    let street = Ticket { audience: class("street"), id: [8; 8], ..ticket };
    assert_eq!(street.park(&mut meter, 1, START), refused(Refusal::OldEpoch), "each class has its own epoch");
    assert_eq!(work(&mut meter, START).len(), 1);
    // Leaving and coming back is no way to use it more often.
    meter.set_membership(membership());
    let ticket = Ticket { audience: class("meters"), id: ID, ..street };
    assert_eq!(ticket.park(&mut meter, 1, START), refused(Refusal::WrongAudience));
    let mut meter = bench.open();
    meter.set_membership(in_classes(&[("meters", 3, &[])]));
    ticket.park(&mut meter, 2, START).unwrap();
    assert_eq!(ticket.park(&mut meter, 3, START), refused(Refusal::UsedUp));
}

#[test]
fn what_is_taken_back_of_a_class_reaches_what_waits_and_no_other_grant() {
    let bench = Bench::new();
    let mut meter = bench.open();
    meter.set_membership(in_classes(&[("meters", 0, &[]), ("street", 0, &[])]));
    let of_class = Ticket { audience: class("meters"), ..Ticket::new() };
    let own = Ticket { holder: key("another"), ..Ticket::new() };
    let id = of_class.park(&mut meter, 1, START).unwrap();
    meter.take_back(&taken_back_of(class("meters"), 1, &[ID], &key("city"))).unwrap();
    let not_ours = taken_back_of(class("trams"), 1, &[ID], &key("city"));
    assert!(matches!(meter.take_back(&not_ours), Err(TakeBackError::Refused(Refusal::WrongAudience))));
    assert_eq!(work(&mut meter, START), [] as [Json; 0], "its epoch is over");
    assert_eq!(meter.use_state(&id), UseState::Dropped);
    assert_eq!(of_class.park(&mut meter, 1, START), refused(Refusal::OldEpoch));
    let next = Ticket { epoch: 1, ..of_class };
    assert_eq!(next.park(&mut meter, 1, START), refused(Refusal::Revoked));
    own.park(&mut meter, 1, START).unwrap();
    Ticket { audience: class("street"), id: [8; 8], ..next }.park(&mut meter, 2, START).unwrap();
    // Who leaves a class does nothing more for it, also of what waits.
    meter.set_membership(in_classes(&[("meters", 1, &[ID])]));
    assert_eq!(work(&mut meter, START), [json!(1)]);
}

#[test]
fn a_class_of_which_it_is_not_known_what_was_taken_back_counts_for_nothing() {
    let mut meter = Bench::new().open();
    let ticket = Ticket { audience: class("meters"), ..Ticket::new() };
    let mut forged = in_classes(&[("meters", 0, &[])]);
    for wrong in [
        taken_back_of(class("meters"), 0, &[], &key("thief")),
        taken_back_of(class("street"), 0, &[], &key("city")),
        taken_back(0, &[], &key("city")),
        vec![],
    ] {
        forged.classes[0].grant_revocation = wrong;
        meter.set_membership(forged.clone());
        assert_eq!(ticket.park(&mut meter, 1, START), refused(Refusal::WrongAudience));
    }
}

#[test]
fn a_use_that_was_cut_short_is_answered_as_interrupted_and_counted() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket { uses: Some(1), ..Ticket::new() };
    let id = ticket.park(&mut meter, 1, START).unwrap();
    meter.next_order(START).unwrap();
    let mut meter = bench.open();
    let sent = meter.next_reply().unwrap();
    let signed = SignedReply::decode(&sent.bytes).unwrap();
    assert_eq!((sent.id, signed.claimed_unverified().outcome), (id, Outcome::Interrupted));
    assert!(!sent.presentation.is_empty());
    assert_eq!(ticket.park(&mut meter, 1, START), refused(Refusal::UsedUp));
}

#[test]
fn nothing_is_done_that_cannot_be_written_down_whichever_write_fails() {
    for (journal, book) in [(Some(0), None), (None, Some(0))] {
        let bench = Bench::new();
        let mut meter = bench.open();
        for (disk, failing) in [(&bench.commands, journal), (&bench.grants, book)] {
            let first = *disk.writes.borrow();
            *disk.failing.borrow_mut() = failing.map_or(0..0, |n: u32| first + n..first + n + 1);
        }
        let ticket = Ticket { uses: Some(1), ..Ticket::new() };
        ticket.park(&mut meter, 1, START).unwrap();
        assert_eq!(work(&mut meter, START), [] as [Json; 0], "journal {journal:?}, book {book:?}");
        // Not counted: the disk is back, and so is the right.
        ticket.park(&mut meter, 2, START).unwrap();
        assert_eq!(work(&mut meter, START), [json!(2)]);
        assert_eq!(ticket.park(&mut meter, 3, START), refused(Refusal::UsedUp));
    }
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_new_of_what_was_forgotten() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let short = |n: u16| Ticket {
        id: u64::from(n).to_be_bytes(),
        uses: Some(1),
        expires: Some(at(100)),
        ..Ticket::new()
    };
    let whole = 1024;
    for n in 0..whole {
        short(n).park(&mut meter, 1, START).unwrap();
        work(&mut meter, START);
        while let Some(reply) = meter.next_reply() {
            meter.reply_ended(reply);
        }
    }
    let another = Ticket { id: [9; 8], expires: Some(at(500)), ..Ticket::new() };
    assert_eq!(another.park(&mut meter, 1, START), refused(Refusal::NoRoom));
    // Once they are over, there is room; and they stay over.
    another.park(&mut meter, 1, at(200)).unwrap();
    assert_eq!(work(&mut meter, at(200)), [json!(1)]);
    let mut meter = bench.open();
    assert_eq!(short(0).park(&mut meter, 1, START), refused(Refusal::Expired));
    assert_eq!(another.park(&mut meter, 1, START), refused(Refusal::TimeUnknown));
}

#[test]
fn what_the_service_has_not_heard_of_is_kept_and_bounded() {
    let bench = Bench::new();
    let mut meter = bench.open();
    let ticket = Ticket::new();
    for _ in 0..KEPT_MAX {
        ticket.park(&mut meter, 1, START).unwrap();
        work(&mut meter, START);
    }
    assert_eq!(ticket.park(&mut meter, 1, START), Err(UseError::from(Busy)));
    let mut meter = bench.open();
    let mut replies = 0;
    while let Some(reply) = meter.next_reply() {
        replies += 1;
        meter.reply_ended(reply);
    }
    assert_eq!(replies, KEPT_MAX);
    ticket.park(&mut meter, 1, START).unwrap();
}

#[test]
fn a_book_that_was_changed_takes_no_grants() {
    let bench = Bench::new();
    let mut meter = bench.open();
    Ticket::new().park(&mut meter, 1, START).unwrap();
    work(&mut meter, START);
    bench.grants.files.borrow_mut().get_mut("book").unwrap()[20] ^= 1;
    assert!(Grants::open(bench.grants.clone(), bench.key.clone(), &description()).is_err());
}
