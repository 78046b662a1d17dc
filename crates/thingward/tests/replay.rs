//! All of the telemetry data sets through device, gateway and service, as processes, while everything goes wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::free_port;
use serde_json::Value as Json;
use thingward_tests::proxy::{Faults, Proxy};

/// Longest time for the whole.
const PATIENCE: Duration = Duration::from_secs(300);

/// A data set, what its columns are, and how many of them hold the time.
struct DataSet {
    file: &'static str,
    device: &'static str,
    map: &'static [&'static str],
    time_columns: &'static [&'static str],
}

const DATA_SETS: [DataSet; 5] = [
    DataSet {
        file: "ai4i2020",
        device: "mill",
        map: &["time=row", "start=2020-01-01T00:00:00Z", "step=60"],
        time_columns: &[],
    },
    DataSet {
        file: "air_quality_uci",
        device: "street",
        map: &["time=Date+Time"],
        time_columns: &["Date", "Time"],
    },
    DataSet { file: "appliances_energy", device: "home", map: &["time=date"], time_columns: &["date"] },
    DataSet { file: "occupancy_datatest", device: "office-1", map: &["time=date"], time_columns: &["date"] },
    DataSet {
        file: "occupancy_datatraining",
        device: "office-2",
        map: &["time=date"],
        time_columns: &["date"],
    },
];

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/telemetry");
    if !folder.exists() {
        println!("skipped: the shared vectors are not here (telemetry)");
        return None;
    }
    Some(folder)
}

/// Killed when the test ends, if it still runs.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Place {
    folder: tempfile::TempDir,
    mqtt: u16,
    https: u16,
    gateway: u16,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, mqtt: free_port(), https: free_port(), gateway: free_port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_config(&self, gateway_uplink: u16) {
        let text = format!(
            "[service]\ndata_dir = \"{0}/service\"\nmqtt = \"127.0.0.1:{1}\"\nhttps = \"127.0.0.1:{2}\"\n\
             [service.history]\nevery = \"2s\"\nrows = 20000\n\
             [gateway]\nhome = \"{0}/gateway\"\nlisten = \"127.0.0.1:{3}\"\nuplink = \"localhost:{gateway_uplink}\"\n",
            self.folder.path().display(),
            self.mqtt,
            self.https,
            self.gateway,
        );
        fs::write(self.path("thingward.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thingward"));
        command.arg("--config").arg(self.path("thingward.toml")).args(["--output", "json"]).args(arguments);
        command
    }

    fn start(&self, log: &str, command: &mut Command) -> Process {
        let log = File::options().create(true).append(true).open(self.path(log)).unwrap();
        let also = log.try_clone().unwrap();
        Process(command.stdout(log).stderr(also).stdin(Stdio::null()).spawn().unwrap())
    }

    fn start_service(&self) -> Process {
        let process = self.start("service.log", &mut self.command(&["service", "run"]));
        let until = Instant::now() + Duration::from_secs(30);
        while !self.command(&["tenant", "list"]).output().unwrap().status.success() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(self.path("service.log")).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
        process
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Json {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
    }

    fn enrol(&self, name: &str, role: &str) {
        let claim = self.run(&["device", "claim", name, "--role", role]);
        let claim = claim["claim"].as_str().unwrap();
        let at = format!("https://localhost:{}", self.https);
        let home = self.path(name);
        self.run(&["device", "enrol", "--home", home.to_str().unwrap(), "--claim", claim, &at]);
    }

    /// How many numbers the service has, hot and in history.
    fn count(&self) -> usize {
        let windows = self.run(&["reading", "windows", "--every", "3650d"]);
        let count = |w: &Json| usize::try_from(w["count"].as_u64().unwrap()).unwrap();
        windows.as_array().map_or(0, |all| all.iter().map(count).sum())
    }
}

/// The values of a file as its text has them, row by row, the time columns left out; empty ones have none.
fn expected(folder: &Path, set: &DataSet) -> Vec<Vec<Json>> {
    let file = File::open(folder.join(format!("{}.csv.gz", set.file))).unwrap();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(flate2::read::GzDecoder::new(file));
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        // A file may have one column more than names: its first is the row's number.
        let shift = record.len() - header.len();
        let is_time = |i: usize| i >= shift && set.time_columns.contains(&header[i - shift].as_str());
        let values = record.iter().enumerate().filter(|(i, text)| !is_time(*i) && !text.trim().is_empty());
        let typed = |(_, text): (usize, &str)| match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Json::from(number),
            _ => Json::from(text.trim()),
        };
        rows.push(values.map(typed).collect());
    }
    rows
}

