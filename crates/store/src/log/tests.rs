//! A log that grows through several tile levels, is rolled at every point, and is read back.

use tempfile::TempDir;
use thingward_audit::{Subtree, verify_consistency, verify_inclusion};

use super::*;
use crate::hot::FjallHot;
use crate::shelf::Shelf;

struct Bed {
    folder: TempDir,
    hot: FjallHot,
    end: Frontier,
}

fn tenant() -> TenantName {
    "acme".parse().unwrap()
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

impl Bed {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let hot = FjallHot::open(&folder.path().join("hot")).unwrap();
        Self { folder, hot, end: Frontier::default() }
    }

    fn log(&self) -> TenantLog<'_> {
        TenantLog::new(tenant(), &self.hot, Shelf::new(self.folder.path(), "logs", None))
    }

    fn append(&mut self, count: u64) {
        let mut batch = Batch::new();
        for index in self.end.size()..self.end.size() + count {
            batch.put_log_entry(&tenant(), index, entry(index)).unwrap();
            self.end.push(leaf_hash(&entry(index)), |_, _| ());
        }
        self.hot.commit(batch).unwrap();
    }

    fn check(&self) {
        let (log, size) = (self.log(), self.end.size());
        assert_eq!(log.end().unwrap(), self.end);
        assert_eq!(log.check().unwrap(), size);
        let root = log.view().unwrap().root(size).unwrap();
        assert_eq!(root, self.end.root());
        for index in [0, 1, size / 2, size.saturating_sub(2), size.saturating_sub(1)] {
            if index < size {
                let proof = log.view().unwrap().inclusion_proof(index, size).unwrap();
                verify_inclusion(index, &leaf_hash(&entry(index)), Subtree::first(size), &root, &proof)
                    .unwrap();
                assert_eq!(log.entries(index, 1).unwrap(), [(index, entry(index))]);
            }
        }
        for earlier in [0, 1, 255, 256, 257, size / 3, size] {
            if earlier <= size {
                let proof = log.view().unwrap().consistency_proof(earlier, size).unwrap();
                let old = log.view().unwrap().root(earlier).unwrap();
                verify_consistency(Subtree::first(earlier), &old, size, &root, &proof).unwrap();
            }
        }
        assert!(matches!(log.view().unwrap().inclusion_proof(size, size), Err(StoreError::NotFound { .. })));
        assert!(matches!(
            log.view().unwrap().consistency_proof(size + 1, size),
            Err(StoreError::NotFound { .. })
        ));
    }
}

#[test]
fn a_log_is_the_same_before_and_after_its_entries_go_to_files() {
    let mut bed = Bed::new();
    bed.check();
    for count in [1, 254, 1, 1, 300, 600] {
        bed.append(count);
        bed.check();
        bed.log().roll().unwrap();
        bed.check();
        assert_eq!(bed.log().roll().unwrap(), 0);
    }
    let all = bed.log().entries(0, ENTRIES_MAX).unwrap();
    assert!(all.iter().map(|(index, _)| *index).eq(0..bed.end.size()));
    assert!(all.iter().all(|(index, bytes)| *bytes == entry(*index)));
}

#[test]
fn tiles_of_the_second_level_are_written_and_read() {
    let mut bed = Bed::new();
    bed.append(256 * 256 + 300);
    assert_eq!(bed.log().roll().unwrap(), 256 * 257);
    bed.check();
    bed.append(10);
    bed.check();
    let path = bed.folder.path().join("logs/acme/tile/1/000");
    assert_eq!(std::fs::metadata(path).unwrap().len(), 256 * 32);
}

