//! Devices with their keys in a TPM.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_agent::attest::attest;
use thingward_agent::enrol::renew;
use thingward_agent::home::{Home, HomeError};
use thingward_agent::http::HttpsClient;
use thingward_agent::key_store::KeyStoreReference;
use thingward_attest::{Claims, EVIDENCE_BYTES_MAX};
use thingward_crypto::SignatureAlgorithm;
use thingward_crypto::sealed::write_private;
use thingward_model::Role;
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};
use thingward_service::attestation::Attested;
use thingward_service::service::Service;
use thingward_store::registry::{Attestation, RevocationReason};
use thingward_tests::software_tpm::SoftwareTpm;
use thingward_tests::{ACME, Town, eventually, number, rows};
use thingward_tpm::{EvidenceError, TpmEvidence};

fn error_of(home: &Path) -> String {
    Home::open(home).map(drop).unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_its_keys_in_a_tpm_enrols_reports_and_renews() {
    let mut town = Town::new();
    let mut tpm = SoftwareTpm::new(&town.path().join("tpm"));
    let service = town.service().await;
    let home = town.enrol_with_keys_in(&service, &tpm.key_store(), "meter-1").await;
    let device = town.device(&home, None);
    assert_eq!(device.status().await.unwrap().key_store, tpm.key_store());
    device.record("bay".parse().unwrap(), vec![number(1.0)]).await.unwrap();
    eventually("the first reading", || rows(&service, ACME).len() == 1).await;
    let before = home.identity().unwrap();
    let renewed = renew(&home).await.unwrap();
    assert_eq!(renewed.key.public_key(), before.key.public_key());
    assert_ne!(renewed.leaf.serial, before.leaf.serial);
    device.stop().await.unwrap();
    drop((device, home, before, renewed));

    tpm.restart();
    let home = Home::open(&town.home("meter-1")).unwrap();
    let device = town.device(&home, None);
    device.record("bay".parse().unwrap(), vec![number(2.0)]).await.unwrap();
    eventually("the second reading", || rows(&service, ACME).len() == 2).await;
    device.stop().await.unwrap();
    service.stop().await;
}

#[test]
fn a_home_opens_only_on_a_machine_that_was_started_as_when_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let path = folder.path().join("home");
    let home = Home::open_in(&path, &tpm.key_store()).unwrap();
    let key = home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    let public = key.public_key().clone();
    drop((key, home));
    tpm.extend_pcr_7();
    let error = error_of(&path);
    assert!(error.contains("was started otherwise: PCR 7 is "), "{error}");
    assert!(error.contains(&format!(" and was {}", "0".repeat(64))), "{error}");
    tpm.restart();
    let home = Home::open(&path).unwrap();
    assert_eq!(*home.private_key().unwrap().unwrap().public_key(), public);
}

#[test]
fn a_home_that_is_copied_to_another_machine_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let path = folder.path().join("home");
    drop(Home::open_in(&path, &tpm.key_store()).unwrap());
    let other = SoftwareTpm::new(&folder.path().join("other"));
    let (here, there) = (tpm.key_store().to_string(), other.key_store().to_string());
    let device = |text: &str| text.trim_start_matches("tpm:").split('?').next().unwrap().to_owned();
    let sealed = path.join("sealing.tpm");
    let text = fs::read_to_string(&sealed).unwrap().replace(&device(&here), &device(&there));
    write_private(&sealed, text.as_bytes()).unwrap();
    let error = error_of(&path);
    assert!(
        error.ends_with("it was made by another TPM, or this one was cleared since, or it is damaged"),
        "{error}"
    );
}

#[test]
fn a_home_stays_where_its_keys_are_and_says_what_its_tpm_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let path = folder.path().join("home");
    let home = Home::open_in(&path, &tpm.key_store()).unwrap();
    assert!(!path.join("sealing.key").exists());
    let error = home.make_private_key(SignatureAlgorithm::Ed25519).map(drop).unwrap_err().to_string();
    assert!(error.ends_with("the TPM has no keys but P-256"), "{error}");
    let key = home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    tpm.restart();
    assert!(key.sign(b"reading").is_err(), "the connection is gone");
    drop((key, home));
    let moved = Home::open_in(&path, &KeyStoreReference::File).map(drop).unwrap_err();
    assert!(matches!(moved, HomeError::OtherKeyStore { .. }), "{moved}");
    drop(tpm);
    let error = error_of(&path);
    assert!(error.contains("no TPM at ") && error.contains("/tpm/socket: "), "{error}");
    thingward_agent::home::reset(&path).unwrap();
    assert!(!path.join("sealing.tpm").exists());
}

#[test]
fn a_sealed_key_that_was_changed_opens_no_home() {
    let folder = tempfile::tempdir().unwrap();
    let tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let path = folder.path().join("home");
    drop(Home::open_in(&path, &tpm.key_store()).unwrap());
    let sealed = path.join("sealing.tpm");
    let text = fs::read_to_string(&sealed).unwrap();
    let at = text.find("\"private\": \"").unwrap() + 12;
    for offset in (0..200).step_by(23) {
        let mut bent = text.clone().into_bytes();
        bent[at + offset] = if bent[at + offset] == b'A' { b'B' } else { b'A' };
        write_private(&sealed, &bent).unwrap();
        error_of(&path);
    }
    write_private(&sealed, text.as_bytes()).unwrap();
    Home::open(&path).unwrap();
}

