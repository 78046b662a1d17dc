//! Commands and replies: what is written is read back, nothing else is taken, and each check says what it found.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256};
use thingward_model::Timestamp;
use thingward_seal::FormatError;
use thingward_seal::command::{
    ACTOR_BYTES_MAX, APPROVAL_BYTES_MAX, Approval, Audience, CANONICAL_BYTES_MAX, CLOCK_SKEW_MAX_MICROS,
    COMMAND_BYTES_MAX, Command, DATA_BYTES_MAX, Data, LIFETIME_MAX_MICROS, Outcome, REPLY_BYTES_MAX,
    REPLY_TEXT_BYTES_MAX, Refusal, Reply, Scalar, SignedCommand, SignedReply, digest, json, sign,
};

const ISSUED: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn key(algorithm: SignatureAlgorithm, who: &str) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &sha256(&[who.as_bytes()])).unwrap()
}

fn service() -> SoftwareKey {
    key(SignatureAlgorithm::EcdsaP256, "service")
}

fn command<'a>(input: Data<'a>) -> Command<'a> {
    Command {
        tenant: "acme".parse().unwrap(),
        device: "meter-1".parse().unwrap(),
        id: [7; 16],
        action: "set-rate".parse().unwrap(),
        input,
        issued: ISSUED,
        expires: ISSUED.plus_micros(60_000_000),
        actor: "user:01h",
    }
}

fn canonical(command: &Command<'_>) -> Vec<u8> {
    let mut out = [0; CANONICAL_BYTES_MAX];
    let len = command.encode(&mut out).unwrap();
    out[..len].to_vec()
}

fn signed(signer: &SoftwareKey, canonical: &[u8], approval: Option<&Approval<'_>>) -> Vec<u8> {
    let mut out = [0; COMMAND_BYTES_MAX];
    let len = sign(signer, canonical, Some(41), approval, &mut out).unwrap();
    out[..len].to_vec()
}

const APPROVAL: Approval<'_> = Approval {
    credential_id: &[1; 32],
    authenticator_data: &[2; 37],
    client_data_json: b"{\"type\":\"webauthn.get\"}",
    signature: &[3; 71],
};

#[test]
fn a_command_comes_back_as_it_was_signed_by_either_algorithm() {
    for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
        let signer = key(algorithm, "service");
        let input = json::encode(&json!(3.5)).unwrap();
        let command = command(Data::from_bytes(&input).unwrap());
        let canonical = canonical(&command);
        for approval in [None, Some(&APPROVAL)] {
            let bytes = signed(&signer, &canonical, approval);
            let read = SignedCommand::decode(&bytes).unwrap();
            assert_eq!(read.key_id(), signer.public_key().id());
            let verified = read.verify(signer.public_key()).unwrap();
            assert_eq!((verified.command, verified.canonical), (command, canonical.as_slice()));
            assert_eq!((verified.log, verified.approval.as_ref()), (Some(41), approval));
            let other = key(algorithm, "other");
            assert_eq!(read.verify(other.public_key()), Err(FormatError::Crypto));
        }
    }
}

#[test]
fn no_bit_of_a_command_or_reply_can_be_changed_unnoticed_but_the_name_of_the_key() {
    let signer = service();
    let bytes = signed(&signer, &canonical(&command(Data::NOTHING)), Some(&APPROVAL));
    let reply =
        Reply { id: [7; 16], command: [8; 32], time: ISSUED, outcome: Outcome::Failed { text: "stuck" } };
    let mut out = [0; REPLY_BYTES_MAX];
    let len = reply.sign(&signer, &mut out).unwrap();
    let key_id = signer.public_key().id();
    let unchanged = |bytes: &[u8]| {
        SignedCommand::decode(bytes).and_then(|c| c.verify(signer.public_key()).map(drop)).is_ok()
            || SignedReply::decode(bytes).and_then(|r| r.verify(signer.public_key()).map(drop)).is_ok()
    };
    for bytes in [bytes.as_slice(), &out[..len]] {
        assert!(unchanged(bytes));
        let named = bytes.windows(8).position(|w| w == key_id).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.to_vec();
            bent[bit / 8] ^= 1 << (bit % 8);
            // The name only helps to find the key; another name finds another key, which did not sign.
            assert_eq!(unchanged(&bent), (named..named + 8).contains(&(bit / 8)), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(!unchanged(&bytes[..cut]), "cut to {cut}");
        }
        assert!(!unchanged(&[bytes, &[0]].concat()));
    }
}

