//! Our own log: what it says of itself holds, and nothing else does.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::cosignature::{WitnessKey, cosign, verify_cosignature};
use thingward_audit::frontier::{Frontier, WrongTile};
use thingward_audit::note::{LogKey, NoteError, SignedNote};
use thingward_audit::tile::{self, ENTRY_BYTES_MAX, Kind, Tile};
use thingward_audit::tree::{self, Nodes};
use thingward_audit::{
    Hash, ProofError, Subtree, leaf_hash, node_hash, verify_consistency, verify_inclusion,
};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

/// All nodes of a tree, the simple way.
struct AllNodes(Vec<Vec<Hash>>);

impl AllNodes {
    fn of(entries: &[Vec<u8>]) -> Self {
        let mut levels = vec![entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>()];
        while levels.last().unwrap().len() > 1 {
            let (pairs, _) = levels.last().unwrap().as_chunks::<2>();
            let level = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(level);
        }
        Self(levels)
    }
}

impl Nodes for AllNodes {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[usize::from(level)][usize::try_from(index).unwrap()])
    }
}

fn entries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| i.to_be_bytes().to_vec()).collect()
}

fn frontier(entries: &[Vec<u8>]) -> (Frontier, HashMap<Tile, Vec<Hash>>) {
    let (mut log, mut tiles) = (Frontier::default(), HashMap::new());
    for entry in entries {
        log.push(leaf_hash(entry), |tile, hashes| drop(tiles.insert(tile, hashes.to_vec())));
    }
    (log, tiles)
}

fn key(algorithm: SignatureAlgorithm, seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &[seed; 32]).unwrap()
}

#[test]
fn every_leaf_of_every_small_tree_is_proved_and_no_other_place_or_tree_accepts_the_proof() {
    let all = entries(40);
    for size in 1..=all.len() as u64 {
        let (log, _) = frontier(&all[..usize::try_from(size).unwrap()]);
        let nodes = AllNodes::of(&all[..usize::try_from(size).unwrap()]);
        let root = tree::root(&nodes, size).unwrap();
        assert_eq!(root, log.root());
        for index in 0..size {
            let leaf = leaf_hash(&all[usize::try_from(index).unwrap()]);
            let proof = tree::inclusion_proof(&nodes, index, Subtree::first(size)).unwrap();
            let check =
                |index, size, root| verify_inclusion(index, &leaf, Subtree::first(size), root, &proof);
            assert_eq!(check(index, size, &root), Ok(()));
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(check(other, size, &root).is_err(), "{index} of {size} passes for {other}");
            }
            assert_eq!(check(index, size, &leaf_hash(b"")), Err(ProofError::Root));
            let longer = [&proof[..], &[leaf]].concat();
            assert!(verify_inclusion(index, &leaf, Subtree::first(size), &root, &longer).is_err());
        }
    }
}

#[test]
fn every_subtree_of_every_small_tree_is_proved_and_bends_nowhere() {
    let all = entries(20);
    for size in 1..=all.len() {
        let nodes = AllNodes::of(&all[..size]);
        let root = tree::root(&nodes, size as u64).unwrap();
        for (start, end) in (0..=size).flat_map(|start| (start + 1..=size).map(move |end| (start, end))) {
            let Some(part) = Subtree::new(start as u64, end as u64) else { continue };
            let part_root = frontier(&all[start..end]).0.root();
            let proof = tree::consistency_proof(&nodes, part, size as u64).unwrap();
            let check = |part_root: &Hash, root: &Hash, proof: &[Hash]| {
                verify_consistency(part, part_root, size as u64, root, proof)
            };
            assert_eq!(check(&part_root, &root, &proof), Ok(()), "{start}..{end} of {size}");
            for at in 0..proof.len() {
                let mut bent = proof.clone();
                bent[at][at % 32] ^= 1;
                assert_eq!(check(&part_root, &root, &bent), Err(ProofError::Root));
                assert!(check(&part_root, &root, &proof[..at]).is_err());
            }
            assert!(check(&leaf_hash(b""), &root, &proof).is_err());
            if part != Subtree::first(size as u64) {
                assert!(check(&part_root, &leaf_hash(b""), &proof).is_err());
            }
        }
    }
}

#[test]
fn full_tiles_of_every_level_come_out_once_and_the_rest_restores_the_log() {
    let all = entries(256 * 256 + 300);
    let (log, tiles) = frontier(&all);
    let count = |level: u8| tiles.keys().filter(|t| t.kind == Kind::Hashes { level }).count();
    assert_eq!((count(0), count(1), count(2)), (257, 1, 0));
    let first = Tile { kind: Kind::Hashes { level: 0 }, index: 0, width: 256 };
    assert_eq!(tiles[&first][7], leaf_hash(&all[7]));
    let names: Vec<_> = log.partial().map(|(tile, _)| tile.to_string()).collect();
    assert_eq!(names, ["tile/0/257.p/44", "tile/1/001.p/1", "tile/2/000.p/1"]);
    let mut levels = vec![Vec::new(); 3];
    for (tile, hashes) in log.partial() {
        let Kind::Hashes { level } = tile.kind else { continue };
        levels[usize::from(level)] = hashes.to_vec();
    }
    assert_eq!(Frontier::restore(log.size(), levels.clone()).unwrap(), log);
    levels[0].pop();
    let wrong = WrongTile { level: 0, has: 43, wanted: 44 };
    assert_eq!(Frontier::restore(log.size(), levels), Err(wrong));
}

