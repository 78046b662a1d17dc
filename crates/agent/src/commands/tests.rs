use std::collections::BTreeMap;

use serde_json::json;
use thingward_crypto::{Digest, SignatureAlgorithm, Signer, SoftwareKey, sha256};
use thingward_model::Role;
use thingward_model::description::{CONTEXT, NAMESPACE};
use thingward_seal::approval::Approver;
use thingward_seal::command::{
    Approval, CANONICAL_BYTES_MAX, CLOCK_SKEW_MAX_MICROS, COMMAND_BYTES_MAX, Command, SignedReply, digest,
    sign,
};

use super::*;
use crate::disk::memory::MemoryDisk;

mod passkeys;
mod remembered;

const SECOND: i64 = 1_000_000;
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn key(who: &str) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &sha256(&[who.as_bytes()])).unwrap()
}

fn description() -> ThingDescription {
    let forms = json!([{"href": "devices/me/commands"}]);
    let rate = json!({"type": "number", "minimum": 0, "maximum": 2, "unit": "EUR/h"});
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": "Parking meter",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": {
            "lamp": {"input": {"type": "boolean"}, "forms": forms},
            "set-rate": {"input": rate, "tw:sensitive": true, "forms": forms},
        },
    });
    ThingDescription::parse(document.to_string().as_bytes()).unwrap()
}

pub(super) fn membership() -> Membership {
    let approver = Approver {
        actor: "user:01h".to_owned(),
        credential_id: vec![1; 16],
        key: key("passkey").public_key().clone(),
        rp_id: "console.example".to_owned(),
        origins: vec!["https://console.example".to_owned()],
    };
    Membership {
        tenant: "acme".parse().unwrap(),
        role: Role::Device,
        name: "meter-1".parse().unwrap(),
        trust_domain: "thingward.test".to_owned(),
        mqtt_port: 8883,
        service: "localhost:8443".parse().unwrap(),
        service_recipient: thingward_crypto::RecipientPublicKey::from_bytes([9; 32]),
        customer_recipient: None,
        command_key: Some(key("service").public_key().clone()),
        grant_key: None,
        grant_revocation: None,
        classes: Vec::new(),
        approvers: vec![approver],
    }
}

struct Bench {
    disk: MemoryDisk,
    key: SealingKey,
    membership: Membership,
}

impl Bench {
    fn new() -> Self {
        let key = SealingKey::from_bytes(&[5; 32]).unwrap();
        Self { disk: MemoryDisk::default(), key, membership: membership() }
    }

    /// The membership, once the user's passkey is another.
    fn with_new_passkey(&self) -> Membership {
        let mut newer = self.membership.clone();
        newer.approvers[0].credential_id = vec![2; 16];
        newer
    }

    fn open(&self, now: Timestamp) -> Result<Commands<MemoryDisk>, JournalError> {
        let description = Arc::new(description());
        let signer: SharedSigner = Arc::new(key("device"));
        Commands::open(
            self.disk.clone(),
            self.key.clone(),
            signer,
            self.membership.clone(),
            description,
            None,
            now,
        )
    }
}

/// What is sent, with something about it changed.
struct Sent {
    signer: SoftwareKey,
    tenant: &'static str,
    device: &'static str,
    id: CommandId,
    action: &'static str,
    input: Value,
    issued: Timestamp,
    lifetime: i64,
    actor: &'static str,
    approval: Option<Passkey>,
}

/// How a user approves.
struct Passkey {
    credential: u8,
    flags: u8,
    /// What is approved, when not this command.
    other: Option<Digest>,
}

impl Sent {
    fn new(id: u8) -> Self {
        Self {
            signer: key("service"),
            tenant: "acme",
            device: "meter-1",
            id: [id; 16],
            action: "lamp",
            input: json!(true),
            issued: START,
            lifetime: 60 * SECOND,
            actor: "user:01h",
            approval: None,
        }
    }

    fn canonical(&self) -> Vec<u8> {
        let input = json::encode(&self.input).unwrap();
        let command = Command {
            tenant: self.tenant.parse().unwrap(),
            device: self.device.parse().unwrap(),
            id: self.id,
            action: self.action.parse().unwrap(),
            input: Data::from_bytes(&input).unwrap(),
            issued: self.issued,
            expires: self.issued.plus_micros(self.lifetime),
            actor: self.actor,
        };
        let mut out = [0; CANONICAL_BYTES_MAX];
        let len = command.encode(&mut out).unwrap();
        out[..len].to_vec()
    }

