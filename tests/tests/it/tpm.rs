//! Devices with their keys in a TPM.

use std::fs;
use std::path::Path;

use thingward_agent::enrol::renew;
use thingward_agent::home::{Home, HomeError};
use thingward_agent::key_store::KeyStoreReference;
use thingward_crypto::SignatureAlgorithm;
use thingward_crypto::sealed::write_private;
use thingward_tests::software_tpm::SoftwareTpm;
use thingward_tests::{ACME, Town, eventually, number, rows};

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
