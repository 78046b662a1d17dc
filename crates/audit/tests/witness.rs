//! A witness: what it co-signs, what it refuses, and what a quorum of them is worth.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use proptest::prelude::*;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::cosignature::{WitnessKey, cosign};
use thingward_audit::frontier::{Frontier, root_over};
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::quorum::{Quorum, QuorumError, QuorumMissing, cosignature_line};
use thingward_audit::tree::{Nodes, consistency_proof};
use thingward_audit::witness::{AddCheckpoint, Damaged, Refusal, Seen};
use thingward_audit::{EMPTY_ROOT, Hash, Subtree, leaf_hash};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

const ORIGIN: &str = "log.test/acme";

fn signer(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

fn keys() -> Vec<LogKey> {
    vec![LogKey::new(ORIGIN, signer(1).public_key()).unwrap()]
}

/// A log whose entries from `fork` on are of another history.
#[derive(Clone)]
struct Log(Vec<Hash>);

impl Log {
    fn new(size: u64, fork: u64) -> Self {
        let entry = |n: u64| format!("{} {n}", if n < fork { "a" } else { "b" });
        Self((0..size).map(|n| leaf_hash(entry(n).as_bytes())).collect())
    }

    fn root(&self, size: u64) -> Hash {
        let mut tree = Frontier::default();
        self.0.iter().take(usize::try_from(size).unwrap()).for_each(|leaf| tree.push(*leaf, |_, _| ()));
        tree.root()
    }

    fn note(&self, size: u64, origin: &str, key: u8) -> String {
        let root = self.root(size);
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root, extensions: Vec::new() };
        checkpoint.sign(&signer(key)).unwrap()
    }

    fn body(&self, old: u64, size: u64) -> String {
        let proof = consistency_proof(self, Subtree::first(old), size).unwrap();
        AddCheckpoint::body(old, &proof, &self.note(size, ORIGIN, 1))
    }
}

impl Nodes for Log {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let first = usize::try_from(index << level).unwrap();
        Ok(root_over(&self.0[first..first + (1 << level)]))
    }
}

fn decide(body: &str, last: &Seen) -> Result<Seen, Refusal> {
    body.parse::<AddCheckpoint>()?.decide(&keys(), last).map(|accepted| *accepted.seen())
}

/// What a witness has seen that was shown a log of this size.
fn seen(size: u64) -> Seen {
    decide(&Log::new(size, u64::MAX).body(0, size), &Seen::default()).unwrap()
}

#[test]
fn a_log_that_only_grows_is_co_signed_at_every_step() {
    let log = Log::new(40, u64::MAX);
    let mut last = Seen::default();
    for size in [0, 1, 1, 2, 7, 8, 8, 31, 40] {
        last = decide(&log.body(last.size(), size), &last).unwrap();
        assert_eq!(last.size(), size);
        assert_eq!(Seen::from_file(ORIGIN, &last.to_file(ORIGIN)), Ok(last));
    }
}

