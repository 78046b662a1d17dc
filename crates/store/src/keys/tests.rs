use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_model::{TenantName, Timestamp};

use thingward_crypto::Signer;

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
    let other = FileKek::open(&key_file(folder.path(), "b", 2)).unwrap();
    assert!(other.unwrap(&kek.wrap(&[9; 32], b"").unwrap(), b"").is_err());
}

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// SoftHSM finds its tokens through an environment variable that is read when the library loads, so this test
/// runs itself again as a child process that has it.
#[test]
fn a_key_on_a_token_makes_the_same_boxes() {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return;
    }
    if !Path::new(SOFTHSM).exists() || Command::new("softhsm2-util").arg("--version").output().is_err() {
        println!("skipped: SoftHSM is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let init = ["--init-token", "--free", "--label", "acme token", "--pin", "4711", "--so-pin", "0815"];
    let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).status().unwrap();
    assert!(made.success());
    fs::write(folder.path().join("pin"), "4711\n").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys::tests::token_child", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs as a child of a_key_on_a_token_makes_the_same_boxes"]
fn token_child() {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::object::{Attribute, KeyType, ObjectClass};
    use cryptoki::session::UserType;
    use cryptoki::types::AuthPin;

    let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").unwrap());
    let pin = conf.with_file_name("pin");
    let reference = |token: &str, object: &str| {
        let text = format!(
            "pkcs11:token={token};object={object}?module-path={SOFTHSM}&pin-source={}",
            pin.display()
        );
        text.parse::<KekReference>().unwrap()
    };
    // A key with a known value, so that a key file with the same value must open the token's boxes.
    let module = Pkcs11::new(SOFTHSM).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new("4711".into()))).unwrap();
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Label(b"kek".to_vec()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Value(vec![5; 32]),
    ];
    session.create_object(&template).unwrap();
    drop(session);
    module.finalize().unwrap();

    let kek = connect(&reference("acme%20token", "kek")).unwrap();
    check_provider(kek.as_ref());
    let file = FileKek::open(&key_file(conf.parent().unwrap(), "kek", 5)).unwrap();
    assert_eq!(file.unwrap(&kek.wrap(&[9; 32], b"x").unwrap(), b"x").unwrap().as_slice(), [9; 32]);
    assert_eq!(kek.unwrap(&file.wrap(&[9; 32], b"x").unwrap(), b"x").unwrap().as_slice(), [9; 32]);

    let problem = |token, object| match connect(&reference(token, object)).map(drop) {
        Err(StoreError::KeyUnusable { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert!(problem("none", "kek").contains("no token has this label"));
    assert!(problem("acme%20token", "none").contains("no AES key with this label"));

    let KekReference::Pkcs11(at) = reference("acme%20token", "ca") else { panic!("it names a token") };
    let signer = Pkcs11Signer::open_or_create(&at, "issuing").unwrap();
    let signature = signer.sign(b"certificate").unwrap();
    let again = Pkcs11Signer::open_or_create(&at, "issuing").unwrap();
    assert_eq!(again.public_key().verify(b"certificate", &signature), Ok(()));
    let other = Pkcs11Signer::open_or_create(&at, "root").unwrap();
    assert!(other.public_key().verify(b"certificate", &signature).is_err());

    fs::write(&pin, "0000").unwrap();
    assert!(problem("acme%20token", "kek").contains("cannot log in"));
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
