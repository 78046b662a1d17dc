use std::path::Path;
use std::vec::Vec;

use serde_json::Value;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

use super::initiator::Plaintext2;
use super::*;

mod signed;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// A file of vectors; `None`, with a note, where there is no folder of them beside the repository.
fn vectors(file: &str) -> Option<Value> {
    let mut paths = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|dir| dir.join("shared/vectors/edhoc").join(file));
    let Some(path) = paths.find(|path| path.exists()) else {
        std::println!("skipped: the shared vectors are absent");
        return None;
    };
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// The value in a step of the trace whose name has all of these words.
fn value(trace: &Value, step: &str, words: &[&str]) -> Vec<u8> {
    let steps = trace["steps"].as_array().unwrap();
    let items = steps.iter().find(|s| s["step"] == step).unwrap()["items"].as_array().unwrap();
    // With a blank before, so that a word can say that it is the first.
    let named = |item: &&Value| {
        let name = std::format!(" {}", item["name"].as_str().unwrap());
        words.iter().all(|word| name.contains(word))
    };
    unhex(items.iter().find(named).unwrap()["hex"].as_str().unwrap())
}

fn key(bytes: &[u8]) -> DhKey {
    DhKey::new(bytes.try_into().unwrap()).unwrap()
}

fn id(bytes: &[u8]) -> Identifier {
    Identifier::new(bytes).unwrap()
}

/// Static keys on P-256.
const STATIC: (Method, Suite) = (Method::StaticStatic, Suite::Two);

/// As endpoints here take it.
fn read(message_1: &[u8]) -> Result<Message1, EdhocError> {
    Message1::read(message_1, |_| Suites::P256)
}

/// Somebody with a static key.
fn somebody(kid: u8, secret: u8) -> (DhKey, Credential) {
    let key = key(&[secret; 32]);
    let credential = Credential {
        id: CredentialId::Kid(id(&[kid])),
        key: PublicKey::p256(key.public()),
        bytes: [0x41, secret].to_vec(),
    };
    (key, credential)
}

fn begun() -> Initiator {
    Initiator::start(STATIC, key(&[3; 32]), id(&[0x37]), &[])
}

fn answered(message_1: &[u8]) -> Result<Responder, EdhocError> {
    let (static_key, credential) = somebody(0x32, 5);
    Responder::answer(&read(message_1)?, key(&[4; 32]), id(&[0x27]), OwnKey::Static(&static_key), &credential)
}

