use std::fs;
use std::path::Path;
use std::sync::Arc;

use thingward_model::{Assurance, TenantName, Timestamp};

use super::*;
use crate::error::StoreError;
use crate::keys::tests::{key_file, tenant};
use crate::keys::{FileKek, TenantKeyRing};
use crate::row::{Reading, Record, Route, Value};

fn ring(name: &TenantName, fill: u8) -> Arc<TenantKeyRing> {
    let folder = tempfile::tempdir().unwrap();
    let kek = FileKek::open(&key_file(folder.path(), "k", fill)).unwrap();
    Arc::new(TenantKeyRing::with_one_new_key(name, &kek).unwrap())
}

fn record(device: &str, seq: u64) -> Record {
    Record {
        device: device.parse().unwrap(),
        stream: "power".parse().unwrap(),
        chain: [1; 8],
        seq,
        received: Timestamp::from_seconds(100),
        assurance: Assurance::Transport,
        route: Route::TLS,
        readings: vec![Reading {
            field: None,
            time: Timestamp::from_seconds(99),
            value: Value::Number(21.5),
            unit: Some("W".into()),
        }],
    }
}

fn sealed(tenant: &TenantName, keys: &Arc<TenantKeyRing>, record: &Record) -> SealedBlock {
    Block::new(tenant, Arc::clone(keys), record).unwrap().seal().unwrap()
}

#[test]
fn a_block_has_the_next_records_of_its_chain_and_no_others() {
    let acme = tenant("acme");
    let keys = ring(&acme, 1);
    let mut block = Block::new(&acme, Arc::clone(&keys), &record("meter-1", 7)).unwrap();
    for other in [record("meter-2", 8), record("meter-1", 7), record("meter-1", 6), record("meter-1", 9)] {
        assert!(!block.add(&other).unwrap());
    }
    let mut empty = record("meter-1", 8);
    empty.readings.clear();
    assert!(matches!(block.add(&empty), Err(StoreError::Invalid { .. })));
    let mut want = vec![record("meter-1", 7)];
    for seq in 8.. {
        if !block.add(&record("meter-1", seq)).unwrap() {
            break;
        }
        want.push(record("meter-1", seq));
    }
    assert_eq!(want.len(), 64);
    let SealedBlock { key, value } = block.seal().unwrap();
    assert_eq!(open_block(&keys, &key, &value).unwrap(), want);
    // Who knows one record to a block does not know this one.
    assert_eq!((value[0], sealed(&acme, &keys, &want[0]).value[0]), (2, 1));
}

#[test]
fn a_block_opens_only_in_its_place_under_its_tenants_key() {
    let acme = tenant("acme");
    let keys = ring(&acme, 1);
    let want = record("meter-1", 7);
    let sealed_one = sealed(&acme, &keys, &want);
    assert_eq!(open_block(&keys, &sealed_one.key, &sealed_one.value).unwrap(), [want]);
    assert!(!sealed_one.value.windows(8).any(|w| w == 21.5_f64.to_be_bytes()));

    let moved = sealed(&acme, &keys, &record("meter-1", 8)).key;
    assert!(matches!(open_block(&keys, &moved, &sealed_one.value), Err(StoreError::Corrupt { .. })));
    let other = sealed(&acme, &keys, &record("meter-2", 7)).key;
    assert!(matches!(open_block(&keys, &other, &sealed_one.value), Err(StoreError::Corrupt { .. })));
    let theirs = ring(&tenant("other"), 1);
    assert!(matches!(
        open_block(&theirs, &sealed_one.key, &sealed_one.value),
        Err(StoreError::WrongKey { .. })
    ));
    for bit in 0..sealed_one.value.len() * 8 {
        let mut bad = sealed_one.value.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_block(&keys, &sealed_one.key, &bad).is_err(), "bit {bit}");
    }
    for cut in 0..sealed_one.value.len() {
        assert!(open_block(&keys, &sealed_one.key, &sealed_one.value[..cut]).is_err(), "cut to {cut}");
    }
}

#[test]
fn keys_of_one_tenant_never_start_with_those_of_another() {
    let at = |device: &str| crate::row::RecordKey {
        device: device.parse().unwrap(),
        stream: "s".parse().unwrap(),
        chain: [0; 8],
        seq: 1,
    };
    let key = block_key(&tenant("acme"), &at("d"));
    assert!(key.starts_with(&scope_prefix(&tenant("acme"), None, None)));
    assert!(!key.starts_with(&scope_prefix(&tenant("acm"), None, None)));
    assert!(!block_key(&tenant("acme"), &at("d1")).starts_with(&scope_prefix(
        &tenant("acme"),
        Some(&"d".parse().unwrap()),
        None
    )));
    assert_eq!(parse_block_key(&key), Some((tenant("acme"), at("d"))));
    for cut in 0..key.len() {
        assert_eq!(parse_block_key(&key[..cut]), None);
    }
}

