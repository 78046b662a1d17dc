//! A lamp that is told to be on or off, with a memory that loses power at any write.

use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey};
use thingward_grant::{
    Audience, Beacon, Grant, HolderKey, IssuerKey, Operation, Origin, Permission, Presentation, Revocation,
    Scope, Terms, public,
};
use thingward_model::{NameRef, Reading, Timestamp, Value};
use thingward_seal::command::{self, Command, Data, Outcome, Refusal, SignedReply};
use thingward_seal::{Item, Items, RecordKey, StatementKind};
use zeroize::Zeroizing;

use crate::link::{Failure, Hello, Join, Kind, Outgoing, Pending, hello_message};
use crate::{
    Call, Device, DeviceSecret, Dice, Flash, FlashError, Measurement, RecordError, StartError, Thing,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// What is left of a device without power.
#[derive(Clone)]
struct Part {
    flash: Rc<RefCell<Vec<u8>>>,
    secret: Rc<RefCell<Option<[u8; 32]>>>,
    /// Writes until power goes in the middle of one.
    writes_left: Rc<RefCell<usize>>,
    /// How often the lamp was switched.
    switched: Rc<RefCell<u32>>,
}

impl Part {
    fn new() -> Self {
        Self {
            flash: Rc::new(RefCell::new(vec![0xff; 4064])),
            secret: Rc::new(RefCell::new(Some([0x5e; 32]))),
            writes_left: Rc::new(RefCell::new(usize::MAX)),
            switched: Rc::default(),
        }
    }

    fn try_start(&self, firmware: &[u8]) -> Result<Lamp, StartError> {
        let mut measurement = Measurement::default();
        measurement.take(firmware);
        let keys = Dice::start(self.clone(), &measurement).map_err(|_| StartError::Destroyed)?;
        let mut place = None;
        Device::start(&mut place, keys, self.clone(), self.clone(), 1200)?;
        Ok(place.unwrap())
    }

    fn start(&self) -> Lamp {
        *self.writes_left.borrow_mut() = usize::MAX;
        self.try_start(b"firmware 1").unwrap()
    }
}

impl Flash for Part {
    const BYTES: usize = 4064;

    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
        out.copy_from_slice(&self.flash.borrow()[at..at + out.len()]);
        Ok(())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        let mut left = self.writes_left.borrow_mut();
        let len = match *left {
            0 => return Err(FlashError),
            1 => bytes.len() / 2,
            _ => bytes.len(),
        };
        *left -= 1;
        self.flash.borrow_mut()[at..at + len].copy_from_slice(&bytes[..len]);
        if len == bytes.len() { Ok(()) } else { Err(FlashError) }
    }
}

impl DeviceSecret for Part {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        self.secret.borrow().map(Zeroizing::new)
    }

    fn erase(&mut self) {
        *self.secret.borrow_mut() = None;
    }
}

impl Thing for Part {
    const STREAM: &'static str = "lamp";

    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8] {
        Scope::write(&[Permission { action: name("switch"), bounds: &[] }], room).unwrap().as_bytes()
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match (call.action(), call.arguments_len()) {
            ("switch", 0) => Ok(()),
            ("switch", _) => Err(Refusal::BadInput),
            _ => Err(Refusal::UnknownAction),
        }
    }

    fn perform(&mut self, _: &Call<'_>) -> Result<(), &'static str> {
        *self.switched.borrow_mut() += 1;
        Ok(())
    }
}

type Lamp = Device<Dice<Part>, Part, Part>;

fn name<K: thingward_model::name::Kind>(text: &'static str) -> NameRef<'static, K> {
    NameRef::new(text).unwrap()
}

/// The lamp itself, as grants have it.
fn own() -> Audience<'static> {
    Audience::Device(name("lamp-1"))
}

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

fn recipient() -> RecipientSecretKey {
    RecipientSecretKey::from_bytes([9; 32])
}

/// The installation's keys: for commands, and for grants.
const COMMANDS: u8 = 1;
const GRANTS: u8 = 2;

fn answer(lamp: &mut Lamp, kind: u8, body: &[u8], room: &mut [u8]) -> (u8, usize) {
    room[..body.len()].copy_from_slice(body);
    lamp.answer(kind, room, body.len())
}