    fn bytes(&self) -> Vec<u8> {
        let canonical = self.canonical();
        let mut parts = None;
        if let Some(passkey) = &self.approval {
            parts = Some(passkey.assert(&digest(&canonical)));
        }
        let approval = parts.as_ref().map(|(credential, data, client, signature)| Approval {
            credential_id: credential,
            authenticator_data: data,
            client_data_json: client,
            signature,
        });
        let mut out = [0; COMMAND_BYTES_MAX];
        let len = sign(&self.signer, &canonical, None, approval.as_ref(), &mut out).unwrap();
        out[..len].to_vec()
    }
}

impl Passkey {
    fn new() -> Self {
        Self { credential: 1, flags: 5, other: None }
    }

    fn assert(&self, command: &Digest) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
        use base64::Engine;
        let challenge = self.other.as_ref().unwrap_or(command);
        let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(challenge);
        let client = format!(
            r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://console.example"}}"#
        );
        let data = [sha256(&[b"console.example"]).as_slice(), &[self.flags], &[0; 4]].concat();
        let message = [data.as_slice(), &sha256(&[client.as_bytes()])].concat();
        let signature = key("passkey").sign(&message).unwrap();
        let integer = |half: &[u8]| {
            let mut digits: Vec<u8> = half.iter().copied().skip_while(|b| *b == 0).collect();
            if digits[0] & 0x80 != 0 {
                digits.insert(0, 0);
            }
            [vec![2, u8::try_from(digits.len()).unwrap()], digits].concat()
        };
        let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
        let der = [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat();
        (vec![self.credential; 16], data, client.into_bytes(), der)
    }
}

/// The replies that are there to be sent, as the service reads them: which command, what outcome, what text or output.
fn replies(commands: &mut Commands<MemoryDisk>) -> Vec<(CommandId, Digest, String)> {
    let mut all = Vec::new();
    while let Some(reply) = commands.next_reply() {
        let signed = SignedReply::decode(&reply.bytes).unwrap();
        let read = signed.verify(key("device").public_key()).unwrap();
        assert_eq!(read.id, reply.id);
        let said = match read.outcome {
            Outcome::Done(output) => format!("done {}", json::decode(output)),
            Outcome::Refused { reason, text } => format!("{reason}: {text}"),
            Outcome::Failed { text } => format!("failed {text}"),
            Outcome::Interrupted => "interrupted".to_owned(),
        };
        all.push((read.id, read.command, said));
        commands.reply_ended(reply);
    }
    all
}

fn said(commands: &mut Commands<MemoryDisk>) -> Vec<String> {
    replies(commands).into_iter().map(|(_, _, said)| said).collect()
}

#[test]
fn a_command_is_executed_once_and_its_answer_given_as_often_as_it_is_asked_for() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let sent = Sent::new(1);
    assert!(commands.receive([1; 16], &sent.bytes(), START));
    assert!(!commands.receive([1; 16], &sent.bytes(), START));
    let order = commands.next_order(START).unwrap();
    assert_eq!(
        (order.action.as_str(), &order.input, order.actor.as_str()),
        ("lamp", &json!(true), "user:01h")
    );
    assert!(!commands.receive([1; 16], &sent.bytes(), START));
    assert_eq!(commands.next_order(START), None);
    assert_eq!(commands.status(), CommandsStatus { waiting: 0, started: 1, replies: 0 });
    commands.finish(&order.id, Ending::Done(json!({"on": true})), START);
    let answer = (sent.id, digest(&sent.canonical()), "done {\"on\":true}".to_owned());
    assert_eq!(replies(&mut commands), std::slice::from_ref(&answer));
    for _ in 0..2 {
        // The service signs anew each time it sends; the command is the same one.
        assert!(!commands.receive([1; 16], &sent.bytes(), START));
        assert_eq!(commands.next_order(START), None);
        assert_eq!(replies(&mut commands), std::slice::from_ref(&answer));
        commands = bench.open(START).unwrap();
        assert_eq!(replies(&mut commands), []);
    }
    commands.finish(&order.id, Ending::Failed("too late".to_owned()), START);
    assert_eq!(replies(&mut commands), []);
}

