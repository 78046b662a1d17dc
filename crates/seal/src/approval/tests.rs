use std::path::PathBuf;
use std::{format, println, vec};

use serde_json::Value as Json;
use thingward_crypto::{Digest, Signer, SoftwareKey};
use thingward_model::Timestamp;

use super::*;
use crate::command::{Command, Data};

const RP_ID: &str = "console.example";
const ORIGIN: &str = "https://console.example";

/// A passkey that does what it is told.
struct Passkey {
    key: SoftwareKey,
    flags: u8,
    rp_id: &'static str,
}

struct Assertion {
    authenticator_data: Vec<u8>,
    client_data: Vec<u8>,
    signature: Vec<u8>,
}

impl Passkey {
    fn new(algorithm: SignatureAlgorithm) -> Self {
        Self { key: SoftwareKey::from_seed(algorithm, &[9; 32]).unwrap(), flags: 5, rp_id: RP_ID }
    }

    fn assert(&self, client_data: &str) -> Assertion {
        let hash = sha256(&[self.rp_id.as_bytes()]);
        let authenticator_data = [hash.as_slice(), &[self.flags], &[0, 0, 0, 7]].concat();
        let message = [authenticator_data.as_slice(), &sha256(&[client_data.as_bytes()])].concat();
        let signature = self.key.sign(&message).unwrap();
        let signature = match self.key.public_key().algorithm() {
            SignatureAlgorithm::Ed25519 => signature.to_vec(),
            SignatureAlgorithm::EcdsaP256 => der(&signature),
        };
        Assertion { authenticator_data, client_data: client_data.into(), signature }
    }
}

fn der(signature: &[u8; 64]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        let mut digits = bytes[zeros..].to_vec();
        if digits[0] & 0x80 != 0 {
            digits.insert(0, 0);
        }
        [vec![2, u8::try_from(digits.len()).unwrap()], digits].concat()
    };
    let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}

fn approver(passkey: &Passkey) -> Approver {
    Approver {
        actor: "user:01h".into(),
        credential_id: vec![1; 16],
        key: passkey.key.public_key().clone(),
        rp_id: RP_ID.into(),
        origins: vec![ORIGIN.into(), "https://other.example".into()],
    }
}

fn challenge() -> Digest {
    sha256(&[b"a command"])
}

