//! A lamp that is told to be on or off, with a memory that loses power at any write.

mod attacks;
mod commands;
mod grants;
mod readings;

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
const HOUR: i64 = 3_600_000_000;

/// What is left of a device without power.
#[derive(Clone)]
struct Part {
    flash: Rc<RefCell<Vec<u8>>>,
    secret: Rc<RefCell<Option<[u8; 32]>>>,
    /// Halves of writes until power goes: in the middle of one, or between two.
    halves_left: Rc<RefCell<usize>>,
    /// What is not written of the one in whose middle it goes: half of it, or only the last four bytes.
    is_end_torn: Rc<RefCell<bool>>,
    /// How often the lamp was switched.
    switched: Rc<RefCell<u32>>,
    /// Of its line.
    frame_bytes_max: u16,
}

impl Part {
    fn new() -> Self {
        Self {
            flash: Rc::new(RefCell::new(vec![0xff; 4064])),
            secret: Rc::new(RefCell::new(Some([0x5e; 32]))),
            halves_left: Rc::new(RefCell::new(usize::MAX)),
            is_end_torn: Rc::default(),
            switched: Rc::default(),
            frame_bytes_max: 1200,
        }
    }

    fn try_start(&self, firmware: &[u8]) -> Result<Lamp, StartError> {
        let mut measurement = Measurement::default();
        measurement.take(firmware);
        let keys = Dice::start(self.clone(), &measurement).map_err(|_| StartError::Destroyed)?;
        let mut place = None;
        Device::start(&mut place, keys, self.clone(), self.clone(), self.frame_bytes_max)?;
        Ok(place.unwrap())
    }

    fn start(&self) -> Lamp {
        *self.halves_left.borrow_mut() = usize::MAX;
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
        let mut left = self.halves_left.borrow_mut();
        let len = match *left {
            0 => return Err(FlashError),
            1 if *self.is_end_torn.borrow() => bytes.len() - 4,
            1 => bytes.len() / 2,
            _ => bytes.len(),
        };
        *left = left.saturating_sub(2);
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
    const FIRMWARE: (&'static str, &'static str) = ("lamp", "1");
    type Failure = &'static str;

    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8] {
        let permission = |action| Permission { action: name(action), bounds: &[] };
        Scope::write(&[permission("switch"), permission("break")], room).unwrap().as_bytes()
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match (call.action(), call.arguments_len()) {
            ("switch" | "break", 0) => Ok(()),
            ("switch" | "break", _) => Err(Refusal::BadInput),
            _ => Err(Refusal::UnknownAction),
        }
    }

    fn perform(&mut self, call: &Call<'_>) -> Result<(), &'static str> {
        *self.switched.borrow_mut() += 1;
        if call.action() == "break" { Err(LONG_COMPLAINT) } else { Ok(()) }
    }
}

/// More than is told of it.
const LONG_COMPLAINT: &str =
    "the lamp is broken, as whoever hears of it at such a length will have understood";

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

/// Leaves no room to begin anything: readings take what they may, and refusals the rest.
fn fill(lamp: &mut Lamp) {
    while lamp.record(&[reading(1.0)]).is_ok() {}
    while ask(lamp, Kind::Command, &command(9, "switch", &key(GRANTS))).is_ok() {}
}

/// Has the next entry somewhere else in memory, for each `readings` at another place.
fn turn(lamp: &mut Lamp, readings: usize) {
    for _ in 0..readings {
        lamp.record(&[reading(1.0)]).unwrap();
        drain(lamp);
    }
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
            Pending::Use => {
                let is_end =
                    |at: &usize| payload[*at] == 0xd2 && SignedReply::decode(&payload[..*at]).is_ok();
                (0..payload.len()).find(is_end).unwrap()
            }
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
    grant_until(id, epoch, uses, NOW.plus_micros(HOUR), out)
}

fn grant_until(id: u8, epoch: u32, uses: u32, expires: Timestamp, out: &mut [u8]) -> usize {
    grant_for("switch", id, epoch, uses, expires, out)
}

fn grant_for(
    action: &'static str,
    id: u8,
    epoch: u32,
    uses: u32,
    expires: Timestamp,
    out: &mut [u8],
) -> usize {
    let mut scope = [0; 64];
    let permissions = [Permission { action: name(action), bounds: &[] }];
    let scope = Scope::write(&permissions, &mut scope).unwrap();
    let origin = Origin { issuer: name("acme"), id: [id; 8], epoch, reference: None };
    let terms = Terms {
        audience: Some(own()),
        not_before: None,
        expires: Some(expires),
        scope: Some(scope),
        uses: Some(uses),
    };
    let holder = HolderKey::from_bytes(key(5).public_key().to_ed25519().unwrap());
    public::issue(&key(GRANTS), &origin, &terms, holder, out).unwrap()
}

/// What the holder of a grant shows for a fresh nonce.
fn presentation(lamp: &mut Lamp, grant: &[u8]) -> Result<Vec<u8>, Failure> {
    presentation_for("switch", lamp, grant)
}

fn presentation_for(action: &'static str, lamp: &mut Lamp, grant: &[u8]) -> Result<Vec<u8>, Failure> {
    let nonce = ask(lamp, Kind::Nonce, &[])?.try_into().unwrap();
    let mut room = [0; 64];
    let operation = Operation::write(name(action), &[], &mut room).unwrap();
    let mut out = [0; 1024];
    let grant = Grant::decode(grant).unwrap();
    let len = public::present(&key(5), &grant, name("lamp-1"), &nonce, &operation, &mut out).unwrap();
    Ok(out[..len].to_vec())
}

fn reading(value: f64) -> Reading<'static> {
    Reading { field: None, unit: "lx", time: NOW, value: Value::Number(value) }
}