#[test]
fn every_value_of_real_telemetry_arrives_exactly_once_in_order_and_signed_while_everything_goes_wrong() {
    let Some(folder) = vectors() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::new();
    let to = |port: u16| ([127, 0, 0, 1], port).into();
    let bad = Faults { life: Some(Duration::from_millis(900)), rate: Some(400_000) };
    let uplink = runtime.block_on(Proxy::start(to(place.mqtt), bad));
    let children = runtime.block_on(Proxy::start(to(place.gateway), bad));
    place.write_config(uplink.address().port());

    let mut service = place.start_service();
    let key = place.path("customer.key");
    place.run(&["key", "create", key.to_str().unwrap()]);
    place.run(&["tenant", "create", "town", "--customer-key", &format!("file:{}", key.display())]);
    place.enrol("gateway", "gateway");
    for set in &DATA_SETS {
        place.enrol(set.device, "device");
    }
    let _gateway = place.start("gateway.log", &mut place.command(&["gateway", "run"]));
    let mut replays: Vec<Process> = DATA_SETS
        .iter()
        .map(|set| {
            let config = place.path(&format!("{}.toml", set.device));
            let text = format!(
                "[device]\nhome = \"{}\"\nuplink = \"localhost:{}\"\n",
                place.path(set.device).display(),
                children.address().port()
            );
            fs::write(&config, text).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_thingward"));
            command.arg("--config").arg(config).args(["device", "replay"]);
            command.arg(folder.join(format!("{}.csv.gz", set.file)));
            for map in set.map {
                command.args(["--map", map]);
            }
            place.start(&format!("{}.log", set.device), &mut command)
        })
        .collect();

    let wanted: Vec<Vec<Vec<Json>>> = DATA_SETS.iter().map(|set| expected(&folder, set)).collect();
    let numbers = wanted.iter().flatten().flatten().filter(|v| v.is_number()).count();
    let (started, mut kills, mut seen) = (Instant::now(), 0, 0);
    while seen < numbers {
        assert!(started.elapsed() < PATIENCE, "{seen} of {numbers} values after {PATIENCE:?}");
        // One second of three the gateway is cut off.
        uplink.set_cut(started.elapsed().as_secs() % 3 == 0);
        std::thread::sleep(Duration::from_millis(200));
        let is_next_third = seen > numbers * (kills + 1) / 5;
        if kills < 3 && is_next_third {
            // SIGKILL, while values come in.
            service.0.kill().unwrap();
            service.0.wait().unwrap();
            service = place.start_service();
            kills += 1;
        }
        seen = place.count();
    }
    uplink.set_cut(false);
    assert_eq!(kills, 3, "the values came too fast to be disturbed");
    assert!(uplink.dropped() > 3 && children.dropped() > 3, "the cables were never bad");
    for (set, replay) in DATA_SETS.iter().zip(&mut replays) {
        let until = Instant::now() + Duration::from_secs(60);
        while replay.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the replay of {} does not end", set.file);
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(place.path(&format!("{}.log", set.device))).unwrap();
        assert!(replay.0.wait().unwrap().success(), "{log}");
    }
    for (set, wanted) in DATA_SETS.iter().zip(&wanted) {
        check_device(&place, set, wanted);
    }
    let findings = place.run(&["finding", "list"]);
    assert_eq!(findings.as_array().map_or(0, Vec::len), 0, "{findings}");
    service.0.kill().unwrap();
    service.0.wait().unwrap();
    let found = place.run(&["fsck"]);
    assert_eq!(found["problems"], serde_json::json!([]), "{found}");
}

fn check_device(place: &Place, set: &DataSet, wanted: &[Vec<Json>]) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let rows = export(place, set.device);
        let unsigned = rows.iter().flatten().filter(|r| r["assurance"] != "device-signed");
        let unsigned: Vec<&Json> = unsigned.map(|r| &r["seq"]).collect();
        if unsigned.is_empty() || Instant::now() > until {
            assert!(unsigned.is_empty(), "{}: no signature over {unsigned:?}", set.device);
            assert_eq!(rows.len(), wanted.len(), "{}: rows", set.device);
            for (n, (got, wanted)) in rows.iter().zip(wanted).enumerate() {
                let got: Vec<&Json> = got.iter().map(|r| &r["value"]).collect();
                assert_eq!(got, wanted.iter().collect::<Vec<_>>(), "{} row {n}", set.device);
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The readings of a device, one list for each record, in the order of the chain.
fn export(place: &Place, device: &str) -> Vec<Vec<Json>> {
    let path = place.path("export.jsonl");
    let file = path.to_str().unwrap();
    let _ = fs::remove_file(&path);
    place.run(&["reading", "export", "--device", device, "--format", "jsonl", "--file", file]);
    let lines = BufReader::new(File::open(&path).unwrap()).lines();
    let mut all: Vec<Json> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    all.sort_by_key(|r| (r["seq"].as_u64().unwrap(), r["item"].as_u64().unwrap()));
    let records = all.chunk_by(|a, b| a["seq"] == b["seq"]);
    records.map(<[Json]>::to_vec).collect()
}