fn ask(lamp: &mut Lamp, kind: Kind, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = [0; 1200];
    let (answered, len) = answer(lamp, kind.code(), body, &mut out);
    if answered == kind.answer() {
        return Ok(out[..len].to_vec());
    }
    assert_eq!(answered, Kind::FAILED);
    Err(Failure::from_code(out[0]).unwrap())
}

fn refusal(lamp: &mut Lamp, kind: Kind, body: &[u8]) -> thingward_grant::Refusal {
    let mut out = [0; 1200];
    assert_eq!(answer(lamp, kind.code(), body, &mut out), (Kind::FAILED, 2));
    assert_eq!(out[0], Failure::Refused.code());
    thingward_grant::Refusal::from_code(out[1]).unwrap()
}

fn join() -> Vec<u8> {
    let public = |seed| key(seed).public_key().to_ed25519();
    let join = Join {
        tenant: "acme".parse().unwrap(),
        device: "lamp-1".parse().unwrap(),
        command_key: public(COMMANDS),
        grant_key: public(GRANTS),
        recipient: *recipient().public_key().unwrap().as_bytes(),
    };
    let mut out = [0; 240];
    let len = join.write(&mut out).unwrap();
    out[..len].to_vec()
}

/// Tells the time in answer to a question.
fn tell_time(lamp: &mut Lamp, time: Timestamp) {
    let nonce = ask(lamp, Kind::Question, &[]).unwrap().try_into().unwrap();
    let beacon = Beacon { issuer: name("acme"), time, answers: Some(nonce) };
    let mut out = [0; 192];
    let len = beacon.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    ask(lamp, Kind::Beacon, &out[..len]).unwrap();
}

fn joined(part: &Part) -> Lamp {
    let mut lamp = part.start();
    ask(&mut lamp, Kind::Join, &join()).unwrap();
    tell_time(&mut lamp, NOW);
    lamp
}

/// After a loss of power.
fn again(part: &Part) -> Lamp {
    let mut lamp = part.start();
    tell_time(&mut lamp, NOW);
    lamp
}

fn command(id: u8, action: &str, signer: &SoftwareKey) -> Vec<u8> {
    command_of(id, action, NOW, signer)
}

/// For a minute.
fn command_of(id: u8, action: &str, issued: Timestamp, signer: &SoftwareKey) -> Vec<u8> {
    let command = Command {
        tenant: "acme".parse().unwrap(),
        device: "lamp-1".parse().unwrap(),
        id: [id; 16],
        action: action.parse().unwrap(),
        input: Data::NOTHING,
        issued,
        expires: issued.plus_micros(60_000_000),
        actor: "user/1",
    };
    let mut canonical = [0; 1024];
    let len = command.encode(&mut canonical).unwrap();
    let mut out = [0; 3200];
    let len = command::sign(signer, &canonical[..len], Some(7), None, &mut out).unwrap();
    [&[id; 16], &out[..len]].concat()
}

/// Everything that waits, each with what it is; nothing waits afterwards.
fn drain(lamp: &mut Lamp) -> Vec<(Pending, [u8; 16], Vec<u8>)> {
    let mut all = Vec::new();
    let mut delivered = 0_u32;
    loop {
        let answer = ask(lamp, Kind::Poll, &delivered.to_be_bytes()).unwrap();
        let Some(outgoing) = Outgoing::read(&answer) else { return all };
        delivered = outgoing.number;
        all.push((outgoing.pending, outgoing.id, outgoing.payload.to_vec()));
    }
}

/// The outcomes of all replies and uses that wait, by id.
fn outcomes(lamp: &mut Lamp, device: &VerifyingKey) -> Vec<([u8; 16], &'static str)> {
    let mut all = Vec::new();
    for (pending, id, payload) in drain(lamp) {
        let reply = match pending {
            Pending::Telemetry => continue,
            Pending::Reply => payload.len(),
            // A reply has no length in front; the presentation begins with the tag of a CWT.
            Pending::Use => payload[1..].iter().position(|byte| *byte == 0xd2).unwrap() + 1,
        };
        let signed = SignedReply::decode(&payload[..reply]).unwrap();
        let reply = signed.verify(device).unwrap();
        assert_eq!(reply.id, id);
        all.push((
            id,
            match reply.outcome {
                Outcome::Refused { reason, .. } => reason.as_str(),
                other => other.as_str(),
            },
        ));
    }
    all
}

