//! `coset`, which shares no code with us, reads the vectors, and finds their structure, claims, signatures and tags good.

use coset::cbor::Value as Cbor;
use coset::cwt::{ClaimName, ClaimsSet, Timestamp as CwtTime};
use coset::{
    CborSerializable, CoseMac0, CoseSign1, MacContext, TaggedCborSerializable, iana, mac_structure_data,
};
use serde_json::{Value as Json, json};
use thingward_crypto::{CryptoError, MacKey, VerifyingKey, sha256};

use crate::vectors::{from_file, hex, unhex};

/// The items of a CBOR sequence.
fn items(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let mut rest = bytes;
        let _: Cbor = coset::cbor::from_reader(&mut rest).unwrap();
        items.push(bytes[..bytes.len() - rest.len()].to_vec());
        bytes = rest;
    }
    items
}

/// The claims as `coset` reads them, compared with the file.
fn check_claims(payload: &[u8], vector: &Json, at: usize) -> ClaimsSet {
    let claims = ClaimsSet::from_slice(payload).unwrap();
    let block = &vector["blocks"][at];
    let seconds = |time: &Option<CwtTime>| match time {
        Some(CwtTime::WholeSeconds(seconds)) => json!(seconds),
        Some(CwtTime::FractionalSeconds(_)) => panic!("a fraction"),
        None => Json::Null,
    };
    assert_eq!(json!(claims.audience), block["audience"]);
    assert_eq!(seconds(&claims.expiration_time), block["expires"]);
    assert_eq!(seconds(&claims.not_before), block["not_before"]);
    let rest = |name: ClaimName| claims.rest.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
    let scope = rest(ClaimName::Assigned(iana::CwtClaimName::Scope));
    assert_eq!(json!(scope.map(|scope| hex(scope.as_bytes().unwrap()))), block["scope"]);
    let uses =
        rest(ClaimName::PrivateUse(-65_538)).map(|uses| u32::try_from(uses.as_integer().unwrap()).unwrap());
    assert_eq!(json!(uses), block["uses"]);
    if at == 0 {
        assert_eq!(json!(claims.issuer), vector["issuer"]);
        assert_eq!(json!(claims.cwt_id.as_ref().map(|id| hex(id))), vector["id"]);
    }
    claims
}

/// The Ed25519 key in the `cnf` claim: RFC 8747 §3.2.
fn confirmed(claims: &ClaimsSet) -> VerifyingKey {
    let cnf = claims.rest.iter().find(|(n, _)| *n == ClaimName::Assigned(iana::CwtClaimName::Cnf)).unwrap();
    let key = cnf.1.as_map().unwrap()[0].1.clone();
    let key = <coset::CoseKey as coset::AsCborValue>::from_cbor_value(key).unwrap();
    assert_eq!(key.kty, coset::KeyType::Assigned(iana::KeyType::OKP));
    let x =
        key.params.iter().find(|(label, _)| *label == coset::Label::Int(-2)).unwrap().1.as_bytes().unwrap();
    VerifyingKey::from_ed25519(x.as_slice().try_into().unwrap()).unwrap()
}

#[test]
fn coset_reads_public_grants_and_checks_every_signature() {
    let file = from_file();
    let issuer = VerifyingKey::from_spki(&unhex(&file["keys"]["issuer"]["spki"])).unwrap();
    let mut checked = 0;
    for vector in file["grants"].as_array().unwrap().iter().filter(|v| v["profile"] == "public") {
        let (mut key, mut hash) = (issuer.clone(), Vec::new());
        let items = items(&unhex(&vector["presentation"]));
        for (at, item) in items.iter().enumerate() {
            let is_proof = at == items.len() - 1;
            let signed = if at == 0 || is_proof {
                CoseSign1::from_tagged_slice(item).unwrap()
            } else {
                CoseSign1::from_slice(item).unwrap()
            };
            let label = match at {
                0 => "thingward grant",
                _ if is_proof => "thingward use",
                _ => "thingward narrowing",
            };
            let verify = |signature: &[u8], data: &[u8]| key.verify(data, signature.try_into().unwrap());
            let context = [label.as_bytes(), &hash].concat();
            signed.verify_signature(&context, verify).unwrap();
            assert!(signed.verify_signature(b"", verify).is_err(), "the context is part of what is signed");
            let expected = if at == 0 { issuer.id().to_vec() } else { Vec::new() };
            assert_eq!(signed.unprotected.key_id, expected);
            if !is_proof {
                key = confirmed(&check_claims(signed.payload.as_ref().unwrap(), vector, at));
                hash = sha256(&[&hash, item]).to_vec();
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 2 + 3 + 2 + 4);
}

#[test]
fn coset_reads_symmetric_grants_and_comes_to_the_same_secrets_and_proofs() {
    let file = from_file();
    for vector in file["grants"].as_array().unwrap().iter().filter(|v| v["profile"] == "symmetric") {
        let mut secret = unhex(&file["keys"]["shared"]["key"]);
        let mut items = items(&unhex(&vector["presentation"]));
        let proof = CoseMac0::from_tagged_slice(&items.pop().unwrap()).unwrap();
        for (at, item) in items.iter().enumerate() {
            // With the tag in its place a block is a COSE_Mac0; any will do to read the rest.
            let mut with_tag = item.clone();
            with_tag[0] = 0x84;
            with_tag.push(0x40);
            let block = CoseMac0::from_slice(&with_tag).unwrap();
            let payload = block.payload.unwrap();
            check_claims(&payload, vector, at);
            let label: &[u8] = if at == 0 { b"thingward grant" } else { b"thingward narrowing" };
            let data = mac_structure_data(MacContext::CoseMac0, block.protected, label, &payload);
            secret = MacKey::new(&secret.try_into().unwrap()).tag(&[&data]).to_vec();
            assert_eq!(hex(&secret), vector["secrets"][at]);
        }
        let key = MacKey::new(&secret.try_into().unwrap());
        proof
            .verify_payload_tag(
                b"thingward use",
                || CryptoError,
                |tag, data| key.verify(&[data], tag.try_into().unwrap()),
            )
            .unwrap();
    }
}

#[test]
fn coset_reads_beacons_and_revocations() {
    let file = from_file();
    let issuer = VerifyingKey::from_spki(&unhex(&file["keys"]["issuer"]["spki"])).unwrap();
    let shared = MacKey::new(&unhex(&file["keys"]["shared"]["key"]).try_into().unwrap());
    for vector in file["statements"].as_array().unwrap() {
        let bytes = unhex(&vector["bytes"]);
        let label: &[u8] =
            if vector["kind"] == "beacon" { b"thingward time" } else { b"thingward revocation" };
        if vector["profile"] == "public" {
            let signed = CoseSign1::from_tagged_slice(&bytes).unwrap();
            signed.verify_signature(label, |s, data| issuer.verify(data, s.try_into().unwrap())).unwrap();
        } else {
            let tagged = CoseMac0::from_tagged_slice(&bytes).unwrap();
            assert_eq!(hex(&tagged.unprotected.key_id), file["keys"]["shared"]["key_id"]);
            tagged
                .verify_payload_tag(
                    label,
                    || CryptoError,
                    |t, data| shared.verify(&[data], t.try_into().unwrap()),
                )
                .unwrap();
        }
    }
}
