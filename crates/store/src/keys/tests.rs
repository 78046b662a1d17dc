use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_model::{TenantName, Timestamp};

use super::*;
use crate::error::StoreError;
use crate::registry::Registry;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

pub(crate) fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

/// Writes a key file with 32 bytes of `fill`, as base64.
pub(crate) fn key_file(folder: &Path, name: &str, fill: u8) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, STANDARD.encode([fill; 32]) + "\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[track_caller]
fn check_file(content: &[u8], mode: u32, want: Result<(), &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customer.key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    match (FileKek::open(&path), want) {
        (Ok(_), Ok(())) => {}
        (Err(StoreError::KeyUnusable { problem, .. }), Err(part)) => {
            assert!(problem.contains(part), "{problem}")
        }
        (got, want) => panic!("{:?} instead of {want:?}", got.map(drop)),
    }
}

#[test]
fn a_key_file_holds_32_bytes_and_is_closed_to_others() {
    check_file(&[7; 32], 0o600, Ok(()));
    check_file(&[7; 32], 0o400, Ok(()));
    check_file(STANDARD.encode([7; 32]).as_bytes(), 0o600, Ok(()));
    check_file(format!("{}\n", STANDARD.encode([7; 32])).as_bytes(), 0o600, Ok(()));
    check_file(&[7; 32], 0o640, Err("its mode is 0640"));
    check_file(&[7; 32], 0o604, Err("must have 0600 or 0400"));
    check_file(&[7; 31], 0o600, Err("neither 32 bytes"));
    check_file(STANDARD.encode([7; 16]).as_bytes(), 0o600, Err("neither 32 bytes"));
    check_file(&[], 0o600, Err("neither 32 bytes"));
}

#[track_caller]
fn check_provider(kek: &dyn KeyProvider) {
    let boxed = kek.wrap(&[9; 32], b"aad").unwrap();
    assert_eq!(boxed.len(), 12 + 32 + 16);
    assert_eq!(kek.unwrap(&boxed, b"aad").unwrap().as_slice(), [9; 32]);
    assert_ne!(kek.wrap(&[9; 32], b"aad").unwrap(), boxed);
    let wrong = |boxed: &[u8], aad: &[u8]| {
        let got = kek.unwrap(boxed, aad).map(drop);
        assert!(matches!(got, Err(StoreError::WrongKey { .. })), "{got:?}");
    };
    wrong(&boxed, b"other");
    wrong(&boxed[..11], b"aad");
    for at in [0, 12, 50] {
        let mut bad = boxed.clone();
        bad[at] ^= 1;
        wrong(&bad, b"aad");
    }
}

#[test]
fn a_file_key_opens_only_its_own_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let kek = FileKek::open(&key_file(folder.path(), "a", 1)).unwrap();
    check_provider(&kek);
    // AES-256-GCM of OpenSSL: key 32 times 1, nonce 12 times 7, associated data `x`, over 4 times 9.
    let body = [
        0x84, 0xfa, 0xe3, 0xad, 0xe2, 0x67, 0x31, 0x49, 0xd8, 0x3a, 0xde, 0x05, 0x8a, 0xce, 0x75, 0xf1, 0x3b,
        0xad, 0x61, 0xc9,
    ];
    assert_eq!(kek.unwrap(&[[7; 12].as_slice(), &body].concat(), b"x").unwrap().as_slice(), [9; 4]);
    let other = FileKek::open(&key_file(folder.path(), "b", 2)).unwrap();
    assert!(other.unwrap(&kek.wrap(&[9; 32], b"").unwrap(), b"").is_err());
}

async fn keys(folder: &Path) -> TenantKeys {
    TenantKeys::load(Registry::open(&folder.join("registry.sqlite")).await.unwrap()).await.unwrap()
}

fn newest(keys: &TenantKeys, tenant: &TenantName) -> TenantKeyId {
    keys.get(tenant).unwrap().newest().id()
}

