use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use thingward_agent::home::{self, Home, HomeError};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push((entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
        }
    }
    all
}

fn contains(files: &[(String, Vec<u8>)], bytes: &[u8]) -> bool {
    files.iter().any(|(_, content)| content.windows(bytes.len()).any(|w| w == bytes))
}

#[test]
fn a_home_is_for_one_process_at_a_time_and_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let first = Home::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    let error = Home::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
    assert!(matches!(home::reset(&path), Err(HomeError::InUse { .. })));
    let clone = first.clone();
    drop(first);
    assert!(Home::open(&path).is_err());
    drop(clone);
    Home::open(&path).unwrap();
}

#[test]
fn a_home_that_others_can_enter_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/home");
    drop(Home::open(&path).unwrap());
    for mode in [0o710, 0o755, 0o701] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Home::open(&path).map(drop).unwrap_err().to_string();
        assert!(error.ends_with(&format!("chmod 700 {}", path.display())), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    Home::open(&path).unwrap();
}

#[test]
fn a_private_key_is_kept_sealed_and_a_reset_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let home = Home::open(&path).unwrap();
    let key = home.make_private_key(SignatureAlgorithm::EcdsaP256).unwrap();
    let back = home.private_key().unwrap().unwrap();
    assert_eq!(back.public_key(), key.public_key());
    let kept = fs::read(path.join("identity.sealed")).unwrap();
    let kept = home.sealing_key().open(b"identity", &kept).unwrap();
    assert_eq!(SoftwareKey::from_pkcs8(&kept).unwrap().public_key(), key.public_key());
    let sealing = fs::read(path.join("sealing.key")).unwrap();
    assert!(!contains(&files(&path), &kept));
    assert!(contains(&files(&path), &sealing), "the search finds what is there");
    fs::write(path.join("note-of-somebody.txt"), b"mine").unwrap();
    home.reset().unwrap();
    let left = files(&path);
    assert!(!contains(&left, &sealing));
    let mut names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["lock", "note-of-somebody.txt"]);
    let home = Home::open(&path).unwrap();
    assert!(matches!(home.identity().map(|_| ()), Err(HomeError::NotEnrolled { .. })));
    assert!(home.private_key().unwrap().is_none());
}

#[test]
fn a_reset_that_was_cut_short_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let home = Home::open(&path).unwrap();
    home.make_private_key(SignatureAlgorithm::Ed25519).unwrap();
    drop(home);
    let sealing = fs::read(path.join("sealing.key")).unwrap();
    fs::write(path.join("reset"), b"").unwrap();
    let home = Home::open(&path).unwrap();
    assert!(home.private_key().unwrap().is_none());
    assert!(!contains(&files(&path), &sealing));
}

#[test]
fn sealed_files_without_their_key_are_an_error_and_not_a_new_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let home = Home::open(&path).unwrap();
    home.make_private_key(SignatureAlgorithm::Ed25519).unwrap();
    drop(home);
    fs::remove_file(path.join("sealing.key")).unwrap();
    assert!(matches!(Home::open(&path).map(|_| ()), Err(HomeError::KeyMissing { .. })));
    home::reset(&path).unwrap();
    Home::open(&path).unwrap();
}
