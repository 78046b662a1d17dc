use std::fs;
use std::path::Path;

use thingward_model::Role;

use super::*;

fn principal(name: &str) -> Principal {
    Principal { tenant: "acme".parse().unwrap(), role: Role::Gateway, name: name.parse().unwrap() }
}

fn home(folder: &Path) -> Home {
    Home::open(&folder.join("home")).unwrap()
}

fn radios() -> [(DeviceName, Kind); 2] {
    [("zwave-1", Kind::Zwave), ("unused", Kind::Ble)].map(|(name, kind)| (name.parse().unwrap(), kind))
}

fn thing(name: &str) -> Remembered {
    let (known, secret) = (Zeroizing::new(b"{}".to_vec()), Zeroizing::new(vec![7; 32]));
    Remembered { name: name.parse().unwrap(), known, secret }
}

/// A home with a radio that has a network and two things, one of which was never a device.
fn filled(folder: &Path) -> Home {
    let home = home(folder);
    let radio = home.radio_dir(&radios()[0].0);
    create_private_dir(&radio).unwrap();
    radio::keep(&radio, home.sealing_key(), &Secret::new(b"keys of a network".to_vec())).unwrap();
    radio::remember(&radio, home.sealing_key(), &thing("bulb")).unwrap();
    create_private_dir(&radio.join("half")).unwrap();
    home
}

#[test]
fn a_new_machine_goes_on_with_the_networks_and_things_of_a_backup_and_with_no_chain() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = RecipientSecretKey::generate(&mut system_rng());
    let first = filled(old.path());
    let (backup, taken) = take(&first, &principal("hall"), &radios(), &key.public_key().unwrap()).unwrap();
    assert_eq!(taken.radios, [("zwave-1".to_owned(), 1)].into());
    for secret in [b"keys of a network".as_slice(), &[7; 32]] {
        assert!(!backup.windows(secret.len()).any(|part| part == secret), "in the open");
    }

    let second = home(new.path());
    assert_eq!(restore(&second, &principal("hall"), &key, &backup).unwrap(), taken);
    let radio = second.radio_dir(&radios()[0].0);
    let kept = radio::kept(&radio, second.sealing_key()).unwrap().unwrap();
    assert_eq!(kept.expose(), b"keys of a network");
    let [bulb] = &radio::remembered(&radio, second.sealing_key()).unwrap()[..] else { panic!("one thing") };
    assert_eq!((bulb.name.as_str(), bulb.secret.as_slice()), ("bulb", [7; 32].as_slice()));
    let files: Vec<_> =
        fs::read_dir(radio.join("bulb")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|file| file == "memory"), "its chain begins anew: {files:?}");
    assert!(matches!(restore(&second, &principal("hall"), &key, &backup), Err(BackupError::InTheWay(_))));
}

#[test]
fn a_backup_is_for_one_key_and_one_gateway_and_not_one_byte_of_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let key = RecipientSecretKey::generate(&mut system_rng());
    let first = filled(folder.path());
    let (backup, _) = take(&first, &principal("hall"), &radios(), &key.public_key().unwrap()).unwrap();
    let new = tempfile::tempdir().unwrap();
    let second = home(new.path());
    let fault = |key: &RecipientSecretKey, backup: &[u8], name: &str| {
        restore(&second, &principal(name), key, backup).unwrap_err().to_string()
    };
    let other = RecipientSecretKey::generate(&mut system_rng());
    assert!(fault(&other, &backup, "hall").contains("no backup for this key"));
    assert!(fault(&key, &backup, "attic").contains("acme/hall"));
    for at in 0..backup.len() {
        let mut wrong = backup.clone();
        wrong[at] ^= 1;
        assert!(fault(&key, &wrong, "hall").contains("no backup for this key"), "byte {at}");
    }
    for cut in [0, MAGIC.len(), MAGIC.len() + 31, backup.len() - 1] {
        assert!(fault(&key, &backup[..cut], "hall").contains("no backup for this key"), "cut at {cut}");
    }
    assert!(!second.radio_dir(&radios()[0].0).exists());
}
