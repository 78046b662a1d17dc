//! A witness over real sockets: a log that shows two histories is caught, whatever happens to the witness.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::cosignature::WitnessKey;
use thingward_audit::frontier::{Frontier, root_over};
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::quorum::{Quorum, QuorumMissing, cosignature_line};
use thingward_audit::tree::{Nodes, consistency_proof};
use thingward_audit::witness::{AddCheckpoint, Refusal};
use thingward_audit::{Hash, Subtree, leaf_hash};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_model::clock::now;
use thingward_witness::client::{AskError, Client};
use thingward_witness::home::{Home, HomeError};
use thingward_witness::server::Server;
use thingward_witness::witness::{NotCosigned, Witness};

const ORIGIN: &str = "log.test/acme";

/// A log whose entries from `fork` on are of another history.
struct Log(Vec<Hash>);

impl Log {
    fn new(fork: u64) -> Self {
        let entry = |n: u64| format!("{} {n}", if n < fork { "a" } else { "b" });
        Self((0..40).map(|n| leaf_hash(entry(n).as_bytes())).collect())
    }

    fn note(&self, size: u64) -> String {
        let mut tree = Frontier::default();
        self.0.iter().take(usize::try_from(size).unwrap()).for_each(|leaf| tree.push(*leaf, |_, _| ()));
        let (origin, root) = (ORIGIN.to_owned(), tree.root());
        Checkpoint { origin, size, root, extensions: Vec::new() }.sign(&log_signer()).unwrap()
    }

    fn proof(&self, old: u64, size: u64) -> Vec<Hash> {
        consistency_proof(self, Subtree::first(old), size).unwrap()
    }

    fn body(&self, old: u64, size: u64) -> String {
        AddCheckpoint::body(old, &self.proof(old, size), &self.note(size))
    }
}

impl Nodes for Log {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let first = usize::try_from(index << level).unwrap();
        Ok(root_over(self.0.get(first..first + (1 << level)).unwrap()))
    }
}

fn log_signer() -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap()
}

fn log_key() -> LogKey {
    LogKey::new(ORIGIN, log_signer().public_key()).unwrap()
}

fn made(folder: &Path) -> Home {
    Home::create(&folder.join("w"), "witness.test/w1", now()).unwrap()
}

fn opened(folder: &Path) -> Witness {
    Witness::new(Home::open(&folder.join("w")).unwrap(), vec![log_key()]).unwrap()
}