fn public_key(lamp: &mut Lamp) -> VerifyingKey {
    let hello = Hello::read(&ask(lamp, Kind::Hello, &[3; 32]).unwrap()).unwrap();
    let key = VerifyingKey::from_ed25519(&hello.public_key).unwrap();
    key.verify(&hello_message(&[3; 32]), &hello.signature).unwrap();
    key
}

fn grant(id: u8, uses: u32, out: &mut [u8]) -> usize {
    grant_of(id, 0, uses, out)
}

fn grant_of(id: u8, epoch: u32, uses: u32, out: &mut [u8]) -> usize {
    let mut scope = [0; 64];
    let permissions = [Permission { action: name("switch"), bounds: &[] }];
    let scope = Scope::write(&permissions, &mut scope).unwrap();
    let origin = Origin { issuer: name("acme"), id: [id; 8], epoch, reference: None };
    let terms = Terms {
        audience: Some(own()),
        not_before: None,
        expires: Some(NOW.plus_micros(3_600_000_000)),
        scope: Some(scope),
        uses: Some(uses),
    };
    let holder = HolderKey::from_bytes(key(5).public_key().to_ed25519().unwrap());
    public::issue(&key(GRANTS), &origin, &terms, holder, out).unwrap()
}

/// What the holder of a grant shows for a fresh nonce.
fn presentation(lamp: &mut Lamp, grant: &[u8]) -> Result<Vec<u8>, Failure> {
    let nonce = ask(lamp, Kind::Nonce, &[])?.try_into().unwrap();
    let mut room = [0; 64];
    let operation = Operation::write(name("switch"), &[], &mut room).unwrap();
    let mut out = [0; 1024];
    let grant = Grant::decode(grant).unwrap();
    let len = public::present(&key(5), &grant, name("lamp-1"), &nonce, &operation, &mut out).unwrap();
    Ok(out[..len].to_vec())
}

fn reading(value: f64) -> Reading<'static> {
    Reading { field: None, unit: "lx", time: NOW, value: Value::Number(value) }
}

#[test]
fn readings_open_for_the_recipient_and_a_checkpoint_signs_them_also_after_a_loss_of_power() {
    let part = Part::new();
    let mut lamp = part.start();
    assert_eq!(lamp.record(&[reading(1.0)]), Err(RecordError::NoTime));
    let mut lamp = {
        drop(lamp);
        joined(&part)
    };
    lamp.record(&[reading(1.0)]).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    lamp.record(&[reading(2.0)]).unwrap();
    lamp.tick(10_000_000);
    let device = public_key(&mut lamp);
    let (mut key, mut numbers, mut head) = (None, Vec::new(), None);
    let messages: Vec<Vec<u8>> = drain(&mut lamp).into_iter().map(|(_, _, message)| message).collect();
    for item in messages.iter().flat_map(|message| Items::new(message)) {
        match item.unwrap() {
            Item::Record(record) => {
                let mut out = [0; 256];
                record.open(key.as_ref().unwrap(), &mut out).unwrap();
                numbers.push(record.seq);
                head = head.map(|head: [u8; 32]| thingward_crypto::sha256(&[&head, record.bytes]));
            }
            Item::Statement(signed) => {
                let statement = signed.verify(&device).unwrap();
                match statement.kind {
                    StatementKind::Open { cipher, encapsulated, .. } => {
                        let subject = &statement.subject;
                        let derived =
                            RecordKey::derive(&recipient(), &encapsulated, cipher, subject, &statement.chain);
                        key = Some(derived.unwrap());
                        head = Some(thingward_crypto::sha256(&[signed.bytes]));
                    }
                    StatementKind::Checkpoint { first, last, head: signed } => {
                        assert_eq!((first, last, Some(signed)), (1, 2, head));
                        head = None;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!((numbers, head), (vec![1, 2], None));
}

#[test]
fn a_command_is_done_once_whoever_sends_it_again() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let order = command(1, "switch", &key(COMMANDS));
    for _ in 0..2 {
        ask(&mut lamp, Kind::Command, &order).unwrap();
    }
    ask(&mut lamp, Kind::Command, &command(2, "switch", &key(GRANTS))).unwrap();
    ask(&mut lamp, Kind::Command, &command(3, "explode", &key(COMMANDS))).unwrap();
    let said = [([1; 16], "done"), ([2; 16], "wrong-signer"), ([3; 16], "unknown-action")];
    assert_eq!(outcomes(&mut lamp, &device), said);
    // What was delivered last is not durable by itself: it may come again, and nothing besides.
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), said);
    assert_eq!(*part.switched.borrow(), 1);
}

#[test]
fn a_grant_is_used_as_often_as_it_says_and_not_once_more_after_a_loss_of_power() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let mut grant_bytes = [0; 512];
    let len = grant(7, 2, &mut grant_bytes);
    let grant = &grant_bytes[..len];
    let shown = presentation(&mut lamp, grant).unwrap();
    let reply = ask(&mut lamp, Kind::Use, &shown).unwrap();
    let reply = SignedReply::decode(&reply).unwrap().verify(&device).unwrap();
    assert_eq!(reply.id, Presentation::decode(&shown).unwrap().nonce());
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::WrongNonce);
    let report = drain(&mut lamp).pop().unwrap();
    assert!(report.0 == Pending::Use && report.2.ends_with(&shown));
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let shown = presentation(&mut lamp, grant).unwrap();
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let shown = presentation(&mut lamp, grant).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::UsedUp);
    assert_eq!(*part.switched.borrow(), 2);
}

