//! The audit log as others read it: Go's sumdb packages its tiles and checkpoints, pyca/cryptography a cosignature.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Place, Running, free_port, given, have, peer, shown, succeeds, wait_for};
use crate::script;

/// Where Debian puts Go's packages.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// The client in Go, built; none where Go or its packages are not installed.
fn go_client(folder: &Path) -> Option<PathBuf> {
    if !have(&["go"]) {
        return None;
    }
    if !Path::new(GO_PACKAGES).join("src/golang.org/x/mod/sumdb").is_dir() {
        println!("SKIPPED: golang-golang-x-mod-dev is not installed");
        return None;
    }
    let client = folder.join("sumdb");
    let mut build = Command::new("go");
    build.args(["build", "-o", shown(&client), &script("sumdb.go")]);
    // Kept between runs: most of it is Go's own library.
    build.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    build.env("GO111MODULE", "off").env("GOPATH", GO_PACKAGES).env("GOFLAGS", "");
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(client)
}

#[test]
fn go_proves_every_entry_and_that_the_log_continues_what_it_was() {
    let place = Place::new();
    let Some(client) = go_client(place.folder()) else { return };
    let _service = place.service(&["acme"]);
    for n in 0..5 {
        place.claim("acme", "device", &format!("meter-{n}"));
    }
    place.done(&["audit", "export", "former"]);
    // More than a full tile.
    for n in 5..260 {
        place.claim("acme", "device", &format!("meter-{n}"));
    }
    let key = place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
    let (socket, former) = (place.path("data/admin.sock"), place.path("former/checkpoint"));
    let said = succeeds(shown(&client), &[shown(&socket), "acme", &key, shown(&former)]);
    // The checkpoint, two tiles of leaves and the one above, two bundles.
    assert!(said.starts_with("261 entries are proved, "), "{said}");
    let changed = said.split(' ').nth(4);
    assert_eq!(changed, Some("6"), "{said}");
}

/// Starts a witness, and writes it into the configuration of the service, which was started once before.
fn with_witness(place: &Place) -> (Running, String) {
    let port = free_port();
    place.done(&["witness", "init", "--name", "witness.test/w1", "--home", "witness", "w.toml"]);
    let witness = place.done(&["witness", "show", "--home", "witness"]);
    let line = witness["service"].as_str().unwrap().replace("HOST:8885", &format!("127.0.0.1:{port}"));
    let log = place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(&place.config).unwrap();
    let home = place.path("witness");
    let more = format!(
        "[service.log]\nwitnesses = [\"{line}\"]\n[witness]\nhome = \"{}\"\nlisten = \"127.0.0.1:{port}\"\n\
         logs = [\"{log}\"]\n",
        shown(&home)
    );
    fs::write(&place.config, format!("{text}\n{more}")).unwrap();
    (place.start(&["witness", "run"]), witness["key"].as_str().unwrap().to_owned())
}

#[test]
fn python_and_go_verify_a_checkpoint_that_a_witness_co_signed() {
    let place = Place::new();
    let service = place.service(&["acme"]);
    let (_witness, key) = with_witness(&place);
    drop(service);
    let _service = place.service(&[]);
    wait_for("the cosignature", || place.done(&["audit", "key"])["size"] == 1);
    place.done(&["audit", "export", "log"]);
    let checkpoint = place.path("log/checkpoint");
    if let Some(client) = go_client(place.folder()) {
        let log = place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned();
        let socket = place.path("data/admin.sock");
        succeeds(shown(&client), &[shown(&socket), "acme", &log, shown(&checkpoint)]);
    }
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    let verify = |note: &str| {
        let file = place.path("note");
        fs::write(&file, note).unwrap();
        let mut command = peer(&python);
        let stdin = fs::File::open(&file).unwrap();
        let output = command.args([&script("cosignature.py"), &key]).stdin(stdin).stderr(Stdio::null());
        output.output().unwrap().status.success()
    };
    let note = fs::read_to_string(&checkpoint).unwrap();
    assert!(verify(&note));
    assert!(!verify(&note.replacen("\n1\n", "\n2\n", 1)));
}