#[track_caller]
fn check(change: impl FnOnce(&mut Sent), want: &str) {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let mut sent = Sent::new(1);
    change(&mut sent);
    assert!(!commands.receive([1; 16], &sent.bytes(), START), "{want}");
    assert!(!commands.membership_is_fresh(START), "{want}");
    assert_eq!(commands.next_order(START), None);
    let answers = said(&mut commands);
    assert!(answers.len() == 1 && answers[0].starts_with(want), "{answers:?} for {want}");
    // And again after a restart, the same.
    let mut commands = bench.open(START).unwrap();
    assert!(!commands.receive([1; 16], &sent.bytes(), START), "{want}");
    assert_eq!(said(&mut commands), answers);
}

fn set_rate(sent: &mut Sent, rate: f64) {
    sent.action = "set-rate";
    sent.input = json!(rate);
    sent.approval = Some(Passkey::new());
}

#[test]
fn a_command_with_anything_wrong_is_refused_for_its_precise_reason() {
    check(|s| s.signer = key("somebody"), "wrong-signer: not signed by the service's command key");
    check(|s| s.signer = key("device"), "wrong-signer");
    check(|s| s.id = [2; 16], "malformed: its id is not that of the topic");
    check(|s| s.device = "meter-2", "wrong-audience: it is for another device");
    check(|s| s.tenant = "other", "wrong-audience");
    check(|s| s.issued = START.plus_micros(-60 * SECOND), "expired: its time is over; here it is 2027-01-15");
    check(|s| s.issued = START.plus_micros(CLOCK_SKEW_MAX_MICROS + 1), "not-yet-valid: it was issued later");
    check(|s| s.action = "explode", "unknown-action: there is no explode; there is lamp, set-rate");
    check(|s| s.input = json!("on"), "bad-input: \"on\" is not true or false");
    check(|s| s.input = json!({"on": true}), "bad-input");
    check(|s| set_rate(s, 3.5), "bad-input: 3.5 is above the maximum 2 EUR/h");
    check(
        |s| {
            set_rate(s, 1.5);
            s.approval = None;
        },
        "approval-missing: the action needs the user's own approval",
    );
    let with = |change: fn(&mut Passkey), actor| {
        move |s: &mut Sent| {
            set_rate(s, 1.5);
            change(s.approval.as_mut().unwrap());
            s.actor = actor;
        }
    };
    check(
        with(|p| p.other = Some([7; 32]), "user:01h"),
        "approval-invalid: the approval does not hold: it approves something else",
    );
    check(
        with(|p| p.credential = 2, "user:01h"),
        "approval-invalid: the approval does not hold: the passkey is none",
    );
    check(with(|_| (), "user:02x"), "approval-invalid: the approval does not hold: the passkey is none");
    check(
        with(|p| p.flags = 1, "user:01h"),
        "approval-invalid: the approval does not hold: the authenticator did not",
    );
}

#[test]
fn no_bit_of_a_command_can_be_changed_and_it_is_still_executed() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let bytes = Sent::new(1).bytes();
    let key_id = key("service").public_key().id();
    let named = bytes.windows(8).position(|w| w == key_id).unwrap();
    for bit in (0..bytes.len() * 8).filter(|bit| !(named..named + 8).contains(&(bit / 8))) {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(!commands.receive([1; 16], &bent, START), "bit {bit}");
        let answers = said(&mut commands);
        let is_refusal =
            ["malformed", "unknown-version", "wrong-signer"].iter().any(|w| answers[0].starts_with(w));
        assert!(answers.len() == 1 && is_refusal, "bit {bit}: {answers:?}");
    }
    // None of that stands in the way of the true one.
    assert!(commands.receive([1; 16], &bytes, START));
    assert!(bench.disk.files.borrow().is_empty());
}