#[tokio::test]
async fn a_withdrawn_key_is_gone_at_once_and_after_a_restart_until_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (acme, other) = (tenant("acme"), tenant("other"));
    let path = key_file(folder.path(), "a", 1);
    let store = keys(folder.path()).await;
    store.create(acme, KekReference::File(path.clone()), NOW).await.unwrap();
    store.create(other, KekReference::File(path.clone()), NOW).await.unwrap();
    let id = newest(&store, &acme);

    store.withdraw(&acme, NOW).await.unwrap();
    for store in [&store, &keys(folder.path()).await] {
        assert!(matches!(store.get(&acme), Err(StoreError::KeyWithdrawn { tenant }) if tenant == acme));
        assert!(matches!(store.recheck(&acme).await, Err(StoreError::KeyWithdrawn { .. })));
        assert!(store.get(&other).is_ok());
    }

    fs::rename(&path, folder.path().join("away")).unwrap();
    assert!(matches!(store.restore(&acme).await, Err(StoreError::KeyUnusable { .. })));
    assert!(matches!(store.get(&acme), Err(StoreError::KeyWithdrawn { .. })));
    fs::rename(folder.path().join("away"), &path).unwrap();
    store.restore(&acme).await.unwrap();
    assert_eq!(newest(&store, &acme), id);
    assert_eq!(newest(&keys(folder.path()).await, &acme), id);
}

#[tokio::test]
async fn a_customer_key_that_is_gone_or_another_one_closes_its_tenant_only() {
    let folder = tempfile::tempdir().unwrap();
    let (acme, other) = (tenant("acme"), tenant("other"));
    let path = key_file(folder.path(), "a", 1);
    let store = keys(folder.path()).await;
    store.create(acme, KekReference::File(path.clone()), NOW).await.unwrap();
    store.create(other, KekReference::File(key_file(folder.path(), "b", 2)), NOW).await.unwrap();

    key_file(folder.path(), "a", 3);
    for store in [&store, &keys(folder.path()).await] {
        assert!(matches!(store.recheck(&acme).await, Err(StoreError::KeyUnusable { .. })));
        assert!(store.get(&other).is_ok());
    }
    assert!(matches!(store.restore(&acme).await, Err(StoreError::WrongKey { .. })));
    key_file(folder.path(), "a", 1);
    store.recheck(&acme).await.unwrap();
    assert!(store.get(&acme).is_ok());
}

#[tokio::test]
async fn a_new_key_is_for_writing_and_the_old_one_still_reads() {
    let folder = tempfile::tempdir().unwrap();
    let acme = tenant("acme");
    let store = keys(folder.path()).await;
    let reference = KekReference::File(key_file(folder.path(), "a", 1));
    store.create(acme, reference.clone(), NOW).await.unwrap();
    let first = newest(&store, &acme);
    store.rotate(&acme, NOW).await.unwrap();
    for store in [&store, &keys(folder.path()).await] {
        let ring = store.get(&acme).unwrap();
        assert_ne!(ring.newest().id(), first);
        assert!(ring.find(&first).is_some());
    }
    assert!(matches!(store.create(acme, reference, NOW).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(store.get(&tenant("nobody")), Err(StoreError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_key_that_hangs_keeps_no_withdrawal_waiting_and_opens_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (acme, other) = (tenant("acme"), tenant("other"));
    let path = key_file(folder.path(), "a", 1);
    let store = Arc::new(keys(folder.path()).await);
    store.create(acme, KekReference::File(path.clone()), NOW).await.unwrap();
    store.create(other, KekReference::File(key_file(folder.path(), "b", 2)), NOW).await.unwrap();
    // Opening a pipe for reading waits for someone who writes.
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
    let hanging = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.recheck(&acme).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;

    let soon = Duration::from_secs(5);
    tokio::time::timeout(soon, store.recheck(&acme)).await.unwrap().unwrap();
    for tenant in [&acme, &other] {
        tokio::time::timeout(soon, store.withdraw(tenant, NOW)).await.unwrap().unwrap();
    }
    assert!(!hanging.is_finished());
    fs::write(&path, [1; 32]).unwrap();
    for got in [hanging.await.unwrap(), store.get(&acme).map(drop), store.get(&other).map(drop)] {
        assert!(matches!(got, Err(StoreError::KeyWithdrawn { .. })), "{got:?}");
    }
    key_file(folder.path(), "c", 1);
    fs::rename(folder.path().join("c"), &path).unwrap();
    store.restore(&acme).await.unwrap();
    assert!(store.get(&acme).is_ok());
}