fn client_data(kind: &str, challenge: &Digest, rest: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    format!(r#"{{"type":"{kind}","challenge":"{challenge}",{rest}}}"#)
}

fn good() -> String {
    client_data("webauthn.get", &challenge(), r#""origin":"https://console.example","crossOrigin":false"#)
}

fn verify(assertion: &Assertion, approver: &Approver) -> Result<(), ApprovalError> {
    let approval = Approval {
        credential_id: &[1; 16],
        authenticator_data: &assertion.authenticator_data,
        client_data_json: &assertion.client_data,
        signature: &assertion.signature,
    };
    verify_assertion(&approval, &challenge(), approver)
}

#[track_caller]
fn check(change: impl FnOnce(&mut Passkey), client_data: &str, want: Result<(), ApprovalError>) {
    let mut passkey = Passkey::new(SignatureAlgorithm::EcdsaP256);
    let approver = approver(&passkey);
    change(&mut passkey);
    assert_eq!(verify(&passkey.assert(client_data), &approver), want, "{client_data}");
}

#[test]
fn an_assertion_over_this_challenge_holds_with_either_algorithm() {
    for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
        let passkey = Passkey::new(algorithm);
        let assertion = passkey.assert(&good());
        assert_eq!(verify(&assertion, &approver(&passkey)), Ok(()));
        for at in 0..assertion.signature.len() {
            let mut bent = assertion.signature.clone();
            bent[at] ^= 1;
            let bent = Assertion { signature: bent, ..passkey.assert(&good()) };
            assert_eq!(verify(&bent, &approver(&passkey)), Err(ApprovalError::Signature), "byte {at}");
        }
    }
}

#[test]
fn each_step_of_the_verification_is_taken() {
    let keep = |_: &mut Passkey| {};
    let with = |kind, rest| client_data(kind, &challenge(), rest);
    check(keep, &with("webauthn.get", r#""origin":"https://other.example","more":1"#), Ok(()));
    check(
        keep,
        &with("webauthn.create", r#""origin":"https://console.example""#),
        Err(ApprovalError::ClientData),
    );
    check(keep, "{}", Err(ApprovalError::ClientData));
    check(keep, "", Err(ApprovalError::ClientData));
    let twice = r#""origin":"https://evil.example","origin":"https://console.example""#;
    check(keep, &with("webauthn.get", twice), Err(ApprovalError::ClientData));
    let other = client_data("webauthn.get", &sha256(&[b"another"]), r#""origin":"https://console.example""#);
    check(keep, &other, Err(ApprovalError::OtherChallenge));
    for rest in [
        r#""origin":"https://evil.example""#,
        r#""origin":"http://console.example""#,
        r#""origin":"https://console.example:444""#,
        r#""origin":"https://console.example","crossOrigin":true"#,
        r#""origin":"https://console.example","topOrigin":"https://evil.example""#,
    ] {
        check(keep, &with("webauthn.get", rest), Err(ApprovalError::Origin));
    }
    check(|p| p.rp_id = "evil.example", &good(), Err(ApprovalError::RelyingParty));
    check(|p| p.flags = 4, &good(), Err(ApprovalError::UserNotPresent));
    check(|p| p.flags = 1, &good(), Err(ApprovalError::UserNotVerified));
    check(|p| p.flags = 5 | BACKUP_STATE, &good(), Err(ApprovalError::AuthenticatorData));
    check(|p| p.flags = 5 | EXTENSIONS, &good(), Err(ApprovalError::AuthenticatorData));
    check(|p| p.flags = 5 | BACKUP_STATE | BACKUP_ELIGIBLE, &good(), Ok(()));
    let other_key = |p: &mut Passkey| {
        p.key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[8; 32]).unwrap();
    };
    check(other_key, &good(), Err(ApprovalError::Signature));
}

#[test]
fn an_approval_is_the_actors_own_and_of_this_command() {
    let passkey = Passkey::new(SignatureAlgorithm::EcdsaP256);
    let command = Command {
        tenant: "acme".parse().unwrap(),
        device: "meter-1".parse().unwrap(),
        id: [7; 16],
        action: "set-rate".parse().unwrap(),
        input: Data::NOTHING,
        issued: Timestamp::EPOCH,
        expires: Timestamp::from_seconds(60),
        actor: "user:01h",
    };
    let mut canonical = [0; 256];
    let len = command.encode(&mut canonical).unwrap();
    let canonical = &canonical[..len];
    let rest = r#""origin":"https://console.example""#;
    let assertion = passkey.assert(&client_data("webauthn.get", &digest(canonical), rest));
    let approval = Approval {
        credential_id: &[1; 16],
        authenticator_data: &assertion.authenticator_data,
        client_data_json: &assertion.client_data,
        signature: &assertion.signature,
    };
    let verified = VerifiedCommand { command, canonical, log: None, approval: Some(approval) };
    let his = approver(&passkey);
    assert_eq!(verify_approval(&verified, std::slice::from_ref(&his)), Ok(()));

    let somebody = Approver { actor: "user:02x".into(), ..his.clone() };
    let other_passkey = Approver { credential_id: vec![2; 16], ..his.clone() };
    for approvers in [vec![], vec![somebody], vec![other_passkey]] {
        assert_eq!(verify_approval(&verified, &approvers), Err(ApprovalError::UnknownCredential));
    }
    let none = VerifiedCommand { approval: None, ..verified };
    assert_eq!(verify_approval(&none, std::slice::from_ref(&his)), Err(ApprovalError::UnknownCredential));
    let mut changed = canonical.to_vec();
    changed[len - 1] ^= 1;
    let changed = VerifiedCommand { canonical: &changed, ..verified };
    assert_eq!(verify_approval(&changed, &[his]), Err(ApprovalError::OtherChallenge));
}

fn unhex(value: &Json) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The credential's public key: behind the attested credential's id in the registration. WebAuthn Level 3 §6.5.1.
fn registered(case: &Json) -> Result<Approver, FormatError> {
    let object = unhex(&case["registration"]["attestationObject"]);
    let id = unhex(&case["registration"]["credential_id"]);
    let at = object.windows(id.len()).position(|w| w == id).unwrap();
    let (key, _) = key_from_cose(&object[at + id.len()..])?;
    let origins = vec!["https://example.org".into()];
    Ok(Approver { actor: "a".into(), credential_id: id, key, rp_id: "example.org".into(), origins })
}

#[test]
fn the_standards_own_assertions_are_judged_as_we_say() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/webauthn");
    let Ok(text) = std::fs::read(root.join("w3c_vectors.json")) else {
        println!("skipped: no {}", root.display());
        return;
    };
    let vectors: Json = serde_json::from_slice(&text).unwrap();
    let mut seen = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let (id, a) = (case["id"].as_str().unwrap(), &case["authentication"]);
        let approver = match registered(case) {
            Ok(approver) => approver,
            Err(error) => {
                assert!(id.ends_with("es512") || id.ends_with("ed448"), "{id}");
                assert_eq!(error, FormatError::UnknownVersion, "{id}");
                continue;
            }
        };
        let (data, client, signature) =
            (unhex(&a["authenticatorData"]), unhex(&a["clientDataJSON"]), unhex(&a["signature"]));
        let approval = Approval {
            credential_id: &approver.credential_id,
            authenticator_data: &data,
            client_data_json: &client,
            signature: &signature,
        };
        let challenge: Digest = unhex(&a["challenge"]).try_into().unwrap();
        // Ours asks for more than these have: a verified user, and no other page around the asking one.
        let want = if id.ends_with("crossOrigin") {
            Err(ApprovalError::Origin)
        } else if data[32] & USER_VERIFIED == 0 {
            Err(ApprovalError::UserNotVerified)
        } else {
            Ok(())
        };
        assert_eq!(verify_assertion(&approval, &challenge, &approver), want, "{id}");
        let message = [data.as_slice(), &sha256(&[&client])].concat();
        let signature = p256_signature_from_der(&signature).unwrap();
        assert!(approver.key.verify(&message, &signature).is_ok(), "{id}");
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

/// `{ "fmt": "none", "attStmt": {}, "authData": … }` with a passkey's key behind `credential_id`.
fn attestation(passkey: &Passkey, flags: u8, credential_id: &[u8], behind: &[u8]) -> Vec<u8> {
    let point = passkey.key.public_key().to_spki();
    let (x, y) = point[point.len() - 64..].split_at(32);
    let len = u16::try_from(credential_id.len()).unwrap().to_be_bytes();
    let mut key = minicbor::Encoder::new(Vec::new());
    key.map(5).unwrap().i8(1).unwrap().u8(2).unwrap().i8(3).unwrap().i8(-7).unwrap();
    key.i8(-1).unwrap().u8(1).unwrap().i8(-2).unwrap().bytes(x).unwrap().i8(-3).unwrap().bytes(y).unwrap();
    let head = [sha256(&[passkey.rp_id.as_bytes()]).as_slice(), &[flags], &[0; 4], &[0; 16]].concat();
    let data = [&head, len.as_slice(), credential_id, &key.into_writer(), behind].concat();
    let mut object = minicbor::Encoder::new(Vec::new());
    object.map(3).unwrap().str("fmt").unwrap().str("none").unwrap().str("attStmt").unwrap().map(0).unwrap();
    object.str("authData").unwrap().bytes(&data).unwrap();
    object.into_writer()
}

fn register(client_data: &str, object: &[u8]) -> Result<Registered, ApprovalError> {
    verify_registration(client_data.as_bytes(), object, &challenge(), RP_ID, &[ORIGIN.into()])
}

#[test]
fn a_new_passkey_is_taken_after_each_step_of_the_registration() {
    use ApprovalError as E;
    let passkey = Passkey::new(SignatureAlgorithm::EcdsaP256);
    let client = |kind, origin| client_data(kind, &challenge(), &format!(r#""origin":"{origin}""#));
    let good = client("webauthn.create", ORIGIN);
    let object = |flags| attestation(&passkey, flags, &[1; 16], &[]);
    let registered = register(&good, &object(0x45)).unwrap();
    assert_eq!((registered.credential_id, registered.key), (vec![1; 16], passkey.key.public_key().clone()));
    for (client, object, want) in [
        (client("webauthn.get", ORIGIN), object(0x45), E::ClientData),
        (client("webauthn.create", "https://evil.example"), object(0x45), E::Origin),
        (
            client_data("webauthn.create", &[0; 32], r#""origin":"https://console.example""#),
            object(0x45),
            E::OtherChallenge,
        ),
        (good.clone(), object(0x41), E::UserNotVerified),
        (good.clone(), object(0x44), E::UserNotPresent),
        (good.clone(), object(0x05), E::AuthenticatorData),
        (good.clone(), attestation(&passkey, 0x45, &[1; 1024], &[]), E::AuthenticatorData),
        (good.clone(), attestation(&passkey, 0x45, &[], &[]), E::AuthenticatorData),
        (good.clone(), attestation(&passkey, 0x45, &[1; 16], &[0xa0]), E::AuthenticatorData),
        (good.clone(), [object(0x45), vec![0]].concat(), E::AuthenticatorData),
        (
            good.clone(),
            attestation(
                &Passkey { rp_id: "evil.example", ..Passkey::new(SignatureAlgorithm::EcdsaP256) },
                0x45,
                &[1; 16],
                &[],
            ),
            E::RelyingParty,
        ),
    ] {
        assert_eq!(register(&client, &object).map(drop), Err(want), "{client}");
    }
    for len in 0..object(0x45).len() {
        assert!(register(&good, &object(0x45)[..len]).is_err(), "{len}");
    }
}

#[test]
fn the_standards_own_registrations_are_judged_as_we_say() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/webauthn");
    let Ok(text) = std::fs::read(root.join("w3c_vectors.json")) else {
        println!("skipped: no {}", root.display());
        return;
    };
    let vectors: Json = serde_json::from_slice(&text).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let (id, r) = (case["id"].as_str().unwrap(), &case["registration"]);
        let (client, object) = (unhex(&r["clientDataJSON"]), unhex(&r["attestationObject"]));
        let origins = ["https://example.org".into()];
        let got = verify_registration(&client, &object, &unhex(&r["challenge"]), "example.org", &origins);
        let data = object.windows(32).position(|w| w == sha256(&[b"example.org"])).unwrap();
        let want = if id.ends_with("crossOrigin") {
            Err(ApprovalError::Origin)
        } else if object[data + 32] & USER_VERIFIED == 0 {
            Err(ApprovalError::UserNotVerified)
        } else if id.ends_with("es512") || id.ends_with("ed448") {
            Err(ApprovalError::UnknownCredential)
        } else {
            Ok(unhex(&r["credential_id"]))
        };
        assert_eq!(got.map(|registered| registered.credential_id), want, "{id}");
    }
}