#[test]
fn a_device_without_a_command_key_executes_nothing_until_it_has_one() {
    let mut bench = Bench::new();
    bench.membership.command_key = None;
    let mut commands = bench.open(START).unwrap();
    assert!(!commands.receive([1; 16], &Sent::new(1).bytes(), START));
    assert_eq!(said(&mut commands), ["no-command-key: the service has given no command key"]);
    // The key comes with a renewal, and the command may come again.
    commands.set_membership(membership());
    assert!(commands.receive([1; 16], &Sent::new(1).bytes(), START));
}

#[test]
fn another_command_with_a_known_id_is_refused_and_the_first_ones_answer_stays() {
    let mut commands = Bench::new().open(START).unwrap();
    let first = Sent::new(1);
    commands.receive([1; 16], &first.bytes(), START);
    let order = commands.next_order(START).unwrap();
    let other = Sent { input: json!(false), ..Sent::new(1) };
    assert!(!commands.receive([1; 16], &other.bytes(), START));
    let refused =
        (other.id, digest(&other.canonical()), "id-reused: the id was another command's".to_owned());
    assert_eq!(replies(&mut commands), [refused]);
    // That comes before everything else about it.
    let other = Sent { device: "meter-2", ..Sent::new(1) };
    assert!(!commands.receive([1; 16], &other.bytes(), START));
    assert_eq!(said(&mut commands), ["id-reused: the id was another command's"]);
    commands.finish(&order.id, Ending::Done(Value::Null), START);
    assert_eq!(said(&mut commands), ["done null"]);
}

#[test]
fn a_command_that_waited_too_long_is_refused_as_expired() {
    let mut commands = Bench::new().open(START).unwrap();
    assert!(commands.receive([1; 16], &Sent::new(1).bytes(), START));
    assert_eq!(commands.next_order(START.plus_micros(60 * SECOND)), None);
    assert_eq!(said(&mut commands), ["expired: it waited too long"]);
    assert!(!commands.receive([1; 16], &Sent::new(1).bytes(), START));
    assert_eq!(said(&mut commands), ["expired: it waited too long"]);
}

#[test]
fn more_commands_than_may_wait_are_left_to_come_again() {
    let mut commands = Bench::new().open(START).unwrap();
    for n in 0..u8::try_from(WAITING_MAX).unwrap() {
        assert!(commands.receive([n; 16], &Sent::new(n).bytes(), START));
    }
    assert!(!commands.receive([99; 16], &Sent::new(99).bytes(), START));
    assert_eq!(said(&mut commands), Vec::<String>::new());
    commands.next_order(START).unwrap();
    assert!(commands.receive([99; 16], &Sent::new(99).bytes(), START));
}

#[test]
fn a_flood_of_what_is_no_command_is_answered_a_few_times_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    for n in 0..100 {
        assert!(!commands.receive([n; 16], b"flood", START));
    }
    assert_eq!(said(&mut commands).len(), STRANGERS_MAX);
    assert!(bench.disk.files.borrow().is_empty());
    assert!(commands.receive([1; 16], &Sent::new(1).bytes(), START));
}

#[test]
fn a_clock_that_was_set_back_makes_no_old_command_fresh() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let (held_back, newer) = (Sent::new(1), Sent { issued: START.plus_micros(120 * SECOND), ..Sent::new(2) });
    assert!(commands.receive([2; 16], &newer.bytes(), newer.issued));
    commands.next_order(newer.issued).unwrap();
    // Held back by somebody on the way, and the clock set back to when it was fresh.
    let check = |commands: &mut Commands<MemoryDisk>| {
        assert!(!commands.receive([1; 16], &held_back.bytes(), START));
        let answers = said(commands);
        assert!(answers.iter().any(|a| a.starts_with("expired")), "{answers:?}");
    };
    check(&mut commands);
    check(&mut bench.open(START).unwrap());
}

#[test]
fn what_was_refused_as_expired_by_a_clock_that_ran_ahead_stays_refused() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let ahead = START.plus_micros(3600 * SECOND);
    assert!(!commands.receive([1; 16], &Sent::new(1).bytes(), ahead));
    let answers = said(&mut commands);
    assert!(answers[0].starts_with("expired"));
    let mut commands = bench.open(START).unwrap();
    assert!(!commands.receive([1; 16], &Sent::new(1).bytes(), START));
    assert_eq!(said(&mut commands), answers);
    // A new one is taken again.
    assert!(commands.receive([2; 16], &Sent::new(2).bytes(), START));
}
