//! What a release before this one kept is there for this one, and goes on. `../vectors/README.md` says what is in the archives.
//!
//! Set `THINGWARD_WRITE_VECTORS=1` to write the archive of this release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::{FAKETIME, ends_well};
use crate::common::program::{Told, execute};
use crate::common::{Place, Running, shown, stops_cleanly, succeeds, wait_for};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
/// Nothing but commands ends before it has to, and a service that is away for so long is no failure.
const LASTING: &str = "[service.authority]\ndevice_lifetime = \"7100d\"\nissuing_lifetime = \"7200d\"\n";
const HISTORY: &str = "[service.history]\nevery = \"1s\"\nrows = 1\nage = \"1s\"\n";
/// Of the folder that the service runs in, wherever it is unpacked.
const CUSTOMER_KEY: &str = "file:/proc/self/cwd/acme.key";
const DESCRIPTION: &str = r#"{
  "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
  "title": "Meter", "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
  "actions": {
    "set-rate": {"tw:grants": true, "input": {"type": "number", "minimum": 0, "maximum": 10},
      "forms": [{"href": "devices/me/commands/+"}]}
  }
}"#;
const POLICY: &str = "permit (principal is Token, action == Action::\"commands:send\", resource);\n";
/// What is asked before and afterwards.
const QUESTIONS: [&str; 12] = [
    READINGS,
    "segment list",
    "device list",
    "device show meter-1",
    "user list",
    "group list",
    "token list",
    "policy show",
    "policy history",
    "grant list",
    COMMANDS,
    "audit list --limit 1000",
];
const READINGS: &str = "reading query --limit 100000";
const COMMANDS: &str = "command list meter-1";

fn answer(place: &Place, question: &str) -> Json {
    let mut answer = place.done(&question.split(' ').collect::<Vec<_>>());
    // What holds in every tenant is the release's.
    if let Some(policies) = answer.as_object_mut() {
        policies.remove("baseline");
    }
    answer
}

/// Whether everything of `then` is in `now`: later releases may say more, and logs grow.
fn has_all(now: &Json, then: &Json) -> bool {
    match (now, then) {
        (Json::Array(now), Json::Array(then)) => {
            now.len() >= then.len() && now.iter().zip(then).all(|(now, then)| has_all(now, then))
        }
        (Json::Object(now), Json::Object(then)) => {
            then.iter().all(|(name, then)| now.get(name).is_some_and(|now| has_all(now, then)))
        }
        (now, then) => now == then,
    }
}

/// The meter, with a program beside it that does what it is told.
fn meter(place: &Place, told: &Told) -> Running {
    let (home, description) = (place.path("meter-1"), place.path("meter.td.json"));
    let uplink = format!("127.0.0.1:{}", place.mqtt);
    let words = ["device", "run", "--home", shown(&home), "--description", shown(&description)];
    let running = place.start_as("meter-1", &[&words[..], &["--uplink", &uplink]].concat());
    wait_for("the device", || place.run(&["device", "status", "--home", shown(&home)]).0 == 0);
    execute(&home.join("agent.sock"), told);
    running
}

fn measure(place: &Place, power: u32) {
    let (home, value) = (place.path("meter-1"), format!("power={power}:W"));
    place.done(&["device", "send", "--home", shown(&home), "power", &value]);
}

fn start(place: &Place) -> Running {
    let service = place.start(&["service", "run"]);
    place.wait_for_service();
    service
}

/// Exports the audit log into this folder; gives the key that it verifies with.
fn export(place: &Place, name: &str) -> String {
    place.done(&["audit", "export", shown(&place.path(name))]);
    place.done(&["audit", "key"])["key"].as_str().unwrap().to_owned()
}

#[test]
fn the_archive_of_this_release_is_written_when_asked_for() {
    if std::env::var_os("THINGWARD_WRITE_VECTORS").is_none() {
        return;
    }
    let place = Place::with(&format!("{LASTING}{HISTORY}"));
    let service = start(&place);
    place.done(&["key", "create", shown(&place.path("acme.key"))]);
    place.done(&["tenant", "create", "acme", "--customer-key", CUSTOMER_KEY]);
    place.done(&["user", "set", "anna", "--role", "operator"]);
    place.done(&["group", "add", "staff", "user/anna"]);
    place.done(&["token", "create", "--scope", "readings:read", "--lifetime", "400d"]);
    std::fs::write(place.path("own.cedar"), POLICY).unwrap();
    place.done(&["policy", "apply", shown(&place.path("own.cedar"))]);
    std::fs::write(place.path("meter.td.json"), DESCRIPTION).unwrap();
    place.enrol("acme", "device", "meter-1");
    let device = meter(&place, &Told::default());
    wait_for("the description", || place.run(&["command", "actions", "meter-1"]).0 == 0);
    place.done(&["command", "send", "meter-1", "set-rate", "2.5"]);
    (1..=20).for_each(|power| measure(&place, power));
    let in_history = || -> u64 {
        let all = place.done(&["segment", "list"]);
        all.as_array().unwrap().iter().map(|segment| segment["rows"].as_u64().unwrap()).sum()
    };
    wait_for("history", || in_history() == 20);
    stops_cleanly(service);

    // From here on readings stay hot.
    let config = std::fs::read_to_string(&place.config).unwrap();
    std::fs::write(&place.config, config.replace(HISTORY, "")).unwrap();
    let service = start(&place);
    (21..=40).for_each(|power| measure(&place, power));
    wait_for("all readings", || place.readings("acme").len() == 40);
    stops_cleanly(device);
    let holder = place.done(&["grant", "key", shown(&place.path("holder.key"))]);
    let holder = format!("--holder={}", holder["holder"].as_str().unwrap());
    place.done(&["grant", "issue", "--device", "meter-1", &holder, "--allow", "set-rate", "--uses", "3"]);
    place.run(&["command", "send", "meter-1", "set-rate", "4", "--lifetime", "7d", "--wait", "0s"]);
    let then = json!({
        "written": SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        "log": export(&place, "log"),
        "answers": QUESTIONS.map(|question| (question, answer(&place, question))).into_iter().collect::<BTreeMap<_, _>>(),
    });
    std::fs::write(place.path("then.json"), then.to_string()).unwrap();
    stops_cleanly(service);
    let archive = format!("{FOLDER}/{}.tar.gz", env!("CARGO_PKG_VERSION"));
    let parts = ["data", "acme.key", "meter-1", "meter.td.json", "log", "then.json"];
    let words = ["-C", shown(place.folder()), "--owner=0", "--group=0", "-czf", &archive];
    succeeds("tar", &[&words[..], &parts].concat());
}

