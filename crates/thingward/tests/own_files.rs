//! A tenant asks its own files with its own key and nothing of ours: `docs/examples/query_segments.py`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::fmt::Write;
use std::path::PathBuf;

use common::{Place, given, peer, shown, wait_for};
use serde_json::Value as Json;

const ROWS: u32 = 400;
/// Length of a window in seconds.
const EVERY: &str = "600";

/// History of one device, and its segments as files.
struct History {
    place: Place,
    python: String,
    files: PathBuf,
    segments: Vec<PathBuf>,
}

impl History {
    /// `None` where there is no Python.
    fn new() -> Option<Self> {
        let python = given("THINGWARD_PYTHON")?;
        let place = Place::with("[service.history]\nevery = \"1s\"\nrows = 1\nage = \"1s\"\n");
        let service = place.service(&["acme", "other"]);
        place.enrol("acme", "device", "meter-1");
        let home = place.path("meter-1");
        let mut csv = "time,temperature,humidity\n".to_owned();
        for n in 0..ROWS {
            let (minute, tenth) = (n / 4, f64::from(n) / 10.0);
            let time = format!("2026-03-01T{:02}:{:02}:{:02}Z", minute / 60, minute % 60, n % 4 * 15);
            writeln!(csv, "{time},{},{}", 21.3 + tenth, 40.0 - tenth * 0.7).unwrap();
        }
        let file = place.path("climate.csv");
        std::fs::write(&file, csv).unwrap();
        place.done(&["device", "replay", shown(&file), "--home", shown(&home), "--map", "time=time"]);
        let device = place.device("meter-1", None);
        // What is no number, has a unit, or is alone in its stream.
        for (stream, value) in [("door", "state=open"), ("power", "load=3.25:W"), ("power", "load=-1e300:W")]
        {
            let time = "2026-03-01T00:00:00.5Z";
            place.done(&["device", "send", "--home", shown(&home), stream, value, "--time", time]);
        }
        let rolled = || -> u64 {
            let all = place.done(&["segment", "list", "--tenant", "acme"]);
            all.as_array().unwrap().iter().map(|s| s["rows"].as_u64().unwrap()).sum()
        };
        wait_for("history", || rolled() == u64::from(ROWS) * 2 + 3);
        let files = place.path("segments");
        std::fs::create_dir(&files).unwrap();
        let mut segments = Vec::new();
        for segment in place.done(&["segment", "list", "--tenant", "acme"]).as_array().unwrap() {
            let id = segment["id"].as_str().unwrap();
            let file = files.join(format!("{id}.parquet"));
            place.done(&["segment", "fetch", id, "--tenant", "acme", "--file", shown(&file)]);
            segments.push(file);
        }
        let want = place.done(&["reading", "windows", "--tenant", "acme", "--every", "10m"]);
        std::fs::write(place.path("windows.json"), want.to_string()).unwrap();
        drop(device);
        drop(service);
        Some(Self { place, python, files, segments })
    }

    /// The example with a key and a tenant: whether it succeeded, and what it answered.
    fn ask(&self, key: &str, tenant: &str) -> (bool, String) {
        let key = self.place.path(key);
        let output = peer(&self.python)
            .args([&example(), "--every", EVERY, shown(&self.files), shown(&key), tenant])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }
}

fn example() -> String {
    format!("{}/../../docs/examples/query_segments.py", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_example_answers_as_the_service_does() {
    let Some(history) = History::new() else { return };
    let (ok, answer) = history.ask("acme.key", "acme");
    assert!(ok, "{answer}");
    let got: Vec<Json> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want = std::fs::read(history.place.path("windows.json")).unwrap();
    let want: Vec<Json> = serde_json::from_slice(&want).unwrap();
    // Two fields over 100 minutes, and one that was measured twice at once.
    assert_eq!((want.len(), got.len()), (21, 21), "{answer}");
    for (got, want) in got.iter().zip(&want) {
        for name in ["device", "stream", "field", "unit", "start", "count", "min", "max"] {
            assert_eq!(got[name], want[name], "{name} of {got} and {want}");
        }
        let [mean, other] = [got, want].map(|w| w["mean"].as_f64().unwrap());
        // Sums of different order differ in their last bits.
        assert!((mean - other).abs() <= other.abs() * 1e-12, "{got} and {want}");
    }
}

#[test]
fn another_key_or_tenant_gets_nothing_and_a_flipped_bit_never_another_answer() {
    let Some(history) = History::new() else { return };
    let (ok, whole) = history.ask("acme.key", "acme");
    assert!(ok && !whole.is_empty());
    for (key, tenant) in [("other.key", "acme"), ("other.key", "other"), ("acme.key", "other")] {
        assert_eq!(history.ask(key, tenant), (false, String::new()), "{key} {tenant}");
    }
    let file = history.segments.iter().max_by_key(|f| f.metadata().unwrap().len()).unwrap();
    let bytes = std::fs::read(file).unwrap();
    // The first page of the first column, the footer, its length, the magic; then all over the file.
    let places = [40, bytes.len() - 20, bytes.len() - 6, bytes.len() - 1];
    let check = |at: usize| {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        std::fs::write(file, bent).unwrap();
        let (ok, answer) = history.ask("acme.key", "acme");
        assert_eq!(ok, !answer.is_empty(), "at {at}: {answer}");
        // The example reads some columns only; a bit of another one does not matter to it.
        assert!(!ok || answer == whole, "at {at}: {answer}");
        ok
    };
    assert!(places.into_iter().all(|at| !check(at)));
    let answered = (1..16).filter(|n| check(bytes.len() * n / 16)).count();
    assert!(answered < 12, "{answered} of 15 flipped bits were not noticed");
    std::fs::write(file, &bytes).unwrap();
    assert_eq!(history.ask("acme.key", "acme").1, whole);
}