#[test]
fn every_piece_that_a_client_may_ask_for_is_served_and_no_other() {
    let mut bed = Bed::new();
    bed.append(600);
    bed.log().roll().unwrap();
    let piece = |path: &str| bed.log().piece(Tile::parse(path).unwrap(), 600).unwrap();
    for (path, bytes) in [
        ("tile/0/000", 256 * 32),
        ("tile/0/002.p/88", 88 * 32),
        ("tile/0/002.p/1", 32),
        ("tile/1/000.p/2", 64),
    ] {
        assert_eq!(piece(path).unwrap().len(), bytes, "{path}");
    }
    for path in
        ["tile/0/002", "tile/0/002.p/89", "tile/0/003.p/1", "tile/1/000", "tile/1/000.p/3", "tile/5/999"]
    {
        assert_eq!(piece(path), None, "{path}");
    }
    let bundle = piece("tile/entries/002.p/88").unwrap();
    let entries = thingward_audit::tile::entries(&bundle).unwrap();
    assert_eq!((entries.len(), entries[0]), (88, entry(512).as_slice()));
    assert_eq!(piece("tile/entries/002"), None);
}

#[test]
fn a_missing_or_changed_piece_is_damage_and_never_another_tree() {
    let mut bed = Bed::new();
    bed.append(600);
    bed.log().roll().unwrap();
    for name in ["tile/0/001", "tile/entries/001"] {
        let file = bed.folder.path().join("logs/acme").join(name);
        let good = std::fs::read(&file).unwrap();
        let mut bent = good.clone();
        bent[40] ^= 1;
        for wrong in [Some(&good[1..]), Some(&bent), None] {
            match wrong {
                Some(wrong) => std::fs::write(&file, wrong).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            assert!(matches!(bed.log().check(), Err(StoreError::Corrupt { .. })), "{name}");
            assert!(matches!(bed.log().entries(300, 1), Err(StoreError::Corrupt { .. })), "{name}");
            assert_eq!(bed.log().end().unwrap(), bed.end);
            assert_eq!(
                bed.log().view().unwrap().root(600).unwrap(),
                bed.end.root(),
                "the root is of what is hot"
            );
            std::fs::write(&file, &good).unwrap();
        }
        bed.check();
    }
}

#[test]
fn whoever_has_the_files_makes_no_other_log_of_them() {
    let (mut bed, mut other) = (Bed::new(), Bed::new());
    bed.append(300);
    bed.log().roll().unwrap();
    // The same with an entry taken out: bundle and tile fit each other.
    let mut batch = Batch::new();
    for index in 0..300 {
        batch.put_log_entry(&tenant(), index, entry(index + 1)).unwrap();
    }
    other.hot.commit(batch).unwrap();
    other.log().roll().unwrap();
    other.end = Frontier::default();
    let names = ["tile/0/000", "tile/entries/000"];
    let path = |bed: &Bed, name| bed.folder.path().join("logs/acme").join(name);
    for name in names {
        std::fs::copy(path(&other, name), path(&bed, name)).unwrap();
    }
    assert_eq!(bed.log().end().unwrap(), bed.end);
    assert!(matches!(bed.log().check(), Err(StoreError::Corrupt { .. })));
    assert!(matches!(bed.log().entries(0, 1), Err(StoreError::Corrupt { .. })));
    assert!(matches!(bed.log().view().unwrap().inclusion_proof(0, 300), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_log_that_has_lost_its_last_entries_does_not_write_over_its_files() {
    let mut bed = Bed::new();
    bed.append(600);
    bed.log().roll().unwrap();
    let emptied = Bed { hot: FjallHot::open(&bed.folder.path().join("other")).unwrap(), ..Bed::new() };
    let mut batch = Batch::new();
    for index in 0..256 {
        batch.put_log_entry(&tenant(), index, format!("rewritten {index}").into_bytes()).unwrap();
    }
    emptied.hot.commit(batch).unwrap();
    let rewriting = TenantLog::new(tenant(), &emptied.hot, Shelf::new(bed.folder.path(), "logs", None));
    assert!(matches!(rewriting.roll(), Err(StoreError::Corrupt { .. })));
    bed.check();
}

#[test]
fn an_entry_has_a_size_that_a_bundle_can_hold() {
    let mut batch = Batch::new();
    assert!(batch.put_log_entry(&tenant(), 0, Vec::new()).is_err());
    assert!(batch.put_log_entry(&tenant(), 0, vec![0; ENTRY_BYTES_MAX + 1]).is_err());
    assert!(batch.put_log_entry(&tenant(), 0, vec![0; ENTRY_BYTES_MAX]).is_ok());
}