async fn attestation(service: &Service, name: &str) -> Attestation {
    let registry = service.shared().store.registry();
    registry.attestation(&ACME.parse().unwrap(), &name.parse().unwrap()).await.unwrap().unwrap()
}

/// What the findings of meter-1 say now.
async fn findings(service: &Service) -> Vec<String> {
    let all = service.shared().core.findings(ACME.parse().unwrap()).await;
    assert!(all.iter().all(|finding| finding.place.kind == "evidence-changed"), "{all:?}");
    all.into_iter().map(|finding| finding.detail).collect()
}

fn says(attestation: &Attestation) -> (Attested, Attested) {
    let of = |kept| Attested::of_kept(kept).unwrap();
    (of(&attestation.reference), of(&attestation.latest))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_proves_where_its_key_is_and_that_its_machine_was_started_otherwise() {
    let mut town = Town::new();
    let tpm = SoftwareTpm::new(&town.path().join("tpm"));
    let service = town.service().await;
    let keys = format!("{}", tpm.key_store()).replace("pcrs=7", "pcrs=16").parse().unwrap();
    drop(town.enrol_with_keys_in(&service, &keys, "meter-1").await);
    let enrolled = attestation(&service, "meter-1").await;
    let (first, latest) = says(&enrolled);
    assert_eq!((first.keys(), &first), ("tpm", &latest));
    tpm.extend_pcr_7();
    let home = Home::open(&town.home("meter-1")).unwrap();
    let error = attest(&home).await.unwrap_err().to_string();
    assert!(error.contains("changes too often"), "{error}");

    // A minute ago, as far as the service knows.
    let mut earlier = enrolled.clone();
    earlier.latest.at = earlier.latest.at.plus_micros(-61_000_000);
    let (tenant, name) = (ACME.parse().unwrap(), "meter-1".parse().unwrap());
    service.shared().store.registry().set_attestation(&tenant, &name, &earlier).await.unwrap();
    attest(&home).await.unwrap();
    let (first, latest) = says(&attestation(&service, "meter-1").await);
    assert_eq!(latest.changed_pcrs(&first), [7]);
    assert_eq!(findings(&service).await, ["started otherwise: PCR 7"]);

    drop(home);
    thingward_agent::home::reset(&town.home("meter-1")).unwrap();
    service.shared().revoke_member(tenant, name, RevocationReason::Superseded, true).await.unwrap();
    drop(town.enrol(&service, ACME, Role::Device, "meter-1").await);
    assert_eq!(findings(&service).await, ["the key is in no TPM, says new evidence"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_of_the_member_that_was_asked_and_answers_once() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "meter-1").await;
    let other = town.enrol(&service, ACME, Role::Device, "meter-2").await;
    assert_eq!(says(&attestation(&service, "meter-1").await).1.keys(), "unproven");
    let client = |home: &Home| {
        let identity = home.identity().unwrap();
        let tls = identity.tls(ExpectedServer::Service, ALPN_HTTP).unwrap();
        HttpsClient::new(identity.membership.service, tls)
    };
    let path = "/.well-known/thingward/attestation";
    let asked = client(&home).get(path).await.unwrap();
    let asked: serde_json::Value = serde_json::from_slice(&asked).unwrap();
    let nonce = STANDARD.decode(asked["nonce"].as_str().unwrap()).unwrap();
    let token = |home: &Home| {
        let claims = Claims { nonce: &nonce, software: "thingward", version: "0.1.0", root: None };
        let key = home.identity().unwrap().key;
        claims.sign(key.as_ref(), &mut [0; EVIDENCE_BYTES_MAX]).unwrap().to_vec()
    };
    let post = async |by: &Home, token: Vec<u8>| {
        let sent = client(by).post(path, "application/eat+cwt", None, token.into()).await;
        sent.map(drop).map_err(|error| error.to_string())
    };
    let error = post(&home, token(&other)).await.unwrap_err();
    assert!(error.contains("it is not signed with the key of the device"), "{error}");
    let error = post(&other, token(&other)).await.unwrap_err();
    assert!(error.contains("it does not answer this nonce"), "{error}");
    post(&home, token(&home)).await.unwrap();
    let error = post(&home, token(&home)).await.unwrap_err();
    assert!(error.contains("it does not answer this nonce"), "{error}");
    service.stop().await;
}

#[test]
fn what_a_tpm_says_holds_for_its_key_and_nonce_only_and_no_bit_of_it_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let tpm = SoftwareTpm::new(&folder.path().join("tpm"));
    let home = Home::open_in(&folder.path().join("home"), &tpm.key_store()).unwrap();
    let key = home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    let evidence = home.tpm_evidence(b"asked").unwrap().unwrap();
    let verified = TpmEvidence::verify(&evidence, key.public_key(), b"asked").unwrap();
    assert_eq!(verified, TpmEvidence::read(&evidence).unwrap());
    assert_eq!(verified.pcrs[&7], [0; 32]);
    let refused =
        |evidence: &[u8], nonce: &[u8]| TpmEvidence::verify(evidence, key.public_key(), nonce).unwrap_err();
    assert_eq!(refused(&evidence, b"again"), EvidenceError::Statement);
    let other = home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    let of_other = TpmEvidence::verify(&evidence, other.public_key(), b"asked");
    assert_eq!(of_other, Err(EvidenceError::Statement));
    for at in 0..evidence.len() {
        let mut bent = evidence.clone();
        bent[at] ^= 1;
        refused(&bent, b"asked");
        refused(&evidence[..at], b"asked");
    }
}