/// A group as the service makes it: every table gets the group's number.
fn group(acme: &TenantName, keys: &Arc<TenantKeyRing>, number: u64) -> Batch {
    let mut batch = Batch::new();
    for device in ["meter-1", "meter-2"] {
        batch.put_block(sealed(acme, keys, &record(device, number)));
    }
    for space in [Space::Sessions, Space::Chains, Space::Meta] {
        batch.put(space, b"at".to_vec(), number.to_be_bytes());
    }
    let (device, stream) = ("meter-1".parse().unwrap(), "power".parse().unwrap());
    let part = SignedPart { through: number, exceptions: vec![] };
    batch.set_signed(acme, &device, &stream, [1; 8], &part);
    batch
}

/// Asserts that all tables show the same number of groups, and returns it.
#[track_caller]
fn check_whole(acme: &TenantName, store: &FjallHot) -> u64 {
    let at = store.snapshot();
    let blocks = at.scan(Table::Records, &scope_prefix(acme, None, None)).map(Result::unwrap).count() as u64;
    assert_eq!(blocks % 2, 0);
    let number = |table, key: &[u8]| {
        at.get(table, key).unwrap().map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()))
    };
    for space in [Space::Sessions, Space::Chains, Space::Meta] {
        assert_eq!(number(Table::Owner(space), b"at"), blocks / 2, "{space:?}");
    }
    let chain = chain_key(acme, &"meter-1".parse().unwrap(), &"power".parse().unwrap(), [1; 8]);
    assert_eq!(number(Table::Signed, &chain), blocks / 2);
    blocks / 2
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_crash_at_any_byte_of_the_journal_shows_whole_groups_only() {
    let acme = tenant("acme");
    let keys = ring(&acme, 1);
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let store = FjallHot::open(&live).unwrap();
    for number in 1..=3 {
        store.commit(group(&acme, &keys, number)).unwrap();
        assert_eq!(check_whole(&acme, &store), number);
    }
    // What a crash leaves: the files as they are, without an orderly end.
    let crashed = folder.path().join("crashed");
    copy(&live, &crashed);
    drop(store);
    let mut journal = fs::read_dir(&crashed).unwrap().map(|e| e.unwrap().path());
    let journal = journal.find(|p| p.extension().is_some_and(|e| e == "jnl")).unwrap();
    let whole = fs::read(&journal).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;

    let mut seen = vec![];
    for cut in (0..=used).step_by(37).chain([used]) {
        let torn = folder.path().join(format!("torn-{cut}"));
        copy(&crashed, &torn);
        fs::write(torn.join(journal.file_name().unwrap()), &whole[..cut]).unwrap();
        seen.push(check_whole(&acme, &FjallHot::open(&torn).unwrap()));
    }
    assert!(seen.is_sorted());
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&3)));
}

#[test]
fn a_committed_group_is_there_without_an_orderly_end() {
    let acme = tenant("acme");
    let keys = ring(&acme, 1);
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let store = FjallHot::open(&live).unwrap();
    for number in 1..=20 {
        store.commit(group(&acme, &keys, number)).unwrap();
        let crashed = folder.path().join(format!("crashed-{number}"));
        copy(&live, &crashed);
        assert_eq!(check_whole(&acme, &FjallHot::open(&crashed).unwrap()), number);
    }
}

#[test]
fn a_snapshot_does_not_change() {
    let acme = tenant("acme");
    let keys = ring(&acme, 1);
    let folder = tempfile::tempdir().unwrap();
    let store = FjallHot::open(folder.path()).unwrap();
    store.commit(group(&acme, &keys, 1)).unwrap();
    let before = store.snapshot();
    let mut batch = group(&acme, &keys, 2);
    batch.delete(Space::Sessions, b"at".to_vec());
    store.commit(batch).unwrap();
    assert_eq!(before.get(Table::Owner(Space::Sessions), b"at").unwrap(), Some(1_u64.to_be_bytes().to_vec()));
    assert_eq!(store.snapshot().get(Table::Owner(Space::Sessions), b"at").unwrap(), None);
    assert_eq!(before.scan(Table::Records, b"").count(), 2);
}

#[test]
fn a_second_opener_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let _first = FjallHot::open(folder.path()).unwrap();
    assert!(matches!(FjallHot::open(folder.path()), Err(StoreError::Conflict { .. })));
}

#[test]
fn a_table_that_changes_rarely_keeps_no_old_journals() {
    const MIB: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let store = FjallHot::open(folder.path()).unwrap();
    // What no compression makes smaller.
    let mut noise = std::iter::successors(Some(1_u64), |last| {
        Some(last.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1))
    })
    .flat_map(|word| word.to_be_bytes().into_iter().take(4));
    let mut put = |space, number: usize| {
        let mut batch = Batch::new();
        let value = noise.by_ref().take(MIB).collect::<Vec<_>>();
        batch.put(space, number.to_be_bytes(), value);
        store.write(batch).unwrap();
    };
    put(Space::Meta, 0);
    (0..320).for_each(|number| put(Space::Sessions, number));
    let journals = || {
        let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        let journals = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "jnl"));
        journals.map(|file| file.metadata().unwrap().len()).sum::<u64>()
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while journals() > 200 * MIB as u64 {
        assert!(std::time::Instant::now() < until, "{} bytes of journals", journals());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
