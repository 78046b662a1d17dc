//! The vectors in `docs/wire/vectors/grants.json`: made by this code and read back from the file. `second_opinion` has
//! another library look at them.
//!
//! Set `THINGWARD_WRITE_VECTORS=1` to write the file anew. A changed byte is a changed wire format.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use thingward_crypto::{Signer, VerifyingKey, sha256};
use thingward_grant::{
    Audience, Beacon, Bound, Grant, IssuerKey, Operation, Origin, Presentation, Profile, Reference,
    Revocation, SharedKey, SignedBeacon, SignedRevocation, Terms, TrustedKey, Value, public,
};
use thingward_model::Timestamp;

use crate::common::*;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn unhex(value: &Json) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/vectors/grants.json")
}

pub(crate) fn from_file() -> Json {
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
}

fn keys() -> Json {
    let of = |who: &str| {
        let key = key(who).public_key();
        json!({"seed": hex(&sha256(&[who.as_bytes()])), "spki": hex(&key.to_spki()), "key_id": hex(&key.id())})
    };
    json!({
        "issuer": of("issuer"), "anna": of("anna"), "ben": of("ben"), "cem": of("cem"),
        "shared": {"key": hex(&sha256(&[b"issuer and meter"])), "key_id": hex(&shared_key().id())},
    })
}

fn word(audience: &Audience<'_>) -> String {
    match audience {
        Audience::Device(name) => format!("device/{name}"),
        Audience::Class(name) => format!("class/{name}"),
    }
}

fn said(terms: &Terms<'_>) -> Json {
    json!({
        "audience": terms.audience.as_ref().map(word),
        "expires": terms.expires.map(Timestamp::as_seconds),
        "not_before": terms.not_before.map(Timestamp::as_seconds),
        "uses": terms.uses,
        "scope": terms.scope.map(|scope| hex(scope.as_bytes())),
    })
}