/// The one file of what was seen.
fn seen(folder: &Path) -> PathBuf {
    let all: Vec<_> = std::fs::read_dir(folder.join("w/seen")).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

/// A witness on a port of its own, its key, and a client for it.
async fn running(home: Home) -> (Arc<Client>, WitnessKey) {
    let (fingerprint, key) = (home.fingerprint(), home.key().unwrap());
    let witness = Witness::new(home, vec![log_key()]).unwrap();
    let server = Server::bind(witness, "127.0.0.1:0".parse().unwrap(), 8).await.unwrap();
    let url = format!("https://localhost:{}", server.local_addr().unwrap().port());
    tokio::spawn(server.run());
    (Arc::new(Client::new(url.parse().unwrap(), fingerprint).unwrap()), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_gets_no_quorum_for_its_second_history() {
    let folder = tempfile::tempdir().unwrap();
    let (client, key) = running(made(folder.path())).await;
    let quorum = Quorum::new(vec![key.clone()], 1).unwrap();
    let believed = |note: &str| quorum.check(&SignedNote::parse(note).unwrap());
    let (log, fork) = (Log::new(40), Log::new(7));

    let note = log.note(10);
    assert_eq!(believed(&note), Err(QuorumMissing { has: 0, wanted: 1 }));
    let answer = client.add_checkpoint(0, &[], &note).await.unwrap();
    let cosigned = note.clone() + &cosignature_line(&note, &answer, &key).unwrap();
    assert_eq!(believed(&cosigned).unwrap().len(), 1);

    // To somebody else the service says that entry 7 never was. Its key signs that too; the witness does not.
    for size in [8, 10, 20] {
        let lie = fork.note(size);
        let old = size.min(10);
        let refused = client.add_checkpoint(old, &fork.proof(old, size), &lie).await.unwrap_err();
        let caught =
            matches!(refused, AskError::Conflict { size: 10 } | AskError::Refused { status: 422, .. });
        assert!(caught, "{size}: {refused}");
        assert_eq!(believed(&lie), Err(QuorumMissing { has: 0, wanted: 1 }));
        // The cosignature over the truth does not fit the lie.
        let line = cosigned.strip_prefix(&note).unwrap();
        assert_eq!(believed(&(lie + line)), Err(QuorumMissing { has: 0, wanted: 1 }));
    }
    let more = log.note(20);
    let answer = client.add_checkpoint(10, &log.proof(10, 20), &more).await.unwrap();
    assert!(cosignature_line(&more, &answer, &key).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_at_once_one_history_is_co_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (client, _) = running(made(folder.path())).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32_u64 {
        let client = Arc::clone(&client);
        let (fork, size) = (n % 2 == 0, 10 + n / 2);
        tasks.spawn(async move {
            let log = Log::new(if fork { 3 } else { 40 });
            client.add_checkpoint(0, &[], &log.note(size)).await.map(|_| fork)
        });
    }
    let answers = tasks.join_all().await;
    let signed: Vec<bool> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(signed.len(), 1, "all of them start from nothing, so one comes first: {signed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_certificate_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (client, _) = running(made(folder.path())).await;
    let other = tempfile::tempdir().unwrap();
    let stranger = Client::new(client.url().clone(), made(other.path()).fingerprint()).unwrap();
    let asked = stranger.add_checkpoint(0, &[], &Log::new(40).note(1)).await;
    assert!(matches!(asked, Err(AskError::Unreachable(_))), "{asked:?}");
    assert!(client.add_checkpoint(0, &[], &Log::new(40).note(1)).await.is_ok());
}

#[test]
fn what_was_seen_survives_a_restart_and_two_processes_do_not_share_a_home() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let log = Log::new(40);
    let witness = opened(folder.path());
    witness.add_checkpoint(&log.body(0, 10), 1).unwrap();
    assert!(matches!(Home::open(&folder.path().join("w")), Err(HomeError::InUse { .. })));
    drop(witness);
    let witness = opened(folder.path());
    let refused = witness.add_checkpoint(&Log::new(3).body(0, 10), 2);
    assert!(matches!(refused, Err(NotCosigned::Refused(Refusal::OtherRoot { size: 10 }))));
    witness.add_checkpoint(&log.body(10, 11), 3).unwrap();
    drop(witness);
    let again = Home::create(&folder.path().join("w"), "witness.test/w2", now());
    assert!(matches!(again, Err(HomeError::Taken { .. })));
}

#[test]
fn a_torn_state_file_stops_the_log_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let other = LogKey::new("log.test/other", log_signer().public_key()).unwrap();
    let home = Home::open(&folder.path().join("w")).unwrap();
    let witness = Witness::new(home, vec![log_key(), other]).unwrap();
    let log = Log::new(40);
    witness.add_checkpoint(&log.body(0, 10), 1).unwrap();
    let file = seen(folder.path());
    let whole = std::fs::read(&file).unwrap();
    for torn in [&[][..], &whole[..whole.len() / 2], &whole[..whole.len() - 1], &[0; 100]] {
        std::fs::write(&file, torn).unwrap();
        for (old, size) in [(0, 10), (10, 11), (0, 1)] {
            let refused = witness.add_checkpoint(&log.body(old, size), 2);
            assert!(matches!(refused, Err(NotCosigned::Disk(_))), "{refused:?}");
        }
    }
    let root = Frontier::default().root();
    let empty = Checkpoint { origin: "log.test/other".to_owned(), size: 0, root, extensions: Vec::new() };
    let note = empty.sign(&log_signer()).unwrap();
    witness.add_checkpoint(&AddCheckpoint::body(0, &[], &note), 3).unwrap();
    std::fs::write(&file, &whole).unwrap();
    witness.add_checkpoint(&log.body(10, 11), 4).unwrap();
}

#[test]
fn what_cannot_be_kept_is_not_co_signed() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let (witness, log) = (opened(folder.path()), Log::new(40));
    witness.add_checkpoint(&log.body(0, 10), 1).unwrap();
    let file = seen(folder.path());
    // In the way of the file that is written first, and not to be removed like one.
    let in_the_way = file.with_extension("new");
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = witness.add_checkpoint(&log.body(10, 20), 2);
    assert!(matches!(refused, Err(NotCosigned::Disk(_))), "{refused:?}");
    std::fs::remove_dir(&in_the_way).unwrap();
    let at = witness.add_checkpoint(&log.body(20, 21), 3);
    assert!(matches!(at, Err(NotCosigned::Refused(Refusal::Conflict { size: 10 }))), "{at:?}");
    witness.add_checkpoint(&log.body(10, 20), 4).unwrap();
}

#[test]
fn a_home_whose_parts_are_missing_or_bent_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("w");
    assert!(matches!(Home::open(&home), Err(HomeError::Empty { .. })));
    drop(made(folder.path()));
    for name in ["sealing.key", "witness.key", "tls.key", "certificate.der", "vkey", "seen"] {
        let (path, aside) = (home.join(name), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        assert!(Home::open(&home).is_err(), "without {name}");
        assert!(!path.exists(), "{name} is not made anew");
        std::fs::rename(&aside, &path).unwrap();
    }
    for name in ["witness.key", "tls.key", "vkey"] {
        let path = home.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut bent = whole.clone();
        *bent.first_mut().unwrap() ^= 1;
        std::fs::write(&path, &bent).unwrap();
        assert!(matches!(Home::open(&home), Err(HomeError::Damaged { .. })), "{name}");
        std::fs::write(&path, &whole).unwrap();
    }
    Home::open(&home).unwrap();
}