#[test]
fn the_standards_trace_is_met_by_both_ends() {
    let Some(trace) = vectors("rfc9529_trace2_static_dh_p256.json") else { return };
    let (one, two, three) = ("message_1 (second time)", "message_2", "message_3");
    let credential = |step, who: &str, name: &str, kid| Credential {
        id: CredentialId::Kid(id(&[kid])),
        key: PublicKey::p256(
            value(&trace, step, &[who, "public authentication key", "'x'"]).try_into().unwrap(),
        ),
        bytes: value(&trace, step, &[name]),
    };
    let responder = credential(two, "Responder's", " CRED_R (", 0x32);
    let initiator = credential(three, "Initiator's", " CRED_I (", 0x2b);
    let private = |step, words: &[&str]| key(&value(&trace, step, words));

    let begun = Initiator::start(STATIC, private(one, &["ephemeral private key"]), id(&[0x37]), &[6]);
    assert_eq!(begun.message_1(), value(&trace, one, &["message_1 ("]));
    let sk_r = private(two, &["private authentication key"]);
    let y = private(two, &["ephemeral private key"]);
    let message_1 = read(begun.message_1()).unwrap();
    let answer = Responder::answer(&message_1, y, id(&[0x27]), OwnKey::Static(&sk_r), &responder).unwrap();
    assert_eq!(answer.message_2(), value(&trace, two, &["message_2 ("]));
    let named = begun.read(answer.message_2()).unwrap();
    assert_eq!(named.id(), &responder.id);
    let sk_i = private(three, &["private authentication key"]);
    let (message_3, ours) = named.finish(&responder, OwnKey::Static(&sk_i), &initiator).unwrap();
    assert_eq!(message_3, value(&trace, three, &["message_3 ("]));
    let named = answer.read(&message_3).unwrap();
    assert_eq!(named.id(), &initiator.id);
    let theirs = named.finish(&initiator).unwrap();
    let message_4 = theirs.message_4().unwrap();
    assert_eq!(message_4, value(&trace, "message_4", &[" message_4 ("]));
    ours.check_message_4(&message_4).unwrap();
    assert_eq!(ours.check_message_4(&[&[0x48][..], &[0; 8]].concat()), Err(EdhocError::NotAuthentic));
    for session in [ours, theirs] {
        let (secret, salt) = session.oscore().unwrap();
        let parameters = "OSCORE Parameters";
        assert_eq!(secret.expose(), value(&trace, parameters, &["OSCORE Master Secret (Raw"]));
        assert_eq!(salt[..], value(&trace, parameters, &["OSCORE Master Salt (Raw"]));
        assert_eq!(session.responder().as_bytes(), value(&trace, parameters, &["Client's OSCORE Sender ID"]));
        assert_eq!(session.initiator().as_bytes(), value(&trace, parameters, &["Server's OSCORE Sender ID"]));
    }
    let first = value(&trace, "message_1 (first time)", &["message_1 ("]);
    // Its responder takes suite 2 alone.
    let refused = Message1::read(&first, |_| Suites::TWO).unwrap_err();
    assert_eq!(refused, EdhocError::Suite(Suites::TWO));
    assert_eq!(refused.message(), value(&trace, "error", &["error ("]));
}

/// As far as it depends on message 1 alone.
fn answered_in_any_suite(message_1: &[u8]) -> Result<(), EdhocError> {
    let of = |suites: Suites| Message1::read(message_1, |_| suites);
    let message = of(Suites::P256).or_else(|_| of(Suites::CURVE25519))?;
    DhKey::ephemeral(message.suite().curve(), |bytes| bytes.fill(4)).agree(&message.g_x).map(drop)
}

#[test]
fn invalid_messages_are_refused() {
    let Some(file) = vectors("rfc9529_invalid.json") else { return };
    for case in file["cases"].as_array().unwrap() {
        let (name, bytes) = (case["description"].as_str().unwrap(), unhex(case["hex"].as_str().unwrap()));
        let refused = if name.contains("Invalid message_1") {
            // In every suite: what is wrong with some of them is a matter of the curve.
            answered_in_any_suite(&bytes).is_err()
        } else if name.contains("Invalid message_2") {
            begun().read(&bytes).is_err()
        } else {
            Plaintext2::read(&bytes).is_err()
        };
        assert!(refused, "{name}");
    }
}

#[test]
fn nobody_is_taken_for_somebody_else_and_no_message_for_another() {
    let (static_key, own) = somebody(0x2b, 6);
    let (_, peer) = somebody(0x32, 5);
    let (_, stranger) = somebody(0x32, 7);
    let answer = || answered(begun().message_1()).unwrap();
    let good = answer().message_2().to_vec();
    let finished = |message: &[u8], peer: &Credential| {
        begun().read(message).and_then(|named| named.finish(peer, OwnKey::Static(&static_key), &own))
    };
    assert_eq!(finished(&good, &stranger).err(), Some(EdhocError::NotAuthentic));
    let (message_3, _) = finished(&good, &peer).unwrap();
    assert_eq!(answer().read(&message_3).unwrap().finish(&stranger).err(), Some(EdhocError::NotAuthentic));
    assert!(answer().read(&message_3).unwrap().finish(&own).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(finished(&bad, &peer).is_err(), "byte {at} of message 2");
        assert!(finished(&good[..at], &peer).is_err(), "message 2 cut to {at}");
    }
    for at in 0..message_3.len() {
        let mut bad = message_3.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(answer().read(&bad).is_err(), "byte {at} of message 3");
        assert!(answer().read(&message_3[..at]).is_err(), "message 3 cut to {at}");
    }
    assert!(finished(&[&good[..], &[0]].concat(), &peer).is_err());
    assert!(answer().read(&[&message_3[..], &[0]].concat()).is_err());
}

