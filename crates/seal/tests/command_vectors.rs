//! The vectors in `docs/wire/vectors/commands.json`: made by this code, read back from the file, and checked against
//! `coset`, which shares no code with us.
//!
//! Set `THINGWARD_WRITE_VECTORS=1` to write the file anew. A changed byte is a changed wire format.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::path::PathBuf;

use coset::{CoseSign1, TaggedCborSerializable};
use serde_json::{Value as Json, json};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey, sha256};
use thingward_model::Timestamp;
use thingward_seal::command::{
    Approval, CANONICAL_BYTES_MAX, COMMAND_BYTES_MAX, Command, Data, Outcome, REPLY_BYTES_MAX, Refusal,
    Reply, SignedCommand, SignedReply, digest, json as data, sign,
};

const ISSUED: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ID: [u8; 16] = [0x11; 16];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(value: &Json) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/vectors/commands.json")
}

fn from_file() -> Json {
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
}

fn key(algorithm: SignatureAlgorithm, who: &str) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &sha256(&[who.as_bytes()])).unwrap()
}

fn signer(key: &SoftwareKey, who: &str) -> Json {
    let algorithm = key.public_key().algorithm();
    json!({
        "cose": algorithm.cose_id(),
        "seed": hex(&sha256(&[who.as_bytes()])),
        "spki": hex(&key.public_key().to_spki()),
        "key_id": hex(&key.public_key().id()),
    })
}

fn to_be_signed(bytes: &[u8], context: &[u8]) -> String {
    hex(&CoseSign1::from_tagged_slice(bytes).unwrap().tbs_data(context))
}

fn commands(algorithm: SignatureAlgorithm) -> Vec<Json> {
    let who = "vector command key";
    let key = key(algorithm, who);
    let approval = Approval {
        credential_id: &[0x22; 16],
        authenticator_data: &[0x33; 37],
        client_data_json: b"{}",
        signature: &[0x44; 70],
    };
    let cases = [
        ("no input", json!(null), None, None),
        ("a truth", json!(true), None, Some(0)),
        ("a whole number", json!(-1000), None, Some(41)),
        ("a single", json!(3.5), None, None),
        ("a double", json!(0.1), None, None),
        ("a text", json!("grün"), None, None),
        ("a map", json!({"until": "noon", "on": false, "level": 40}), None, None),
        ("with an approval", json!(12.5), Some(approval), Some(1_000_000)),
    ];
    let make = |(name, input, approval, log): (&str, Json, Option<Approval<'_>>, Option<u64>)| {
        let encoded = data::encode(&input).unwrap();
        let command = Command {
            tenant: "acme".parse().unwrap(),
            device: "pump-1".parse().unwrap(),
            id: ID,
            action: "set-rate".parse().unwrap(),
            input: Data::from_bytes(&encoded).unwrap(),
            issued: ISSUED,
            expires: ISSUED.plus_micros(60_000_001),
            actor: "user:01h",
        };
        let mut canonical = [0; CANONICAL_BYTES_MAX];
        let len = command.encode(&mut canonical).unwrap();
        let canonical = &canonical[..len];
        let mut out = [0; COMMAND_BYTES_MAX];
        let len = sign(&key, canonical, log, approval.as_ref(), &mut out).unwrap();
        json!({
            "name": name,
            "signer": signer(&key, who),
            "tenant": "acme", "device": "pump-1", "id": hex(&ID), "action": "set-rate", "actor": "user:01h",
            "issued_micros": command.issued.as_micros(), "expires_micros": command.expires.as_micros(),
            "input": input, "input_bytes": hex(&encoded), "log": log,
            "approval": approval.map(|a| json!({
                "credential_id": hex(a.credential_id), "authenticator_data": hex(a.authenticator_data),
                "client_data_json": hex(a.client_data_json), "signature": hex(a.signature),
            })),
            "canonical": hex(canonical), "digest": hex(&digest(canonical)),
            "to_be_signed": to_be_signed(&out[..len], b"thingward command"),
            "bytes": hex(&out[..len]),
        })
    };
    cases.into_iter().map(make).collect()
}

const REFUSALS: [Refusal; 12] = [
    Refusal::Malformed,
    Refusal::UnknownVersion,
    Refusal::WrongSigner,
    Refusal::NoCommandKey,
    Refusal::WrongAudience,
    Refusal::Expired,
    Refusal::NotYetValid,
    Refusal::IdReused,
    Refusal::UnknownAction,
    Refusal::BadInput,
    Refusal::ApprovalMissing,
    Refusal::ApprovalInvalid,
];

