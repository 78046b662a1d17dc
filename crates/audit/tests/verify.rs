//! A whole log, and every way to forge it.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;

use thingward_audit::account::{self, Place};
use thingward_audit::actors::Word;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::entry::{Entry, EntryError};
use thingward_audit::frontier::Frontier;
use thingward_audit::leaf_hash;
use thingward_audit::note::{LogKey, NoteError};
use thingward_audit::verify::{LogFault, Verifier};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey};

const ORIGIN: &str = "log.test/acme";

fn signer(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

fn entry(signer: &SoftwareKey, n: i64) -> Vec<u8> {
    let (action, actor) = ("device.revoke".to_owned(), "operator".to_owned());
    let entry = Entry {
        time: n,
        action,
        actor,
        target: format!("device/{n}"),
        details: BTreeMap::new(),
        evidence: None,
    };
    entry.sign(signer).unwrap()
}

fn checkpoint(signer: &SoftwareKey, entries: &[Vec<u8>]) -> String {
    let mut tree = Frontier::default();
    entries.iter().for_each(|entry| tree.push(leaf_hash(entry), |_, _| ()));
    let (origin, extensions) = (ORIGIN.to_owned(), Vec::new());
    Checkpoint { origin, size: tree.size(), root: tree.root(), extensions }.sign(signer).unwrap()
}

fn verify(entries: &[Vec<u8>], checkpoint: &str) -> Result<u64, LogFault> {
    let key = LogKey::new(ORIGIN, signer(1).public_key()).unwrap();
    let mut verifier = Verifier::new(&key, |_| None);
    entries.iter().try_for_each(|entry| verifier.entry(entry))?;
    verifier.finish(checkpoint).map(|verified| verified.checkpoint.size)
}

#[test]
fn a_log_that_nobody_touched_verifies_with_its_key() {
    let entries: Vec<_> = (0..300).map(|n| entry(&signer(1), n)).collect();
    assert_eq!(verify(&entries, &checkpoint(&signer(1), &entries)), Ok(300));
    assert_eq!(verify(&[], &checkpoint(&signer(1), &[])), Ok(0));
}

#[test]
fn a_log_in_which_a_gateway_left_accounts_out_verifies_to_its_end_and_says_so() {
    let (own, actor) = (signer(2), "gateway/hall".to_owned());
    let id = own.public_key().id().iter().map(|byte| format!("{byte:02x}")).collect();
    let blank = Entry {
        time: 1,
        action: "device.enrol".to_owned(),
        actor: actor.clone(),
        target: actor.clone(),
        details: BTreeMap::new(),
        evidence: None,
    };
    let enrolled = Entry {
        details: [("key".to_owned(), id)].into(),
        evidence: Some(own.public_key().to_spki()),
        ..blank.clone()
    };
    let deed = Entry { action: "gateway.policy".to_owned(), target: "policy/3".to_owned(), ..blank };
    let third = account::sign(ORIGIN, &Place { number: 3, previous: [7; 32] }, &deed, &own).unwrap();
    let told = Entry { evidence: Some(third), ..deed };
    let mut entries: Vec<_> = [enrolled, told].iter().map(|entry| entry.sign(&signer(1)).unwrap()).collect();
    entries.push(entry(&signer(1), 2));
    let key = LogKey::new(ORIGIN, signer(1).public_key()).unwrap();
    let mut verifier = Verifier::new(&key, |spki| VerifyingKey::from_spki(spki).ok());
    entries.iter().for_each(|entry| verifier.entry(entry).unwrap());
    let verified = verifier.finish(&checkpoint(&signer(1), &entries)).unwrap();
    assert_eq!(verified.gaps, [(actor, 1)].into());
    assert_eq!(verified.words, [(Word::Service, 1), (Word::Gateway, 2)].into());
}

#[test]
fn whoever_changes_removes_inserts_or_moves_an_entry_is_found_out() {
    let entries: Vec<_> = (0..20).map(|n| entry(&signer(1), n)).collect();
    let note = checkpoint(&signer(1), &entries);
    let check = |bent: Vec<Vec<u8>>, want: LogFault| assert_eq!(verify(&bent, &note), Err(want));
    let at = |index: usize, bytes: Vec<u8>| {
        let mut all = entries.clone();
        all[index] = bytes;
        all
    };
    let (index, fault) = (7, EntryError::Signature);
    check(at(7, entry(&signer(2), 7)), LogFault::Entry { index, fault });
    check(at(7, entry(&signer(1), 99)), LogFault::Root);
    let mut removed = entries.clone();
    removed.remove(3);
    check(removed, LogFault::Size { said: 20, has: 19 });
    let mut inserted = entries.clone();
    inserted.insert(3, entry(&signer(1), 98));
    check(inserted, LogFault::Size { said: 20, has: 21 });
    let mut moved = entries.clone();
    moved.swap(3, 4);
    check(moved, LogFault::Root);
    let rewritten: Vec<_> =
        entries[..15].iter().cloned().chain((50..55).map(|n| entry(&signer(1), n))).collect();
    check(rewritten, LogFault::Root);
    let foreign = checkpoint(&signer(2), &entries);
    assert_eq!(verify(&entries, &foreign), Err(LogFault::Checkpoint(NoteError::Unsigned)));
}

#[test]
fn a_log_that_does_not_continue_what_its_key_signed_before_is_found_out() {
    let entries: Vec<_> = (0..20).map(|n| entry(&signer(1), n)).collect();
    let mut fork = entries.clone();
    fork[6] = entry(&signer(1), 99);
    let key = LogKey::new(ORIGIN, signer(1).public_key()).unwrap();
    let check = |former: &str, entries: &[Vec<u8>]| {
        let mut verifier = Verifier::new(&key, |_| None).continuing(former)?;
        entries.iter().try_for_each(|entry| verifier.entry(entry))?;
        verifier.finish(&checkpoint(&signer(1), entries)).map(|verified| verified.checkpoint.size)
    };
    let at = |size: usize, entries: &[Vec<u8>]| checkpoint(&signer(1), &entries[..size]);
    for size in [0, 1, 6, 7, 20] {
        assert_eq!(check(&at(size, &entries), &entries), Ok(20));
    }
    assert_eq!(check(&at(6, &entries), &fork), Ok(20));
    for size in [7, 8, 20] {
        let want = Err(LogFault::TwoHistories { size: size as u64 });
        assert_eq!(check(&at(size, &entries), &fork), want);
    }
    assert_eq!(check(&at(20, &entries), &entries[..19]), Err(LogFault::Shrunk { size: 20, has: 19 }));
    let foreign = checkpoint(&signer(2), &entries);
    assert_eq!(check(&foreign, &entries), Err(LogFault::Checkpoint(NoteError::Unsigned)));
}
