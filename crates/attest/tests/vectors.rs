//! The vectors in `docs/wire/vectors/attestation.json`: made by this code, read back from the file, and checked against
//! `coset`, which shares no code with us.
//!
//! Set `THINGWARD_WRITE_VECTORS=1` to write the file anew. A changed byte is a changed wire format.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::path::PathBuf;

use coset::{CoseSign1, TaggedCborSerializable};
use serde_json::{Value as Json, json};
use thingward_attest::{Claims, EVIDENCE_BYTES_MAX, Endorsement, ROOM_BYTES, Root};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256};

const CLAIMS: [(&str, SignatureAlgorithm, Claims<'_>); 2] = [
    (
        "a chip",
        SignatureAlgorithm::Ed25519,
        Claims { nonce: &[1; 36], software: "chip", version: "7", root: None },
    ),
    (
        "a machine with a TPM",
        SignatureAlgorithm::EcdsaP256,
        Claims { nonce: &[2; 36], software: "thingward", version: "0.1.0", root: Some(Root::Tpm(&[3; 40])) },
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What the third has besides, whose part says which firmware it runs.
fn endorsed() -> (&'static str, SignatureAlgorithm, Claims<'static>) {
    let (who, algorithm) = ("a chip whose part measures its firmware", SignatureAlgorithm::Ed25519);
    let key = |name: &str| SoftwareKey::from_seed(algorithm, &sha256(&[name.as_bytes()])).unwrap();
    let said = Endorsement::sign(&key("a part"), sha256(&[b"firmware"]), key(who).public_key()).unwrap();
    (
        who,
        algorithm,
        Claims { nonce: &[3; 36], software: "chip", version: "8", root: Some(Root::Firmware(said)) },
    )
}

fn vector((who, algorithm, claims): &(&str, SignatureAlgorithm, Claims<'_>)) -> Json {
    let seed = sha256(&[who.as_bytes()]);
    let key = SoftwareKey::from_seed(*algorithm, &seed).unwrap();
    let (mut room, mut out) = ([0; ROOM_BYTES], [0; EVIDENCE_BYTES_MAX]);
    let token = claims.sign(&key, &mut out).unwrap();
    let (tpm, firmware) = match claims.root {
        None => (None, None),
        Some(Root::Tpm(said)) => (Some(hex(said)), None),
        Some(Root::Firmware(said)) => (None, Some(hex(&said.to_bytes()))),
    };
    let read = Claims::verify(token, key.public_key(), |nonce| nonce == claims.nonce, &mut room);
    assert_eq!(read.as_ref(), Ok(claims));
    let parsed = CoseSign1::from_tagged_slice(token).unwrap();
    let signature: &[u8; 64] = parsed.signature.as_slice().try_into().unwrap();
    key.public_key().verify(&parsed.tbs_data(b""), signature).unwrap();
    json!({
        "who": who,
        "cose": algorithm.cose_id(),
        "seed": hex(&seed),
        "spki": hex(&key.public_key().to_spki()),
        "nonce": hex(claims.nonce),
        "software": claims.software,
        "version": claims.version,
        "tpm": tpm,
        "firmware": firmware,
        "token": hex(token),
    })
}

#[test]
fn tokens_are_those_of_the_file_and_what_another_library_reads() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/vectors/attestation.json");
    let made = Json::Array(CLAIMS.iter().chain([&endorsed()]).map(vector).collect());
    if std::env::var_os("THINGWARD_WRITE_VECTORS").is_some() {
        std::fs::write(&path, format!("{made:#}\n")).unwrap();
    }
    let kept: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(made, kept);
}