fn replies(algorithm: SignatureAlgorithm) -> Vec<Json> {
    let who = "vector device key";
    let key = key(algorithm, who);
    let output = data::encode(&json!({"rate": 12.5})).unwrap();
    let mut cases = vec![
        Outcome::Done(Data::NOTHING),
        Outcome::Done(Data::from_bytes(&output).unwrap()),
        Outcome::Failed { text: "the drive is stuck" },
        Outcome::Interrupted,
    ];
    cases.extend(REFUSALS.map(|reason| Outcome::Refused { reason, text: "what would be right" }));
    let make = |outcome: Outcome<'_>| {
        let reply = Reply { id: ID, command: sha256(&[b"a command"]), time: ISSUED, outcome };
        let mut out = [0; REPLY_BYTES_MAX];
        let len = reply.sign(&key, &mut out).unwrap();
        let mut vector = json!({
            "signer": signer(&key, who),
            "id": hex(&ID), "digest": hex(&reply.command), "time_micros": ISSUED.as_micros(),
            "outcome": outcome.as_str(),
            "to_be_signed": to_be_signed(&out[..len], b"thingward reply"),
            "bytes": hex(&out[..len]),
        });
        match outcome {
            Outcome::Done(output) => vector["output"] = data::decode(output),
            Outcome::Refused { reason, text } => {
                (vector["reason"], vector["text"]) = (reason.as_str().into(), text.into());
            }
            Outcome::Failed { text } => vector["text"] = text.into(),
            Outcome::Interrupted => {}
        }
        vector
    };
    cases.into_iter().map(make).collect()
}

fn made() -> Json {
    let both = [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519];
    json!({
        "version": 1,
        "commands": both.into_iter().flat_map(commands).collect::<Vec<_>>(),
        "replies": both.into_iter().flat_map(replies).collect::<Vec<_>>(),
    })
}

#[test]
fn the_committed_vectors_are_what_this_code_makes() {
    let made = made();
    if std::env::var_os("THINGWARD_WRITE_VECTORS").is_some() {
        std::fs::write(path(), serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(from_file(), made);
}

/// The payload as `coset` reads it, once it has checked the signature.
#[track_caller]
fn checked(vector: &Json, context: &[u8]) -> (Vec<u8>, VerifyingKey) {
    let bytes = unhex(&vector["bytes"]);
    let key = VerifyingKey::from_spki(&unhex(&vector["signer"]["spki"])).unwrap();
    let signed = CoseSign1::from_tagged_slice(&bytes).unwrap();
    assert_eq!(signed.unprotected.key_id, unhex(&vector["signer"]["key_id"]));
    assert_eq!(signed.tbs_data(context), unhex(&vector["to_be_signed"]));
    let verify = |signature: &[u8], data: &[u8]| key.verify(data, signature.try_into().unwrap());
    signed.verify_signature(context, verify).unwrap();
    assert!(signed.verify_signature(b"", verify).is_err(), "the context is part of what is signed");
    (bytes, key)
}

#[test]
fn from_the_files_bytes_every_command_verifies_and_says_what_the_file_says() {
    for vector in from_file()["commands"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (bytes, key) = checked(vector, b"thingward command");
        let verified = SignedCommand::decode(&bytes).unwrap().verify(&key).unwrap();
        let command = &verified.command;
        assert_eq!(verified.canonical, unhex(&vector["canonical"]), "{name}");
        assert_eq!(digest(verified.canonical).to_vec(), unhex(&vector["digest"]), "{name}");
        assert_eq!(json!(verified.log), vector["log"], "{name}");
        assert_eq!(data::decode(command.input), vector["input"], "{name}");
        assert_eq!(command.input.as_bytes(), unhex(&vector["input_bytes"]), "{name}");
        assert_eq!(
            json!([command.action.as_str(), command.actor]),
            json!([vector["action"], vector["actor"]])
        );
        assert_eq!(json!(command.issued.as_micros()), vector["issued_micros"], "{name}");
        assert_eq!(json!(command.expires.as_micros()), vector["expires_micros"], "{name}");
        assert_eq!(verified.approval.is_some(), !vector["approval"].is_null(), "{name}");
        if let Some(approval) = verified.approval {
            assert_eq!(approval.signature, unhex(&vector["approval"]["signature"]), "{name}");
        }
    }
}

#[test]
fn from_the_files_bytes_every_reply_verifies_and_says_what_the_file_says() {
    for vector in from_file()["replies"].as_array().unwrap() {
        let (bytes, key) = checked(vector, b"thingward reply");
        let reply = SignedReply::decode(&bytes).unwrap().verify(&key).unwrap();
        assert_eq!(json!([hex(&reply.id), hex(&reply.command)]), json!([vector["id"], vector["digest"]]));
        assert_eq!(json!(reply.time.as_micros()), vector["time_micros"]);
        assert_eq!(vector["outcome"], reply.outcome.as_str());
        match reply.outcome {
            Outcome::Done(output) => assert_eq!(vector["output"], data::decode(output)),
            Outcome::Refused { reason, text } => {
                assert_eq!(json!([reason.as_str(), text]), json!([vector["reason"], vector["text"]]));
            }
            Outcome::Failed { text } => assert_eq!(vector["text"], text),
            Outcome::Interrupted => {}
        }
    }
}
