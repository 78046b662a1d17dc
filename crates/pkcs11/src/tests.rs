#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use thingward_crypto::Signer;

use super::*;

/// AES-256-GCM of OpenSSL: key 32 times 5, nonce 12 times 7, associated data `x`, over 4 times 9.
const BODY: &[u8] = &[
    0xc0, 0x4b, 0x34, 0x19, 0xb1, 0xdb, 0xef, 0xd1, 0xe7, 0xdd, 0xe8, 0x87, 0xc4, 0x76, 0x56, 0x14, 0x8e,
    0xeb, 0x72, 0x63,
];
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// SoftHSM finds its tokens through an environment variable that is read when the library loads, so this test
/// runs itself again as a child process that has it.
#[test]
fn keys_stay_on_their_token_and_are_found_by_name() {
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
        .args(["--exact", "tests::with_a_token", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

fn pin() -> PathBuf {
    PathBuf::from(std::env::var_os("SOFTHSM2_CONF").unwrap()).with_file_name("pin")
}

fn token(label: &str) -> Token {
    let text = format!("pkcs11:token={label};object=x?module-path={SOFTHSM}&pin-source={}", pin().display());
    Token::open(&text.parse().unwrap()).unwrap()
}

#[test]
#[ignore = "runs as a child of keys_stay_on_their_token_and_are_found_by_name"]
fn with_a_token() {
    import_a_known_key();
    check_secret_keys();
    check_signers();
    let here = token("acme%20token");
    assert!(
        problem(SecretKey::open(token("none"), KeyName::labelled("kek"))).contains("no token has this label")
    );
    fs::write(pin(), "0000").unwrap();
    let open = || SecretKey::open(here.clone(), KeyName::labelled("kek"));
    assert!(problem(open()).contains("cannot log in"));
    // A token locks itself after a few of these.
    assert!((0..20).all(|_| problem(open()).contains("the token refused this PIN before")));
    fs::write(pin(), "4711").unwrap();
    open().map(drop).unwrap();
}

/// The AES key `kek`, 32 times 5.
fn import_a_known_key() {
    let module = Pkcs11::new(SOFTHSM).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = *module.get_slots_with_initialized_token().unwrap().first().unwrap();
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
}

fn problem<T>(result: Result<T, TokenError>) -> String {
    match result.map(drop) {
        Err(TokenError::Unusable { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn check_secret_keys() {
    let here = token("acme%20token");
    let kek = SecretKey::open(here.clone(), KeyName::labelled("kek")).unwrap();
    assert_eq!(kek.unwrap(&[&[7; 12], BODY].concat(), b"x").unwrap().as_slice(), [9; 4]);
    let boxed = kek.wrap(&[9; 32], b"aad").unwrap();
    assert_eq!(boxed.len(), 12 + 32 + 16);
    assert_eq!(kek.unwrap(&boxed, b"aad").unwrap().as_slice(), [9; 32]);
    let wrong = |key: &SecretKey, boxed: &[u8], aad: &[u8]| {
        assert!(matches!(key.unwrap(boxed, aad), Err(TokenError::WrongKey)));
    };
    wrong(&kek, &boxed, b"other");
    wrong(&kek, boxed.get(..11).unwrap(), b"aad");

    let own = KeyName { label: "home".to_owned(), id: Some([1; 16]) };
    let made = SecretKey::make(here.clone(), own.clone()).unwrap();
    let boxed = made.wrap(&[9; 32], b"aad").unwrap();
    wrong(&kek, &boxed, b"aad");
    let theirs = KeyName { id: Some([2; 16]), ..own.clone() };
    assert!(problem(SecretKey::open(here.clone(), theirs.clone())).contains("no AES key with this label"));
    SecretKey::make(here.clone(), theirs.clone()).unwrap();
    let again = SecretKey::open(here.clone(), own.clone()).unwrap();
    assert_eq!(again.unwrap(&boxed, b"aad").unwrap().as_slice(), [9; 32]);
    here.destroy(&own).unwrap();
    assert!(problem(made.wrap(&[9; 32], b"aad")).contains("no AES key with this label"));
    SecretKey::open(here, theirs).unwrap();
}

fn check_signers() {
    let here = token("acme%20token");
    let open = |name: &str| TokenSigner::open_or_make(here.clone(), KeyName::labelled(name)).unwrap();
    let signature = open("ca-issuing").sign(b"certificate").unwrap();
    assert_eq!(open("ca-issuing").public_key().verify(b"certificate", &signature), Ok(()));
    assert!(open("ca-root").public_key().verify(b"certificate", &signature).is_err());
    let gone = open("ca-root");
    here.destroy(&KeyName::labelled("ca-root")).unwrap();
    assert!(gone.sign(b"certificate").is_err());
    assert!(TokenSigner::open(here.clone(), KeyName::labelled("ca-root")).unwrap().is_none());
}