#[test]
fn a_reply_is_no_command_and_a_command_no_reply() {
    let signer = service();
    let bytes = signed(&signer, &canonical(&command(Data::NOTHING)), None);
    assert!(SignedReply::decode(&bytes).is_err());
    let mut out = [0; REPLY_BYTES_MAX];
    let reply = Reply { id: [7; 16], command: [8; 32], time: ISSUED, outcome: Outcome::Interrupted };
    let len = reply.sign(&signer, &mut out).unwrap();
    assert!(SignedCommand::decode(&out[..len]).is_err());
}

#[test]
fn every_outcome_comes_back_as_it_was_signed() {
    let device = key(SignatureAlgorithm::Ed25519, "device");
    let output = json::encode(&json!({"rate": 3.5, "until": "noon", "on": true})).unwrap();
    let outcomes = [
        Outcome::Done(Data::NOTHING),
        Outcome::Done(Data::from_bytes(&output).unwrap()),
        Outcome::Refused { reason: Refusal::BadInput, text: "3.5 is above the maximum 2 EUR/h" },
        Outcome::Failed { text: "the drive is stuck" },
        Outcome::Interrupted,
    ];
    for outcome in outcomes {
        let reply = Reply { id: [7; 16], command: [8; 32], time: ISSUED, outcome };
        let mut out = [0; REPLY_BYTES_MAX];
        let len = reply.sign(&device, &mut out).unwrap();
        let read = SignedReply::decode(&out[..len]).unwrap();
        assert_eq!(read.verify(device.public_key()), Ok(reply));
        assert_eq!(read.verify(service().public_key()), Err(FormatError::Crypto));
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_at_a_character() {
    let device = service();
    let text = "ü".repeat(REPLY_TEXT_BYTES_MAX);
    let reply =
        Reply { id: [7; 16], command: [8; 32], time: ISSUED, outcome: Outcome::Failed { text: &text } };
    let mut out = [0; REPLY_BYTES_MAX];
    let len = reply.sign(&device, &mut out).unwrap();
    let read = SignedReply::decode(&out[..len]).unwrap().verify(device.public_key()).unwrap();
    assert_eq!(read.outcome, Outcome::Failed { text: &text[..REPLY_TEXT_BYTES_MAX] });
}

#[test]
fn the_largest_of_everything_fits() {
    let long = "x".repeat(63);
    let text = "y".repeat(DATA_BYTES_MAX - 3);
    let mut room = [0; DATA_BYTES_MAX];
    let input = Data::scalar(Scalar::Text(&text), &mut room).unwrap();
    let actor = "z".repeat(ACTOR_BYTES_MAX);
    let command = Command {
        tenant: long.parse().unwrap(),
        device: long.parse().unwrap(),
        action: long.parse().unwrap(),
        actor: &actor,
        ..command(input)
    };
    let part = vec![9; APPROVAL_BYTES_MAX / 4 - 3];
    let approval = Approval {
        credential_id: &part,
        authenticator_data: &part,
        client_data_json: &part,
        signature: &part,
    };
    let bytes = signed(&service(), &canonical(&command), Some(&approval));
    let read = SignedCommand::decode(&bytes).unwrap().verify(service().public_key()).unwrap();
    assert_eq!((read.command, read.approval), (command, Some(approval)));

    let more = vec![9; APPROVAL_BYTES_MAX / 4 - 2];
    let approval = Approval { signature: &more, ..approval };
    let sign = sign(&service(), &canonical(&command), None, Some(&approval), &mut [0; COMMAND_BYTES_MAX]);
    assert_eq!(sign, Err(FormatError::TooLarge));
    let actor = "z".repeat(ACTOR_BYTES_MAX + 1);
    let command = Command { actor: &actor, ..command };
    assert_eq!(command.encode(&mut [0; CANONICAL_BYTES_MAX]), Err(FormatError::TooLarge));

    let outcome = Outcome::Done(input);
    let reply = Reply { id: [7; 16], command: [8; 32], time: ISSUED, outcome };
    let mut out = [0; REPLY_BYTES_MAX];
    let len = reply.sign(&service(), &mut out).unwrap();
    assert_eq!(SignedReply::decode(&out[..len]).unwrap().claimed_unverified(), &reply);
}

#[test]
fn a_command_lives_a_week_at_most_and_more_than_no_time() {
    for (lifetime, is_good) in
        [(1, true), (LIFETIME_MAX_MICROS, true), (0, false), (-1, false), (LIFETIME_MAX_MICROS + 1, false)]
    {
        let command = Command { expires: ISSUED.plus_micros(lifetime), ..command(Data::NOTHING) };
        let encoded = command.encode(&mut [0; CANONICAL_BYTES_MAX]);
        assert_eq!(encoded.is_ok(), is_good, "{lifetime}");
    }
}

#[track_caller]
fn check(device: &str, tenant: &str, now: i64, mark: i64, want: Result<(), Refusal>) {
    let audience = Audience { tenant: &tenant.parse().unwrap(), device: &device.parse().unwrap() };
    let got = command(Data::NOTHING).check(&audience, ISSUED.plus_micros(now), ISSUED.plus_micros(mark));
    assert_eq!(got, want, "{device} of {tenant} at {now} after {mark}");
}

#[test]
fn a_command_counts_for_its_device_in_its_time_whatever_the_clock_was_set_to() {
    const LONG_AGO: i64 = -86_400_000_000;
    const LIFETIME: i64 = 60_000_000;
    check("meter-1", "acme", 0, LONG_AGO, Ok(()));
    check("meter-1", "acme", LIFETIME - 1, LONG_AGO, Ok(()));
    check("meter-1", "acme", -CLOCK_SKEW_MAX_MICROS, LONG_AGO, Ok(()));
    check("meter-1", "acme", LONG_AGO, -CLOCK_SKEW_MAX_MICROS, Ok(()));
    check("meter-2", "acme", 0, LONG_AGO, Err(Refusal::WrongAudience));
    check("meter-1", "other", 0, LONG_AGO, Err(Refusal::WrongAudience));
    check("meter-1", "acme", LIFETIME, LONG_AGO, Err(Refusal::Expired));
    check("meter-1", "acme", LONG_AGO, LIFETIME, Err(Refusal::Expired));
    check("meter-1", "acme", -CLOCK_SKEW_MAX_MICROS - 1, LONG_AGO, Err(Refusal::NotYetValid));
}

/// CBOR in hex, and the JSON that it stands for; `None` when it is no data.
#[track_caller]
fn check_data(hex: &str, want: Option<Json>) {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let got = Data::from_bytes(&bytes).ok().map(json::decode);
    assert_eq!(got, want, "{hex}");
    if let Some(value) = want {
        assert_eq!(json::encode(&value).unwrap(), bytes, "{hex}");
    }
}

#[test]
fn data_has_one_encoding() {
    check_data("f6", Some(json!(null)));
    check_data("f5", Some(json!(true)));
    check_data("00", Some(json!(0)));
    check_data("3903e7", Some(json!(-1000)));
    check_data("fa40600000", Some(json!(3.5)));
    check_data("fb3fb999999999999a", Some(json!(0.1)));
    check_data("626f6e", Some(json!("on")));
    check_data("a0", Some(json!({})));
    check_data("a2626f6ef4656c6576656c1832", Some(json!({"on": false, "level": 50})));
    for wrong in [
        "",
        "f7",
        "1800",
        "1b0000000000000001",
        "1b0020000000000000",
        "fa40400000",
        "fb400c000000000000",
        "fa80000000",
        "f93c00",
        "fa7fc00000",
        "fb7ff0000000000000",
        "4161",
        "80",
        "8101",
        "780161",
        "78016161",
        "7f6161ff",
        "bf6161f5ff",
        "b8016161f5",
        "a2656c6576656cf5626f6ef5",
        "a2626f6ef5626f6ef5",
        "a16161a0",
        "a16161f6",
        "a10101",
        "f6f6",
        "a16161",
        "c001",
    ] {
        check_data(wrong, None);
    }
}

#[test]
fn what_is_no_flat_data_is_not_encoded() {
    for value in [json!([1]), json!({"a": {"b": 1}}), json!({"a": [1]})] {
        assert_eq!(json::encode(&value), Err(FormatError::Malformed), "{value}");
    }
    for value in [json!("x".repeat(DATA_BYTES_MAX)), json!("x".repeat(5000)), json!({"x".repeat(64): 1})] {
        assert_eq!(json::encode(&value), Err(FormatError::TooLarge));
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("m{n}"), json!(n))).collect();
    assert_eq!(json::encode(&many.into()), Err(FormatError::TooLarge));
    assert_eq!(json::encode(&json!({"a": null, "b": 1})), json::encode(&json!({"b": 1})));
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        (-1e300..1e300).prop_map(|n: f64| Json::from(n)),
        "[a-zü]{0,20}".prop_map(Json::from),
    ]
}