#[test]
fn a_suite_for_private_use_is_another_suite() {
    let good = begun().message_1().to_vec();
    let with = |suites: &[u8]| answered(&[&good[..1], suites, &good[2..]].concat()).err();
    assert_eq!(with(&[0x20]), Some(EdhocError::Suite(Suites::P256)));
    assert_eq!(with(&[0x38, 24]), Some(EdhocError::Suite(Suites::P256)));
    assert_eq!(with(&[0x82, 2, 0x20]), Some(EdhocError::Suite(Suites::P256)));
    assert_eq!(with(&[0x82, 0x38, 24, 2]), None);
    // One that is preferred and taken would have been selected.
    assert_eq!(with(&[0x82, 3, 2]), Some(EdhocError::Suite(Suites::P256)));
    assert_eq!(EdhocError::Suite(Suites::P256).message(), [2, 0x82, 2, 3]);
    assert_eq!(with(&[0x38, 23]), Some(EdhocError::Malformed));
}

#[test]
fn the_ends_of_a_session_do_not_have_the_same_identifier() {
    let mut message_2 = answered(begun().message_1()).unwrap().message_2().to_vec();
    // C_R is the first byte behind the head and G_Y, and its encryption is an exclusive or.
    message_2[2 + 32] ^= 0x27 ^ 0x37;
    assert_eq!(begun().read(&message_2).err(), Some(EdhocError::Malformed));
}

#[test]
fn credentials_by_value_are_met_by_both_ends_and_bind_the_same_bytes() {
    let (ours, theirs) = (key(&[6; 32]), key(&[5; 32]));
    let (own, gateway) = (
        Credential::claims_set("thing", &ours).unwrap(),
        Credential::claims_set("gateway", &theirs).unwrap(),
    );
    assert_eq!(Credential::from_claims_set(&own.bytes), Ok(own.clone()));
    let begun = begun();
    let message_1 = read(begun.message_1()).unwrap();
    let (y, r) = (key(&[4; 32]), OwnKey::Static(&theirs));
    let answer = Responder::answer(&message_1, y, id(&[0x27]), r, &gateway).unwrap();
    let named = begun.read(answer.message_2()).unwrap();
    assert_eq!(named.id(), &CredentialId::Value(gateway.bytes.clone()));
    let (message_3, one) = named.finish(&gateway, OwnKey::Static(&ours), &own).unwrap();
    let initiating = answer.read(&message_3).unwrap();
    let CredentialId::Value(claims) = initiating.id().clone() else { panic!("a kid") };
    let other = initiating.finish(&Credential::from_claims_set(&claims).unwrap()).unwrap();
    assert_eq!(one.export(0x8000), other.export(0x8000));
    assert_ne!(one.export(0x8000), one.export(0x8001));
}

#[test]
fn a_claims_set_that_is_none_is_refused() {
    let good = Credential::claims_set("thing", &key(&[6; 32])).unwrap().bytes;
    for at in 0..good.len() {
        assert!(Credential::from_claims_set(&good[..at]).is_err(), "cut to {at}");
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // Another name, or another point: both are somebody else. All else is nobody.
            if let Ok(other) = Credential::from_claims_set(&bad) {
                assert_eq!(other.bytes, bad);
            }
        }
    }
    assert!(Credential::from_claims_set(&[&good[..], &[0]].concat()).is_err());
    assert!(Credential::from_claims_set(&[0xa1, 8, 0xa1, 1, 0xa0]).is_err());
}