#[test]
fn each_wrong_request_is_refused_with_its_status() {
    let (log, fork) = (Log::new(20, u64::MAX), Log::new(20, 7));
    let (last, at_10, other) = (seen(10), Refusal::Conflict { size: 10 }, Refusal::OtherRoot { size: 10 });
    #[track_caller]
    fn check(what: &str, body: &str, last: &Seen, want: Refusal, status: u16) {
        assert_eq!(decide(body, last), Err(want), "{what}");
        assert_eq!(want.status(), status, "{what}");
    }
    let check = |what, body: &str, want, status| check(what, body, &last, want, status);
    let good = log.body(10, 20);
    assert!(decide(&good, &last).is_ok());
    check("an older size than the last", &log.body(5, 20), at_10, 409);
    check("a newer size than the last", &log.body(12, 20), at_10, 409);
    check("from nothing", &log.body(0, 20), at_10, 409);
    check("the same size of another history", &fork.body(10, 10), other, 409);
    check("the same from nothing", &fork.body(0, 10), other, 409);
    check("another history", &fork.body(10, 20), Refusal::Proof, 422);
    check("a smaller log", &good.replace("old 10", "old 21"), Refusal::Malformed, 400);
    let proof = good.lines().nth(1).unwrap();
    check("a hash missing", &good.replacen(&format!("{proof}\n"), "", 1), Refusal::Proof, 422);
    check("a hash too many", &good.replacen(proof, &format!("{proof}\n{proof}"), 1), Refusal::Proof, 422);
    check(
        "another log",
        &AddCheckpoint::body(0, &[], &log.note(5, "log.test/x", 1)),
        Refusal::UnknownOrigin,
        404,
    );
    check("another key", &AddCheckpoint::body(10, &[], &log.note(10, ORIGIN, 2)), Refusal::Unsigned, 403);
    let mut bent = good.clone();
    let at = bent.len() - 20;
    bent.replace_range(at..=at, if &bent[at..=at] == "a" { "b" } else { "a" });
    check("a bent signature", &bent, Refusal::Unsigned, 403);
    let long = format!("old 10\n{}", format!("{proof}\n").repeat(64));
    for (what, body) in [
        ("nothing", String::new()),
        ("no proof line", good.replacen(proof, "x", 1)),
        ("no number", good.replace("old 10", "old ten")),
        ("a leading zero", good.replace("old 10", "old 010")),
        ("a sign", good.replace("old 10", "old +10")),
        ("no old size", good.replace("old 10\n", "")),
        ("no checkpoint", "old 10\n\n".to_owned()),
        ("64 hashes", good.replacen(&format!("old 10\n{proof}\n"), &long, 1)),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("no end of line", good.trim_end().to_owned()),
    ] {
        check(what, &body, Refusal::Malformed, 400);
    }
}

#[test]
fn what_convicts_a_log_is_evidence_and_what_comes_of_being_late_is_none() {
    let (log, fork, last) = (Log::new(20, u64::MAX), Log::new(20, 7), seen(10));
    let is_evidence = |body: &str| decide(body, &last).unwrap_err().is_evidence();
    assert!(is_evidence(&fork.body(10, 10)));
    assert!(is_evidence(&fork.body(10, 20)));
    assert!(!is_evidence(&log.body(5, 20)));
    assert!(!is_evidence(&AddCheckpoint::body(10, &[], &fork.note(10, ORIGIN, 2))), "anybody can make that");
}

#[test]
fn an_empty_tree_has_one_root() {
    let note = |root| {
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root, extensions: Vec::new() };
        AddCheckpoint::body(0, &[], &checkpoint.sign(&signer(1)).unwrap())
    };
    assert_eq!(decide(&note(EMPTY_ROOT), &Seen::default()), Ok(Seen::default()));
    let other = decide(&note([1; 32]), &Seen::default());
    assert_eq!(other, Err(Refusal::OtherRoot { size: 0 }));
}

#[test]
fn a_state_file_that_was_torn_changed_or_swapped_is_not_believed() {
    let file = seen(10).to_file(ORIGIN);
    assert_eq!(Seen::from_file("log.test/other", &file), Err(Damaged));
    for at in 0..file.len() {
        assert_eq!(Seen::from_file(ORIGIN, &file[..at]), Err(Damaged), "cut to {at}");
        let mut bent = file.clone().into_bytes();
        bent[at] ^= 1;
        let bent = String::from_utf8(bent).unwrap();
        assert_eq!(Seen::from_file(ORIGIN, &bent), Err(Damaged), "bit in {at}");
    }
}

fn witness(seed: u8) -> WitnessKey {
    WitnessKey::new(&format!("witness.test/{seed}"), signer(seed).public_key()).unwrap()
}

