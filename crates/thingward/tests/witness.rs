//! The witness as a process of its own, and what an auditor makes of a service that lies.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Place, Running, free_port, shown, stops_cleanly, wait_for};
use serde_json::Value as Json;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::cosignature::WitnessKey;
use thingward_audit::entry::Entry;
use thingward_audit::frontier::{Frontier, root_over};
use thingward_audit::note::LogKey;
use thingward_audit::quorum::cosignature_line;
use thingward_audit::tile::push_entry;
use thingward_audit::tree::{Nodes, consistency_proof};
use thingward_audit::{Hash, Subtree, leaf_hash};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_witness::client::{AskError, Client};

const ORIGIN: &str = "log.test/acme";

/// A place with a witness in the folder `witness`, at a port of its own.
struct Witnessed {
    place: Place,
    key: WitnessKey,
    port: u16,
    fingerprint: String,
}

impl Witnessed {
    fn new() -> Self {
        let (place, port) = (Place::new(), free_port());
        let made =
            place.done(&["witness", "init", "--name", "witness.test/w1", "--home", "witness", "w.toml"]);
        place.done(&["config", "check", "w.toml"]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (key, fingerprint) = (text("key").parse().unwrap(), text("fingerprint"));
        Self { place, key, port, fingerprint }
    }

    fn configure(&self, more: &str) {
        let text = fs::read_to_string(&self.place.config).unwrap();
        fs::write(&self.place.config, format!("{text}\n{more}\n")).unwrap();
    }

    /// Lets the witness know a log.
    fn knows(&self, log: &str) {
        let home = self.place.path("witness");
        self.configure(&format!(
            "[witness]\nhome = \"{}\"\nlisten = \"127.0.0.1:{}\"\nlogs = [\"{log}\"]",
            shown(&home),
            self.port
        ));
    }

    fn start(&self) -> Running {
        let running = self.place.start(&["witness", "run"]);
        self.wait();
        running
    }

    fn wait(&self) {
        wait_for("the witness", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Asks for a cosignature over the first `size` entries.
    async fn ask(&self, log: &Log, old: u64, size: u64) -> Result<String, AskError> {
        let url = format!("https://127.0.0.1:{}", self.port).parse().unwrap();
        let client = Client::new(url, self.fingerprint.parse().unwrap()).unwrap();
        let proof = consistency_proof(log, Subtree::first(old), size).unwrap();
        client.add_checkpoint(old, &proof, &log.note(size)).await
    }
}

fn signer() -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap()
}

fn log_key() -> LogKey {
    LogKey::new(ORIGIN, signer().public_key()).unwrap()
}

/// A log of 30 entries; from `fork` on they are of another history, which the same key signs.
struct Log(Vec<Vec<u8>>);

impl Log {
    fn new(fork: i64) -> Self {
        let entry = |n: i64| {
            let actor = if n < fork { "operator" } else { "service" };
            let (action, target) = ("device.revoke".to_owned(), format!("device/{n}"));
            let details = std::collections::BTreeMap::new();
            let entry = Entry { time: n, action, actor: actor.to_owned(), target, details, evidence: None };
            entry.sign(&signer()).unwrap()
        };
        Self((0..30).map(entry).collect())
    }

    fn note(&self, size: u64) -> String {
        let mut tree = Frontier::default();
        let first = self.0.iter().take(usize::try_from(size).unwrap());
        first.for_each(|entry| tree.push(leaf_hash(entry), |_, _| ()));
        let (origin, root) = (ORIGIN.to_owned(), tree.root());
        Checkpoint { origin, size, root, extensions: Vec::new() }.sign(&signer()).unwrap()
    }

    /// An export as a service would give it.
    fn export(&self, folder: &Path, size: u64, note: &str) -> PathBuf {
        fs::create_dir_all(folder.join("tile/entries/000.p")).unwrap();
        let mut bundle = Vec::new();
        for entry in self.0.iter().take(usize::try_from(size).unwrap()) {
            push_entry(&mut bundle, entry).unwrap();
        }
        fs::write(folder.join(format!("tile/entries/000.p/{size}")), bundle).unwrap();
        fs::write(folder.join("checkpoint"), note).unwrap();
        folder.to_owned()
    }
}

impl Nodes for Log {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let first = usize::try_from(index << level).unwrap();
        let leaves: Vec<Hash> = self.0[first..first + (1 << level)].iter().map(|e| leaf_hash(e)).collect();
        Ok(root_over(&leaves))
    }
}

fn kill(mut running: Running) {
    running.0.kill().unwrap();
    running.0.wait().unwrap();
}

#[test]
fn a_service_and_its_witness_from_nothing() {
    let all = Witnessed::new();
    let place = &all.place;
    place.fails(&["witness", "init", "--name", "witness.test/w2", "--home", "witness", "x.toml"], 1);
    place.fails(&["witness", "init", "--name", "witness.test/w2", "--home", "other", "w.toml"], 1);
    place.fails(&["witness", "run"], 64);
    let shown_again = place.done(&["witness", "show", "--home", "witness"]);
    let line = shown_again["service"].as_str().unwrap();
    let line = line.replace("HOST:8885", &format!("127.0.0.1:{}", all.port));
    all.configure(&format!("[service.log]\nwitnesses = [\"{line}\"]"));

    let service = place.service(&["acme"]);
    place.claim("acme", "device", "meter-1");
    let log = place.done(&["audit", "key"]);
    let (key, witness) = (log["key"].as_str().unwrap(), all.key.to_string());
    assert_eq!((&log["size"], &log["entries"], &log["quorum"]), (&0.into(), &2.into(), &1.into()));
    assert_eq!(log["witnesses"][0].as_str(), Some(witness.as_str()));
    place.fails(&["audit", "export", "early"], 3);
    place.fails(&["audit", "show", "0", "--key", key], 3);
    assert_eq!(place.done(&["audit", "list"]).as_array().unwrap().len(), 2);

    all.knows(key);
    let running = all.start();
    wait_for("the cosignature", || place.done(&["audit", "key"])["size"] == 2);
    let proved = place.done(&["audit", "show", "1", "--key", key, "--witness", &witness]);
    assert_eq!((&proved["action"], &proved["target"]), (&"device.claim".into(), &"device/meter-1".into()));
    assert!(proved["witnesses"][0].as_str().unwrap().starts_with("witness.test/w1 at "), "{proved}");
    let signer = proved["signer"].as_str().unwrap();
    assert_eq!(signer.len(), 16, "{signer}");
    let short = place.done(&["audit", "prove", "1", "--key", key, "--witness", &witness]);
    assert_eq!((&short["proved"], &short["entry"]), (&proved["proved"], &Json::Null));
    place.done(&["audit", "export", "log"]);

    // The witness is killed; what is done goes on, what is published stays.
    kill(running);
    place.claim("acme", "device", "meter-2");
    let after = place.done(&["audit", "key"]);
    assert_eq!((&after["size"], &after["entries"]), (&2.into(), &3.into()));
    let running = all.start();
    wait_for("the next cosignature", || place.done(&["audit", "key"])["size"] == 3);
    place.done(&["audit", "export", "later"]);
    stops_cleanly(running);
    stops_cleanly(service);

    let verify = |more: &[&str]| place.run(&[&["audit", "verify"], more].concat());
    let trust = ["--key", key, "--witness", &witness];
    let (code, verified) = verify(&[&["log"], &trust[..]].concat());
    assert_eq!((code, &verified["entries"], &verified["continues_former"]), (0, &2.into(), &false.into()));
    let (code, verified) = verify(&[&["log", "later"], &trust[..]].concat());
    assert_eq!((code, &verified["entries"], &verified["continues_former"]), (0, &3.into(), &true.into()));
    assert_eq!(verify(&[&["later", "--against", "log/checkpoint"], &trust[..]].concat()).0, 0);
    assert_eq!(verify(&[&["log", "--against", "later/checkpoint"], &trust[..]].concat()).0, 1);
    // A witness who did not co-sign, and one that is counted twice.
    place.done(&["witness", "init", "--name", "witness.test/w2", "--home", "other", "x.toml"]);
    let other = place.done(&["witness", "show", "--home", "other"])["key"].as_str().unwrap().to_owned();
    let both = ["log", "--key", key, "--witness", &witness, "--witness", &other];
    assert_eq!(verify(&both).0, 1);
    assert_eq!(verify(&[&both[..], &["--quorum", "1"]].concat()).0, 0);
    assert_eq!(verify(&[&both[..], &["--quorum", "3"]].concat()).0, 2);
    assert_eq!(verify(&["log", "--key", key, "--quorum", "1"]).0, 2);
    assert_eq!(verify(&["log", "--key", key, "--witness", &witness, "--witness", &witness]).0, 2);
    assert_eq!(verify(&["log", "--key", key, "--witness", key]).0, 2);
}

#[test]
fn a_service_that_shows_two_histories_is_caught() {
    let all = Witnessed::new();
    let place = &all.place;
    all.knows(&log_key().to_string());
    let running = all.start();
    let (truth, lie) = (Log::new(30), Log::new(7));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |log: &Log, old, size| runtime.block_on(all.ask(log, old, size));
    let cosigned = |log: &Log, old, size| {
        let note = log.note(size);
        let line = cosignature_line(&note, &ask(log, old, size).unwrap(), &all.key).unwrap();
        note + &line
    };
    let at_10 = cosigned(&truth, 0, 10);
    for (old, size) in [(0, 8), (8, 8), (10, 10), (10, 20), (0, 20)] {
        let refused = ask(&lie, old, size).unwrap_err();
        let caught =
            matches!(refused, AskError::Conflict { size: 10 } | AskError::Refused { status: 422, .. });
        assert!(caught, "{old} {size}: {refused}");
    }
    let at_20 = cosigned(&truth, 10, 20);
    stops_cleanly(running);

    let export = |name: &str, log: &Log, size, note: &str| log.export(&place.path(name), size, note);
    export("early", &truth, 10, &at_10);
    export("true", &truth, 20, &at_20);
    export("lie", &lie, 20, &lie.note(20));
    let line = at_20.strip_prefix(&truth.note(20)).unwrap();
    export("stolen", &lie, 20, &(lie.note(20) + line));
    let (key, witness) = (log_key().to_string(), all.key.to_string());
    let verify = |more: &[&str], want: i32, says: &str| {
        let (code, answer) = place.run(&[&["audit", "verify", "--key", &key], more].concat());
        assert_eq!(code, want, "{more:?}: {answer}");
        assert!(answer.to_string().contains(says), "{more:?}: {answer}");
    };
    verify(&["true", "--witness", &witness], 0, "\"verified\":true");
    // By itself the lie is whole; nobody who asks for witnesses believes it.
    verify(&["lie"], 0, "\"verified\":true");
    verify(&["lie", "--witness", &witness], 1, "0 of the witnesses co-signed it, and 1 have to");
    verify(&["stolen", "--witness", &witness], 1, "0 of the witnesses co-signed it");
    // Nor does anybody who has seen the truth.
    let two = "TWO HISTORIES";
    verify(&["lie", "true"], 1, two);
    verify(&["true", "lie"], 1, two);
    verify(&["early", "lie"], 1, two);
    verify(&["lie", "--against", "early/checkpoint"], 1, two);
    verify(&["true", "early"], 0, "\"continues_former\":true");
    verify(&["early", "--against", "true/checkpoint"], 1, "signed 20 entries before, and 10 are here");
}

#[test]
fn a_witness_that_is_killed_or_out_of_room_never_goes_back() {
    let all = Witnessed::new();
    all.knows(&log_key().to_string());
    let (truth, lie) = (Log::new(30), Log::new(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |log: &Log, old, size| runtime.block_on(all.ask(log, old, size));
    let mut last = 0;
    for size in [3, 5, 8, 13, 21] {
        let running = all.start();
        ask(&truth, last, size).unwrap();
        kill(running);
        let running = all.start();
        for old in [0, size] {
            assert!(ask(&lie, old, size).is_err() && ask(&lie, old, size + 1).is_err(), "{old} {size}");
        }
        kill(running);
        last = size;
    }
    // No file can get a byte.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_thingward")]);
    command.arg("--config").arg(&all.place.config).args(["witness", "run"]);
    let full = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    all.wait();
    for (log, size, want) in [(&truth, 22, 500), (&lie, 22, 422), (&truth, 21, 500)] {
        let refused = ask(log, 21, size).unwrap_err();
        assert!(matches!(refused, AskError::Refused { status, .. } if status == want), "{size}: {refused}");
    }
    kill(full);
    let running = all.start();
    assert!(matches!(ask(&truth, 0, 1), Err(AskError::Conflict { size: 21 })));
    assert!(ask(&lie, 21, 22).is_err());
    ask(&truth, 21, 22).unwrap();
    stops_cleanly(running);
}
