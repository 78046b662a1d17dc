use std::fs;

use thingward_audit::account::SignedAccount;
use thingward_crypto::{RecipientPublicKey, SignatureAlgorithm, Signer, SoftwareKey};
use thingward_model::Role;

use super::*;

pub(crate) const ORIGIN: &str = "thingward.test/tenant/acme";

pub(crate) fn key(algorithm: SignatureAlgorithm, seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &[seed; 32]).unwrap()
}

/// Of a gateway called `hall`, which takes policies of the Ed25519 key of seed 9.
pub(crate) fn membership() -> Membership {
    Membership {
        tenant: "acme".parse().unwrap(),
        role: Role::Gateway,
        name: "hall".parse().unwrap(),
        trust_domain: "thingward.test".to_owned(),
        mqtt_port: 8883,
        service: "localhost:8443".parse().unwrap(),
        service_recipient: RecipientPublicKey::from_bytes([9; 32]),
        customer_recipient: None,
        command_key: None,
        grant_key: Some(key(SignatureAlgorithm::Ed25519, 9).public_key().clone()),
        grant_revocation: None,
        classes: Vec::new(),
        approvers: Vec::new(),
    }
}

pub(crate) fn open(home: &Home) -> Result<Accounts, AccountError> {
    let signer = Arc::new(key(SignatureAlgorithm::EcdsaP256, 1));
    Accounts::open(home, &membership(), signer, Arc::default())
}

pub(crate) fn home(folder: &std::path::Path) -> Home {
    Home::open(&folder.join("home")).unwrap()
}

fn deed(target: &str) -> Deed {
    Deed {
        action: "gateway.command",
        target: target.to_owned(),
        details: vec![("for", "application/home".into())],
    }
}

/// Everything that waits, as it would arrive at the service: each account is the gateway's and continues the one before.
pub(crate) fn arrive(accounts: &Accounts, place: &mut account::Place) -> Vec<Entry> {
    let public = key(SignatureAlgorithm::EcdsaP256, 1).public_key().clone();
    let mut all = Vec::new();
    while let Some((at, bytes)) = accounts.next() {
        let account = SignedAccount::decode(&bytes).unwrap();
        let entry = account.verify(ORIGIN, &public, "gateway/hall").unwrap();
        let said = account.place_unverified();
        // What is known is sent again after a kill.
        if said.number >= place.number {
            assert_eq!(said, *place, "{entry:?}");
            *place = said.next(&bytes);
            all.push(entry.clone());
        }
        accounts.done(at);
    }
    all
}

fn numbers(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.details["number"].as_str()).collect()
}

#[test]
fn accounts_continue_one_another_through_restarts_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = account::Place::FIRST;
    {
        let accounts = open(&home(folder.path())).unwrap();
        assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), 1);
        assert_eq!(accounts.write(deed("operation/bulb/turn-off")).unwrap(), 2);
    }
    {
        // Killed before anything arrived.
        let accounts = open(&home(folder.path())).unwrap();
        assert_eq!(numbers(&arrive(&accounts, &mut place)), ["1", "2"]);
        assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), 3);
        assert_eq!(numbers(&arrive(&accounts, &mut place)), ["3"]);
    }
    // Killed when all had arrived, which it did not write down.
    let accounts = open(&home(folder.path())).unwrap();
    assert!(arrive(&accounts, &mut place).is_empty());
    accounts.commit().unwrap();
    assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), 4);
    assert_eq!(numbers(&arrive(&accounts, &mut place)), ["4"]);
}

#[test]
fn an_account_that_was_signed_and_not_queued_when_the_power_went_is_there_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = account::Place::FIRST;
    {
        let accounts = open(&home(folder.path())).unwrap();
        accounts.write(deed("operation/bulb/turn-on")).unwrap();
        assert_eq!(numbers(&arrive(&accounts, &mut place)), ["1"]);
        accounts.write(deed("operation/bulb/turn-off")).unwrap();
    }
    // As if the queue's write had not come: only the newest account is there.
    for entry in fs::read_dir(folder.path().join("home/accounts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "queue") {
            fs::remove_file(path).unwrap();
        }
    }
    let accounts = open(&home(folder.path())).unwrap();
    assert_eq!(numbers(&arrive(&accounts, &mut place)), ["2"]);
}

#[test]
fn damaged_accounts_are_an_error_and_no_second_story() {
    let folder = tempfile::tempdir().unwrap();
    open(&home(folder.path())).unwrap().write(deed("operation/bulb/turn-on")).unwrap();
    let newest = folder.path().join("home/accounts/newest");
    let mut bytes = fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&newest, bytes).unwrap();
    assert!(matches!(open(&home(folder.path())), Err(AccountError::Disk(_))));
}

#[test]
fn a_deed_that_is_too_large_is_no_account_and_those_after_it_are() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&home(folder.path())).unwrap();
    assert!(matches!(accounts.write(deed(&"x".repeat(300))), Err(AccountError::Entry(EntryError::TooLarge))));
    assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), 1);
    assert_eq!(numbers(&arrive(&accounts, &mut account::Place::FIRST.clone())), ["1"]);
}

#[test]
fn an_account_that_is_durable_counts_and_is_sent_once_the_queue_takes_it() {
    type Retry = fn(&Accounts, &mut account::Place);
    let by_the_next: Retry = |accounts, _| {
        assert_eq!(accounts.write(deed("operation/bulb/turn-off")).unwrap(), 2);
    };
    let by_the_end: Retry = |accounts, _| accounts.commit().unwrap();
    let by_the_uplink: Retry = |accounts, place| assert_eq!(numbers(&arrive(accounts, place)), ["1"]);
    for retry in [by_the_next, by_the_end, by_the_uplink] {
        let folder = tempfile::tempdir().unwrap();
        let accounts = open(&home(folder.path())).unwrap();
        // Where the queue's file would be.
        let obstacle = folder.path().join("home/accounts/0000000000000000.queue");
        fs::create_dir(&obstacle).unwrap();
        assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), 1);
        assert!(accounts.write(deed("operation/bulb/turn-off")).is_err(), "one at a time is kept beside it");
        fs::remove_dir(&obstacle).unwrap();
        let mut place = account::Place::FIRST;
        retry(&accounts, &mut place);
        assert!(obstacle.is_file());
        arrive(&accounts, &mut place);
        assert_eq!(accounts.write(deed("operation/bulb/turn-on")).unwrap(), place.number);
    }
}