/// Everything about a chain of grants and what its last holder shows.
fn vector(
    name: &str,
    is_public: bool,
    origin: &Origin<'_>,
    terms: &[Terms<'_>],
    asked: &Operation<'_>,
) -> Json {
    let mut held =
        if is_public { Held::public(origin, &terms[0], "anna") } else { Held::symmetric(origin, &terms[0]) };
    let mut secrets = vec![secret(&held)];
    for (terms, next) in terms[1..].iter().zip(["ben", "cem"]) {
        held = held.narrow(terms, next).unwrap();
        secrets.push(secret(&held));
    }
    let reference = origin.reference.map(|reference| match reference {
        Reference::Payment(text) => json!(["payment", text]),
        Reference::Reason(text) => json!(["reason", text]),
    });
    json!({
        "name": name,
        "profile": if is_public { "public" } else { "symmetric" },
        "issuer": origin.issuer.as_str(), "id": hex(&origin.id), "epoch": origin.epoch, "reference": reference,
        "blocks": terms.iter().map(said).collect::<Vec<_>>(),
        "secrets": secrets,
        "device": "meter-12", "nonce": hex(&NONCE), "operation": hex(asked.as_bytes()),
        "grant": hex(&held.bytes),
        "presentation": hex(&held.present("meter-12", &NONCE, asked)),
    })
}

/// The secret of a symmetric grant's holder.
fn secret(held: &Held) -> Option<String> {
    match &held.holder {
        Holder::Public(_) => None,
        Holder::Symmetric(secret) => Some(hex(secret.expose())),
    }
}

fn grants() -> Vec<Json> {
    let zones = [Value::Text("a"), Value::Text("b")];
    let every_bound = scope(&[
        ("reserve", &[("minutes", between(-5, 120)), ("z", Bound::OneOf(&zones))]),
        (
            "open",
            &[("door", Bound::Exactly(Value::Integer(3))), ("slowly", Bound::Exactly(Value::Bool(true)))],
        ),
        ("light", &[("", Bound::Range { at_least: Some(1), at_most: None })]),
        ("release", &[]),
    ]);
    let class = Terms {
        audience: Some(Audience::Class(named("parking-meters"))),
        expires: None,
        not_before: None,
        uses: Some(u32::MAX),
        scope: Some(every_bound),
    };
    let plain = Origin { epoch: 0, reference: None, ..origin() };
    let repair = Origin { reference: Some(Reference::Reason("repair")), epoch: u32::MAX, ..origin() };
    let here = Terms { audience: terms().audience, uses: Some(2), scope: None, ..narrower() };
    let open = operation("open", &[("slowly", Value::Bool(true)), ("door", Value::Integer(3))]);
    let mut vectors = Vec::new();
    for is_public in [true, false] {
        vectors.push(vector("a usual grant", is_public, &origin(), &[terms()], &reserve(120)));
        vectors.push(vector(
            "a usual grant, narrowed",
            is_public,
            &origin(),
            &[terms(), narrower()],
            &reserve(30),
        ));
        vectors.push(vector(
            "every kind of bound, for a class, without times",
            is_public,
            &repair,
            &[class],
            &open,
        ));
        vectors.push(vector(
            "narrowed twice, once by nothing",
            is_public,
            &plain,
            &[class, Terms::default(), here],
            &operation("release", &[]),
        ));
    }
    vectors
}

fn statements() -> Vec<Json> {
    let shared = shared_key();
    let issuer = named("stadtwerke");
    let mut vectors = Vec::new();
    for (profile, signer) in
        [("public", IssuerKey::Public(key("issuer"))), ("symmetric", IssuerKey::Symmetric(&shared))]
    {
        let mut out = [0; 700];
        for answers in [None, Some(NONCE)] {
            let len = Beacon { issuer, time: NOW, answers }.sign(signer, &mut out).unwrap();
            vectors.push(json!({
                "kind": "beacon", "profile": profile, "issuer": issuer.as_str(), "time": NOW.as_seconds(),
                "answers": answers.map(|nonce| hex(&nonce)), "bytes": hex(&out[..len]),
            }));
        }
        let class = Audience::Class(named("parking-meters"));
        let device = Audience::Device(named("meter-12"));
        for (audience, ids) in [(class, &[][..]), (device, &[[1; 8], ID])] {
            let len = Revocation { issuer, audience, epoch: 7, ids }.sign(signer, &mut out).unwrap();
            vectors.push(json!({
                "kind": "revocation", "profile": profile, "issuer": issuer.as_str(), "epoch": 7,
                "audience": word(&audience),
                "ids": ids.iter().map(|id| hex(id)).collect::<Vec<_>>(), "bytes": hex(&out[..len]),
            }));
        }
    }
    vectors
}

fn made() -> Json {
    json!({"version": 1, "keys": keys(), "grants": grants(), "statements": statements()})
}

#[test]
fn the_committed_vectors_are_what_this_code_makes() {
    let made = made();
    if std::env::var_os("THINGWARD_WRITE_VECTORS").is_some() {
        std::fs::write(path(), serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(from_file(), made);
}

#[test]
fn from_the_files_bytes_every_grant_and_statement_says_what_the_file_says() {
    let file = from_file();
    let issuer = VerifyingKey::from_spki(&unhex(&file["keys"]["issuer"]["spki"])).unwrap();
    let shared = SharedKey::new(&unhex(&file["keys"]["shared"]["key"]).try_into().unwrap());
    for vector in file["grants"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (grant, shown) = (unhex(&vector["grant"]), unhex(&vector["presentation"]));
        let grant = Grant::decode(&grant).unwrap();
        let blocks: Vec<Json> = grant.terms_unverified().map(|terms| said(&terms.unwrap())).collect();
        assert_eq!(json!(blocks), vector["blocks"], "{name}");
        let origin = grant.origin_unverified();
        assert_eq!(
            json!([origin.issuer.as_str(), hex(&origin.id), origin.epoch]),
            json!([vector["issuer"], vector["id"], vector["epoch"]])
        );
        if grant.profile() == Profile::Public {
            public::verify(&grant, &issuer).unwrap();
        }
        assert_eq!(Presentation::decode(&shown).unwrap().grant(), &grant);
        let mut meter = Meter::default();
        for standing in [&mut meter.standing, &mut meter.classes[0].1] {
            *standing = thingward_grant::Standing::default();
        }
        let permitted = meter.decide(&shown).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(permitted.operation.as_bytes(), unhex(&vector["operation"]), "{name}");
    }
    for vector in file["statements"].as_array().unwrap() {
        let bytes = unhex(&vector["bytes"]);
        let (tenant, key) = match vector["profile"].as_str() {
            Some("public") => (named("stadtwerke"), TrustedKey::Public(&issuer)),
            _ => (named("stadtwerke"), TrustedKey::Symmetric(&shared)),
        };
        if vector["kind"] == "beacon" {
            let beacon = SignedBeacon::decode(&bytes).unwrap().verify(&key, tenant).unwrap();
            assert_eq!(json!(beacon.time.as_seconds()), vector["time"]);
            assert_eq!(json!(beacon.answers.map(|nonce| hex(&nonce))), vector["answers"]);
        } else {
            let revocation = SignedRevocation::decode(&bytes).unwrap().verify(&key, tenant).unwrap();
            assert_eq!(json!(revocation.ids.iter().map(|id| hex(id)).collect::<Vec<_>>()), vector["ids"]);
            assert_eq!(json!(revocation.epoch), vector["epoch"]);
            assert_eq!(json!(word(&revocation.audience)), vector["audience"]);
        }
    }
}