#[test]
fn a_nonce_is_open_for_a_minute_and_not_at_its_end() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    lamp.tick(60_000_000);
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::WrongNonce);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    lamp.tick(59_999_999);
    ask(&mut lamp, Kind::Use, &shown).unwrap();
}

#[test]
fn grants_of_an_epoch_that_is_over_take_no_room() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let show = |lamp: &mut Lamp, id: u8, epoch: u32| {
        let mut bytes = [0; 512];
        let len = grant_of(id, epoch, 2, &mut bytes);
        drain(lamp);
        presentation(lamp, &bytes[..len]).unwrap()
    };
    let fill = |lamp: &mut Lamp, epoch: u32| {
        for id in 0..6 {
            let shown = show(lamp, id, epoch);
            ask(lamp, Kind::Use, &shown).unwrap();
        }
        let shown = show(lamp, 6, epoch);
        assert_eq!(refusal(lamp, Kind::Use, &shown), thingward_grant::Refusal::NoRoom);
    };
    fill(&mut lamp, 0);
    // A grant of a higher epoch makes room, and so does a revocation.
    let shown = show(&mut lamp, 0, 1);
    ask(&mut lamp, Kind::Use, &shown).unwrap();
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 2, ids: &[] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    fill(&mut lamp, 2);
    let shown = show(&mut lamp, 0, 1);
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::OldEpoch);
}

#[test]
fn what_was_taken_back_is_refused_after_a_loss_of_power_too() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 0, ids: &[[7; 8]] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    // Whoever brings it again wears no memory.
    *part.writes_left.borrow_mut() = 0;
    ask(&mut lamp, Kind::Revocation, &out[..len]).unwrap();
    let mut lamp = {
        drop(lamp);
        again(&part)
    };
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    assert_eq!(refusal(&mut lamp, Kind::Use, &shown), thingward_grant::Refusal::Revoked);
}

/// Power goes in the middle of each write in turn.
#[test]
fn wherever_power_goes_a_command_is_done_at_most_once_and_answered_once() {
    for writes in 1.. {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        let order = command(1, "switch", &key(COMMANDS));
        *part.writes_left.borrow_mut() = writes;
        let done = ask(&mut lamp, Kind::Command, &order);
        let mut lamp = {
            drop(lamp);
            again(&part)
        };
        ask(&mut lamp, Kind::Command, &order).unwrap();
        let said = outcomes(&mut lamp, &device);
        assert!(*part.switched.borrow() <= 1, "{writes}");
        assert_eq!(said.len(), 1, "{writes}");
        assert!(said[0].1 == "done" || said[0].1 == "interrupted", "{said:?}");
        assert!(said[0].1 != "done" || *part.switched.borrow() == 1);
        if done.is_ok() {
            assert!(writes > 3);
            return;
        }
    }
}

#[test]
fn wherever_power_goes_a_use_is_counted_before_it_is_done() {
    for writes in 1.. {
        let part = Part::new();
        let mut lamp = joined(&part);
        let device = public_key(&mut lamp);
        let mut bytes = [0; 512];
        let len = grant(7, 1, &mut bytes);
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        *part.writes_left.borrow_mut() = writes;
        let done = ask(&mut lamp, Kind::Use, &shown);
        let mut lamp = {
            drop(lamp);
            again(&part)
        };
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        let second = ask(&mut lamp, Kind::Use, &shown);
        let switched = *part.switched.borrow();
        assert!(switched <= 1 && (switched == 1 || !(done.is_ok() || second.is_ok())), "{writes}");
        let said = outcomes(&mut lamp, &device);
        assert_eq!(said.len(), 1, "{writes}: {said:?}");
        if done.is_ok() {
            assert!(writes > 4);
            return;
        }
    }
}

