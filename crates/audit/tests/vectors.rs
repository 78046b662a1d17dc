//! Published proofs, logs and notes.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::frontier::Frontier;
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::tile::{self, Tile};
use thingward_audit::{EMPTY_ROOT, Hash, Subtree, leaf_hash, verify_consistency, verify_inclusion};

/// The cases of a file; none where the shared vectors are absent.
fn cases(file: &str) -> Option<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/merkle").join(file);
    let Ok(text) = fs::read_to_string(path) else {
        println!("skipped: the shared vectors are not here ({file})");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// A hash; none when it has not 32 bytes, which no proof can have.
fn hash(text: &Json) -> Option<Hash> {
    STANDARD.decode(text.as_str()?).unwrap().try_into().ok()
}

fn proof(case: &Json) -> Option<Vec<Hash>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |all| all.iter().map(hash).collect())
}

/// Plays each case; `verify` says whether it holds.
fn play(file: &str, verify: impl Fn(&Json) -> Option<bool>) {
    let Some(file) = cases(file) else { return };
    let all = file["cases"].as_array().unwrap();
    assert_eq!(all.len() as u64, file["count"].as_u64().unwrap());
    for case in all {
        let holds = verify(case).unwrap_or(false);
        assert_eq!(holds, !case["wantErr"].as_bool().unwrap(), "{}", case["id"]);
    }
}

fn subtree(case: &Json) -> Option<Subtree> {
    Subtree::new(case["start"].as_u64().unwrap(), case["end"].as_u64().unwrap())
}

#[test]
fn the_published_inclusion_proofs_hold_or_are_refused_as_they_should() {
    let check = |case: &Json, part: Subtree| {
        let index = case["leafIdx"].as_u64().unwrap();
        let verdict =
            verify_inclusion(index, &hash(&case["leafHash"])?, part, &hash(&case["root"])?, &proof(case)?);
        Some(verdict.is_ok())
    };
    play("inclusion.json", |case| check(case, Subtree::first(case["treeSize"].as_u64().unwrap())));
    play("subtreeinclusion.json", |case| check(case, subtree(case)?));
}

#[test]
fn the_published_consistency_proofs_hold_or_are_refused_as_they_should() {
    let check = |case: &Json, part: Subtree, size: &str| {
        // Some cases have a text there that is no hash: it must not be looked at, or be refused as any other.
        let (part_root, root) = (hash(&case["root1"])?, hash(&case["root2"]).unwrap_or_default());
        let size = case[size].as_u64().unwrap();
        Some(verify_consistency(part, &part_root, size, &root, &proof(case)?).is_ok())
    };
    play("consistency.json", |case| check(case, Subtree::first(case["size1"].as_u64().unwrap()), "size2"));
    play("subtreeconsistency.json", |case| check(case, subtree(case)?, "size"));
}

#[test]
fn the_reference_tree_of_rfc_6962_has_its_roots() {
    let Some(tree) = cases("rfc6962_reference_tree.json") else { return };
    let unhex = |text: &Json| -> Vec<u8> {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    assert_eq!(unhex(&tree["empty_root"]), EMPTY_ROOT);
    let mut log = Frontier::default();
    let roots = tree["root_hashes_sizes_1_to_8"].as_array().unwrap();
    for (entry, root) in tree["leaf_inputs"].as_array().unwrap().iter().zip(roots) {
        log.push(leaf_hash(&unhex(entry)), |_, _| ());
        assert_eq!(unhex(root), log.root());
    }
    assert_eq!(log.size(), 8);
}

#[test]
fn a_growing_log_of_others_is_read_and_has_the_roots_it_says() {
    let Some(file) = cases("tessera_log.json") else { return };
    let key: LogKey = file["vkey"].as_str().unwrap().parse().unwrap();
    let unhex = |text: &Json| -> Vec<u8> {
        let text = text.as_str().unwrap_or_default();
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    for case in file["cases"].as_array().unwrap() {
        let note = SignedNote::parse(case["checkpoint"].as_str().unwrap()).unwrap();
        let checkpoint = Checkpoint::verify(&note, &key).unwrap();
        let mut log = Frontier::default();
        let bundle = unhex(&case["entry_bundle"]);
        tile::entries(&bundle).unwrap().iter().for_each(|entry| log.push(leaf_hash(entry), |_, _| ()));
        assert_eq!((log.size(), log.root()), (checkpoint.size, checkpoint.root));
        let hashes = tile::hashes(&unhex(&case["level0_tile"])).unwrap();
        let partial: Vec<(Tile, &[Hash])> = log.partial().collect();
        assert!(partial.iter().map(|(_, hashes)| *hashes).eq((!hashes.is_empty()).then_some(&hashes[..])));
        assert_eq!(Frontier::restore(checkpoint.size, vec![hashes]), Ok(log));
    }
}

#[test]
fn the_published_notes_are_accepted_or_refused_as_they_should() {
    let Some(file) = cases("signed_notes.json") else { return };
    for case in file["cases"].as_array().unwrap() {
        let key: LogKey = case["vkey"].as_str().unwrap().parse().unwrap();
        let note = SignedNote::parse(case["note"].as_str().unwrap());
        let verdict = note.and_then(|note| note.verify(&key).map(drop));
        assert_eq!(verdict.is_ok(), case["valid"].as_bool().unwrap(), "{}", case["id"]);
    }
}