fn data() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        scalar(),
        btree_map("[a-z-]{1,8}", scalar(), 0..8).prop_map(|m| Json::Object(m.into_iter().collect())),
    ]
}

/// JSON that tells no integer from a whole double, as data does not.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #[test]
    fn any_command_comes_back(
        value in data(),
        id in any::<[u8; 16]>(),
        action in "[a-z][a-z-]{0,40}",
        actor in "[a-z:ü]{0,60}",
        issued in -1_000_000_000_000_000_i64..4_000_000_000_000_000,
        lifetime in 1..=LIFETIME_MAX_MICROS,
        log in proptest::option::of(any::<u64>()),
        parts in proptest::option::of(vec(vec(any::<u8>(), 0..400), 4)),
    ) {
        let input = json::encode(&value).unwrap();
        let issued = Timestamp::from_micros(issued);
        let command = Command {
            id, action: action.parse().unwrap(), issued, actor: &actor,
            expires: issued.plus_micros(lifetime), ..command(Data::from_bytes(&input).unwrap())
        };
        let approval = parts.as_ref().map(|p| Approval {
            credential_id: &p[0], authenticator_data: &p[1], client_data_json: &p[2], signature: &p[3],
        });
        let canonical = canonical(&command);
        let mut out = [0; COMMAND_BYTES_MAX];
        let len = sign(&service(), &canonical, log, approval.as_ref(), &mut out).unwrap();
        let read = SignedCommand::decode(&out[..len]).unwrap().verify(service().public_key()).unwrap();
        prop_assert_eq!(read.command, command);
        prop_assert_eq!((read.log, read.approval), (log, approval));
        prop_assert_eq!(digest(read.canonical), sha256(&[&canonical]));
        prop_assert!(same(&json::decode(read.command.input), &value));
    }

    #[test]
    fn any_reply_comes_back(
        value in data(),
        id in any::<[u8; 16]>(),
        command in any::<[u8; 32]>(),
        time in any::<i64>(),
        text in "[a-zü ]{0,100}",
        which in 0..4_u8,
    ) {
        let output = json::encode(&value).unwrap();
        let outcome = match which {
            0 => Outcome::Done(Data::from_bytes(&output).unwrap()),
            1 => Outcome::Refused { reason: Refusal::BadInput, text: &text },
            2 => Outcome::Failed { text: &text },
            _ => Outcome::Interrupted,
        };
        let reply = Reply { id, command, time: Timestamp::from_micros(time), outcome };
        let mut out = [0; REPLY_BYTES_MAX];
        let len = reply.sign(&service(), &mut out).unwrap();
        let read = SignedReply::decode(&out[..len]).unwrap().verify(service().public_key()).unwrap();
        prop_assert_eq!(read, reply);
    }

    #[test]
    fn whatever_is_data_is_written_the_same_way(bytes in vec(any::<u8>(), 0..40)) {
        if let Ok(data) = Data::from_bytes(&bytes) {
            prop_assert_eq!(json::encode(&json::decode(data)).unwrap(), bytes);
        }
    }
}