#[test]
fn wherever_power_goes_no_number_of_the_chain_has_two_records() {
    for writes in 1..8 {
        let part = Part::new();
        let mut lamp = joined(&part);
        lamp.record(&[reading(1.0)]).unwrap();
        *part.writes_left.borrow_mut() = writes;
        let mut taken = 1;
        for value in 2..4 {
            taken += u64::from(lamp.record(&[reading(f64::from(value))]).is_ok());
        }
        let mut lamp = {
            drop(lamp);
            again(&part)
        };
        lamp.record(&[reading(9.0)]).unwrap();
        let mut numbers = Vec::new();
        for (_, _, message) in drain(&mut lamp) {
            for item in Items::new(&message) {
                if let Item::Record(record) = item.unwrap() {
                    numbers.push(record.seq);
                }
            }
        }
        assert_eq!(numbers, (1..=taken + 1).collect::<Vec<_>>(), "{writes}");
    }
}

#[test]
fn a_full_spool_takes_nothing_and_goes_on_when_it_was_emptied() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut taken = 0;
    let error = loop {
        match lamp.record(&[reading(f64::from(taken))]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error, taken > 4), (RecordError::Full, true));
    // The statement that opens the chain, and the readings.
    assert_eq!(drain(&mut lamp).len(), taken as usize + 1);
    for _ in 0..200 {
        lamp.record(&[reading(1.0)]).unwrap();
        lamp.tick(1_000_000);
        assert!(matches!(drain(&mut lamp).len(), 1 | 2));
    }
}

#[test]
fn changed_firmware_is_somebody_else_and_opens_nothing() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[reading(1.0)]).unwrap();
    let key = public_key(&mut lamp);
    let mut changed = part.try_start(b"firmware 2").unwrap();
    assert!(!changed.is_joined() && public_key(&mut changed) != key);
    assert_eq!(drain(&mut changed), []);
    assert!(part.start().is_joined());
}

#[test]
fn an_alarm_destroys_the_keys_and_leaves_signed_last_words() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    lamp.record(&[reading(1.0)]).unwrap();
    lamp.tamper();
    assert_eq!(ask(&mut lamp, Kind::Hello, &[3; 32]), Err(Failure::Destroyed));
    assert_eq!(lamp.record(&[reading(2.0)]), Err(RecordError::Destroyed));
    let words = ask(&mut lamp, Kind::Poll, &[0; 4]).unwrap();
    let words = Outgoing::read(&words).unwrap();
    let statement = Items::new(words.payload).last().unwrap().unwrap();
    let Item::Statement(statement) = statement else { panic!("no checkpoint") };
    assert!(matches!(
        statement.verify(&device).unwrap().kind,
        StatementKind::Checkpoint { first: 1, last: 2, .. }
    ));
    assert!(ask(&mut lamp, Kind::Poll, &words.number.to_be_bytes()).unwrap().is_empty());
    assert_eq!(*part.secret.borrow(), None);
    assert_eq!(part.try_start(b"firmware 1").err(), Some(StartError::Destroyed));
}

#[test]
fn what_is_kept_shows_neither_keys_nor_readings() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[Reading { value: Value::Text("at home"), ..reading(0.0) }]).unwrap();
    let flash = part.flash.borrow();
    for secret in [&b"at home"[..], &recipient().public_key().unwrap().as_bytes()[..], b"acme", b"lamp-1"] {
        assert!(!flash.windows(secret.len()).any(|window| window == secret));
    }
}

/// Nonces and random numbers would come again.
#[test]
fn a_count_of_starts_that_was_taken_back_is_noticed() {
    let part = Part::new();
    let mut lamp = joined(&part);
    lamp.record(&[reading(1.0)]).unwrap();
    drop(lamp);
    part.flash.borrow_mut()[..16].fill(0xff);
    assert_eq!(part.try_start(b"firmware 1").err(), Some(StartError::Memory));
}