/// What an earlier release kept, unpacked.
struct Before {
    place: Place,
    written: u64,
    log: String,
    answers: BTreeMap<String, Json>,
    /// The clock is that of then.
    is_then: bool,
}

impl Before {
    fn archives() -> Vec<PathBuf> {
        let all = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
        let all: Vec<_> = all.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
        assert!(!all.is_empty());
        all
    }

    fn unpack(archive: &Path) -> Self {
        let mut place = Place::with(LASTING);
        succeeds("tar", &["-C", shown(place.folder()), "--no-same-owner", "-xpzf", shown(archive)]);
        let then: Json = serde_json::from_slice(&std::fs::read(place.path("then.json")).unwrap()).unwrap();
        let written = then["written"].as_u64().unwrap();
        let is_then = Path::new(FAKETIME).exists();
        if is_then {
            place.environment = at_the_time(written);
        }
        let answers = serde_json::from_value(then["answers"].clone()).unwrap();
        Self { place, written, log: then["log"].as_str().unwrap().to_owned(), answers, is_then }
    }
}

/// An environment in which it is an hour later than this time, in seconds since 1970.
fn at_the_time(written: u64) -> Vec<(String, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let offset = written.cast_signed() + 3600 - now.cast_signed();
    let all = [("LD_PRELOAD", FAKETIME), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")];
    let mut all: Vec<_> = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    all.push(("FAKETIME".to_owned(), format!("{offset:+}")));
    all
}

#[test]
fn what_an_earlier_release_kept_is_all_there_and_goes_on() {
    for archive in Before::archives() {
        println!("{}", archive.display());
        goes_on(&Before::unpack(&archive));
    }
}

fn goes_on(before: &Before) {
    let place = &before.place;
    let service = start(place);
    for (question, then) in &before.answers {
        // A command ends by itself after a week at most.
        let is_over = question == COMMANDS && !before.is_then;
        let now = answer(place, question);
        assert!(is_over || has_all(&now, then), "{question}: {now}\nwas {then}");
    }

    let (told, readings) = (Told::default(), place.readings("acme"));
    assert_eq!(readings.len(), before.answers[READINGS].as_array().unwrap().len());
    let device = meter(place, &told);
    measure(place, 41);
    let is_there = || place.readings("acme").iter().any(|row| row["value"] == 41.0);
    wait_for("what the device of then says now", is_there);
    let newest = place.readings("acme").into_iter().find(|row| row["value"] == 41.0).unwrap();
    wait_for("its checkpoint", || {
        place.readings("acme").iter().all(|row| row["assurance"] == "device-signed")
    });
    let last = readings.iter().max_by_key(|row| row["seq"].as_u64()).unwrap();
    assert_eq!(
        (&newest["chain"], newest["seq"].as_u64()),
        (&last["chain"], last["seq"].as_u64().map(|seq| seq + 1))
    );
    assert_eq!(place.done(&["finding", "list"]), json!([]), "it continues the chain of then");
    if before.is_then {
        wait_for("the command that was open", || *told.lock().unwrap() == [json!(4)]);
        let ended = || place.done(&["command", "list", "meter-1"])[0]["state"] == "done";
        wait_for("its answer", ended);
    } else {
        println!("SKIPPED: faketime is not installed, and a command is over a week after {}", before.written);
    }
    place.done(&["command", "send", "meter-1", "set-rate", "5"]);
    stops_cleanly(device);

    let key = export(place, "log-now");
    assert_eq!(key, before.log);
    let [now, then] = ["log-now", "log"].map(|name| place.path(name));
    place.done(&["audit", "verify", shown(&now), shown(&then), "--key", &key]);
    assert_eq!(place.readings("acme").len(), readings.len() + 1);
    ends_well(place, service);
}

/// All files with what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn what_a_later_release_wrote_is_refused_and_nothing_in_it_is_changed() {
    let archive = Before::archives().remove(0);
    let place = Before::unpack(&archive).place;
    let data = place.path("data");
    let later = "import sqlite3, sys; to = sqlite3.connect(sys.argv[1]); \
                 to.execute(\"INSERT INTO _sqlx_migrations VALUES (9999, 'later', 0, TRUE, x'00', 0)\"); \
                 to.commit(); to.close()";
    succeeds("python3", &["-c", later, shown(&data.join("registry.sqlite"))]);
    let before = files(&data);
    for words in [&["service", "run"][..], &["fsck"]] {
        let (code, said) = place.run(words);
        assert_eq!(code, 1, "{said}");
        assert!(said.to_string().contains("run that release, or put back the backup"), "{words:?}: {said}");
        let after = files(&data);
        assert!(before.keys().eq(after.keys()), "{words:?}: {:?}", after.keys());
        assert!(before == after, "{words:?} changed a file");
    }
}