/// The log's note with the cosignatures of these witnesses.
fn cosigned(note: &str, witnesses: &[u8]) -> String {
    let text = SignedNote::parse(note).unwrap().text_unverified().to_owned();
    witnesses.iter().fold(note.to_owned(), |all, seed| {
        let answer = cosign(&text, 1_800_000_000, witness(*seed).name(), &signer(*seed)).unwrap();
        all + &cosignature_line(note, &answer, &witness(*seed)).unwrap()
    })
}

#[test]
fn a_quorum_counts_each_witness_once_and_strangers_never() {
    let note = Log::new(3, u64::MAX).note(3, ORIGIN, 1);
    let quorum = Quorum::new(vec![witness(11), witness(12), witness(13)], 2).unwrap();
    let check = |by: &[u8]| {
        let note = SignedNote::parse(&cosigned(&note, by)).unwrap();
        quorum.check(&note).map(|all| all.into_iter().map(|w| w.witness).collect::<Vec<_>>())
    };
    let names = |seeds: &[u8]| Ok(seeds.iter().map(|s| format!("witness.test/{s}")).collect::<Vec<_>>());
    assert_eq!(check(&[12, 11]), names(&[11, 12]));
    assert_eq!(check(&[13, 20, 11]), names(&[11, 13]));
    for (by, has) in [(&[][..], 0), (&[11], 1), (&[11, 11], 0), (&[20, 21], 0), (&[11, 20], 1)] {
        assert_eq!(check(by), Err(QuorumMissing { has, wanted: 2 }), "{by:?}");
    }
    let twin = WitnessKey::new("another.name", signer(11).public_key()).unwrap();
    assert_eq!(Quorum::new(vec![witness(11), twin], 1), Err(QuorumError::SameKey));
    let few = Err(QuorumError::TooFew { witnesses: 1, wanted: 2 });
    assert_eq!(Quorum::new(vec![witness(11)], 2), few);
}

#[test]
fn nothing_but_the_right_cosignature_is_taken_from_an_answer() {
    let log = Log::new(5, u64::MAX);
    let (note, other) = (log.note(5, ORIGIN, 1), log.note(4, ORIGIN, 1));
    let answer = |note: &str, seed| {
        let text = SignedNote::parse(note).unwrap().text_unverified().to_owned();
        cosign(&text, 1, witness(11).name(), &signer(seed)).unwrap()
    };
    let take = |answer: &str| cosignature_line(&note, answer, &witness(11));
    let right = answer(&note, 11);
    assert_eq!(take(&right), Ok(right.clone()));
    let stranger = cosign("x\n", 1, "stranger", &signer(20)).unwrap();
    assert_eq!(take(&format!("{stranger}{right}")), Ok(right.clone()));
    for wrong in [
        answer(&other, 11),
        answer(&note, 12),
        right.replace("witness.test", "witness.best"),
        format!("{right}{right}"),
        format!("{right}{right}").repeat(64),
        format!("\n{right}"),
        "hello\n".to_owned(),
        String::new(),
    ] {
        assert!(take(&wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_order_of_two_histories_gets_both_co_signed(
        requests in proptest::collection::vec((any::<bool>(), 0_u64..24, 0_u64..24, any::<bool>()), 1..40),
    ) {
        let logs = [Log::new(24, u64::MAX), Log::new(24, 6)];
        let mut last = Seen::default();
        let mut signed: Vec<(u64, Hash)> = Vec::new();
        for (fork, old, size, told) in requests {
            let log = &logs[usize::from(fork)];
            let old = if told { last.size() } else { old }.min(size);
            if let Ok(accepted) = decide(&log.body(old, size), &last) {
                prop_assert!(accepted.size() >= last.size());
                last = accepted;
                signed.push((size, log.root(size)));
            }
        }
        let of = |log: &Log| signed.iter().all(|(size, root)| log.root(*size) == *root);
        prop_assert!(of(&logs[0]) || of(&logs[1]));
    }
}