#[test]
fn a_path_names_one_piece_and_no_other_text_names_it() {
    for (path, index, width) in [
        ("tile/0/000", 0, 256),
        ("tile/5/999.p/255", 999, 255),
        ("tile/entries/x001/000", 1000, 256),
        ("tile/entries/x123/x456/789.p/1", 123_456_789, 1),
    ] {
        let tile = Tile::parse(path).unwrap();
        assert_eq!((tile.index, tile.width, tile.to_string().as_str()), (index, width, path));
    }
    for path in [
        "",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/6/000",
        "tile/-1/000",
        "tile/0/+00",
        "tile/0/x000/001",
        "tile/0/1000",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/../000",
        "tile/entries/000/",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
}

#[test]
fn a_bundle_gives_back_its_entries_and_none_that_is_cut() {
    let mut bundle = Vec::new();
    for entry in [&b"one"[..], b"", &[7; ENTRY_BYTES_MAX]] {
        tile::push_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(tile::push_entry(&mut Vec::new(), &[0; ENTRY_BYTES_MAX + 1]), None);
    assert_eq!(tile::entries(&bundle).unwrap(), [&b"one"[..], b"", &[7; ENTRY_BYTES_MAX]]);
    for cut in [1, 4, 6, 8, bundle.len() - 1] {
        assert_eq!(tile::entries(&bundle[..cut]), None, "{cut}");
    }
    assert_eq!(tile::hashes(&[0; 33]), None);
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "log.test/acme".to_owned(), size, root: [7; 32], extensions: Vec::new() }
}

#[test]
fn a_checkpoint_is_taken_from_its_log_only() {
    let log = key(SignatureAlgorithm::Ed25519, 1);
    let note = checkpoint(9).sign(&log).unwrap();
    let named = LogKey::new("log.test/acme", log.public_key()).unwrap();
    assert_eq!(named.to_string().parse::<LogKey>().unwrap(), named);
    let parsed = SignedNote::parse(&note).unwrap();
    assert_eq!(Checkpoint::verify(&parsed, &named), Ok(checkpoint(9)));
    let other = LogKey::new("log.test/acme", key(SignatureAlgorithm::Ed25519, 2).public_key()).unwrap();
    assert_eq!(Checkpoint::verify(&parsed, &other), Err(NoteError::Unsigned));
    let elsewhere = LogKey::new("log.test/globex", log.public_key()).unwrap();
    assert_eq!(Checkpoint::verify(&parsed, &elsewhere), Err(NoteError::Unsigned));
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(bent) = String::from_utf8(bytes) else { continue };
        let verdict = SignedNote::parse(&bent).and_then(|note| Checkpoint::verify(&note, &named));
        assert!(verdict.is_err(), "byte {at}: {bent}");
    }
    let p256 = key(SignatureAlgorithm::EcdsaP256, 1);
    assert_eq!(checkpoint(9).sign(&p256), Err(NoteError::Key));
}

#[test]
fn texts_that_are_no_checkpoint_are_refused() {
    let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let good = format!("log.test/acme\n9\n{root}\n");
    assert_eq!(good.parse(), Ok(checkpoint(9)));
    assert_eq!(format!("{good}more\n").parse::<Checkpoint>().unwrap().extensions, ["more"]);
    for bad in [
        String::new(),
        format!("log.test/acme\n9\n{root}"),
        format!("\n9\n{root}\n"),
        format!("log.test/acme\n09\n{root}\n"),
        format!("log.test/acme\n+9\n{root}\n"),
        format!("log.test/acme\n18446744073709551616\n{root}\n"),
        "log.test/acme\n9\nBwc=\n".to_owned(),
        format!("{good}\nmore\n"),
    ] {
        assert_eq!(bad.parse::<Checkpoint>(), Err(NoteError::Malformed), "{bad:?}");
    }
}

#[test]
fn a_witness_signs_the_text_and_the_time() {
    let (log, witness) = (key(SignatureAlgorithm::Ed25519, 1), key(SignatureAlgorithm::Ed25519, 3));
    let note = checkpoint(9).sign(&log).unwrap();
    let text = checkpoint(9).to_string();
    let line = cosign(&text, 1_800_000_000, "witness.test", &witness).unwrap();
    let note = SignedNote::parse(&format!("{note}{line}")).unwrap();
    let named = WitnessKey::new("witness.test", witness.public_key()).unwrap();
    assert_eq!(verify_cosignature(&note, &named), Ok(1_800_000_000));
    let as_log = LogKey::new("witness.test", witness.public_key()).unwrap();
    assert_eq!(note.verify(&as_log), Err(NoteError::Unsigned));
    assert!(named.to_string().parse::<LogKey>().is_err());

    let other = cosign(&checkpoint(10).to_string(), 1_800_000_000, "witness.test", &witness).unwrap();
    let bent = SignedNote::parse(&format!("{}{other}", checkpoint(9).sign(&log).unwrap())).unwrap();
    assert_eq!(verify_cosignature(&bent, &named), Err(NoteError::Signature));
}

proptest! {
    #[test]
    fn notes_bundles_and_paths_from_outside_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = tile::entries(&bytes);
        let _ = tile::hashes(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = SignedNote::parse(&text);
        let _ = Tile::parse(&text);
        let _ = text.parse::<Checkpoint>();
        let _ = text.parse::<LogKey>();
    }
}