/// Whatever comes, the device answers and stays up.
#[test]
fn garbage_is_answered_and_changes_nothing() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let mut bytes = [0; 512];
    let len = grant(7, 2, &mut bytes);
    let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
    let order = command(1, "switch", &key(COMMANDS));
    for kind in 0..=255_u8 {
        for body in [&[][..], &[0], &[0xff; 700], &shown[..shown.len() - 1], &order[..order.len() - 1]] {
            let mut out = [0; 1200];
            answer(&mut lamp, kind, body, &mut out);
        }
    }
    assert_eq!(*part.switched.borrow(), 0);
    let device = public_key(&mut lamp);
    tell_time(&mut lamp, NOW);
    // What was no command bound the device to nothing, but may have filled the spool.
    drain(&mut lamp);
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "done")]);
}

/// One bit of each byte in turn, and what is too short or too long.
fn spoilt(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    };
    let cut = (0..whole.len()).step_by(7).map(|len| whole[..len].to_vec());
    (0..whole.len()).map(changed).chain(cut).chain([[whole, &[0]].concat()])
}

#[test]
fn nothing_that_was_signed_counts_when_any_byte_of_it_is_another() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let order = command(1, "switch", &key(COMMANDS));
    // Nothing signs the name of the key.
    let name_of_key = key(COMMANDS).public_key().id();
    let is_named = |other: &[u8]| other.windows(name_of_key.len()).any(|window| window == name_of_key);
    for order in spoilt(&order).filter(|other| other.len() != order.len() || is_named(other)) {
        // It is refused, or answered with a reply that says why.
        let _ = ask(&mut lamp, Kind::Command, &order);
        for (_, outcome) in outcomes(&mut lamp, &device) {
            assert_ne!(outcome, "done");
        }
    }
    let mut bytes = [0; 512];
    let len = grant(7, 1000, &mut bytes);
    // Each needs a nonce of its own.
    let count = spoilt(&presentation(&mut lamp, &bytes[..len]).unwrap()).count();
    for number in 0..count {
        let shown = presentation(&mut lamp, &bytes[..len]).unwrap();
        let shown = spoilt(&shown).nth(number).unwrap();
        refusal(&mut lamp, Kind::Use, &shown);
    }
    let revocation = Revocation { issuer: name("acme"), audience: own(), epoch: 0, ids: &[[7; 8]] };
    let mut out = [0; 672];
    let len = revocation.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    for bytes in spoilt(&out[..len]) {
        refusal(&mut lamp, Kind::Revocation, &bytes);
    }
    let beacon = Beacon { issuer: name("acme"), time: NOW.plus_micros(1_000_000), answers: None };
    let len = beacon.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
    for bytes in spoilt(&out[..len]) {
        refusal(&mut lamp, Kind::Beacon, &bytes);
    }
    assert_eq!(*part.switched.borrow(), 0);
}

#[test]
fn without_a_time_no_command_is_judged() {
    let part = Part::new();
    let mut lamp = part.start();
    ask(&mut lamp, Kind::Join, &join()).unwrap();
    let order = command(1, "switch", &key(COMMANDS));
    assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::NoTime));
    tell_time(&mut lamp, NOW.plus_micros(3_600_000_000));
    let device = public_key(&mut lamp);
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([1; 16], "expired")]);
}

#[test]
fn a_command_that_may_be_over_waits_for_the_time() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let order = command(1, "switch", &key(COMMANDS));
    // By its oscillator a minute may be over, or not.
    lamp.tick(59_500_000);
    assert_eq!(ask(&mut lamp, Kind::Command, &order), Err(Failure::NoTime));
    assert_eq!(*part.switched.borrow(), 0);
    tell_time(&mut lamp, NOW.plus_micros(58_000_000));
    ask(&mut lamp, Kind::Command, &order).unwrap();
    assert_eq!(*part.switched.borrow(), 1);
}

#[test]
fn a_command_that_came_timely_and_was_refused_tells_the_time_as_well() {
    let part = Part::new();
    let mut lamp = joined(&part);
    let device = public_key(&mut lamp);
    let later = NOW.plus_micros(60_000_000);
    ask(&mut lamp, Kind::Command, &command_of(2, "explode", later, &key(COMMANDS))).unwrap();
    ask(&mut lamp, Kind::Command, &command(1, "switch", &key(COMMANDS))).unwrap();
    assert_eq!(outcomes(&mut lamp, &device), [([2; 16], "unknown-action"), ([1; 16], "expired")]);
    assert_eq!(*part.switched.borrow(), 0);
}
