//! What a machine does to a service: it stops it, kills it, has no room and no file descriptors for it. What was acknowledged is
//! there afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

#[path = "faults/handover.rs"]
mod handover;
#[path = "faults/upgrade.rs"]
mod upgrade;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::by_hand::ByHand;
use common::crowd::{Client, count};
use common::{Place, Running, shown, stops_cleanly, succeeds, wait_for};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The service, to which a file that may not grow is an error and no signal.
fn start(place: &Place) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    start_by(place, command)
}

/// The service, started by a program that becomes it.
fn start_by(place: &Place, mut command: Command) -> Running {
    command.arg(env!("CARGO_BIN_EXE_thingward")).arg("--config");
    command.arg(&place.config).args(["service", "run"]).current_dir(place.folder());
    let log =
        std::fs::File::options().create(true).append(true).open(place.path("logs/service.log")).unwrap();
    let service = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    place.wait_for_service();
    service
}

fn signal(service: &Running, name: &str) {
    let id = service.0.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}

fn limit(service: &Running, what: &str) {
    let id = service.0.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &id, what]).status().unwrap().success());
}

/// The numbers that are kept, in the order in which they were accepted.
fn kept(place: &Place) -> Vec<u64> {
    let query = ["reading", "query", "--tenant", "acme", "--device", "steady", "--limit", "100000"];
    let rows = place.done(&query);
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().collect();
    rows.sort_by_key(|row| row["seq"].as_u64());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of messages")]
    let numbers = rows.iter().map(|row| row["value"].as_f64().unwrap() as u64).collect();
    numbers
}

fn goes_on(place: &Place, what: &str) {
    let before = kept(place).len();
    wait_for(what, || kept(place).len() > before + 50);
}

/// What the client was told is taken is there once and in its order. Gives how often it had to connect.
fn all_is_there(place: &Place, client: Client) -> u64 {
    let outcome = client.outcome();
    println!("{outcome}");
    let kept = kept(place);
    let mut seen = BTreeSet::new();
    let first: Vec<u64> = kept.iter().copied().filter(|number| seen.insert(*number)).collect();
    let acknowledged = count(&outcome, "acknowledged");
    // One may have been kept whose acknowledgement did not arrive.
    let all: Vec<u64> = (1..=acknowledged.max(u64::try_from(first.len()).unwrap())).collect();
    assert_eq!(first, all, "each is there, and they are in their order");
    assert!(first.len() as u64 <= acknowledged + 1);
    count(&outcome, "connections")
}

/// The service ends in good order, and nothing is wrong with what it leaves.
fn ends_well(place: &Place, service: Running) {
    stops_cleanly(service);
    assert_eq!(place.run(&["fsck"]).0, 0);
}

#[test]
fn what_was_acknowledged_is_there_whatever_the_machine_does_to_the_service() {
    let place = Place::new();
    drop(place.service(&["acme"]));
    let mut service = start(&place);
    let steady = ByHand::enrolled(&place, "acme", "device", "steady");
    let newcomer = ByHand::enrolled(&place, "acme", "device", "newcomer");
    let client = Client::start(&place, &steady, "persistent", 0, 1);
    let goes_on = |what: &str| goes_on(&place, what);
    goes_on("readings");

    signal(&service, "STOP");
    std::thread::sleep(Duration::from_secs(2));
    signal(&service, "CONT");
    goes_on("readings after a pause");

    // As many as it has, or fewer.
    limit(&service, "--nofile=20:");
    let mut waits = Command::new("mosquitto_pub");
    waits.args(newcomer.mosquitto_arguments(place.mqtt));
    let mut waits =
        Running(waits.args(["-t", "devices/me/telemetry/x", "-m", "1", "-q", "1"]).spawn().unwrap());
    std::thread::sleep(Duration::from_secs(2));
    assert!(waits.0.try_wait().unwrap().is_none(), "no descriptor for one more connection");
    limit(&service, "--nofile=4096:");
    assert!(waits.0.wait().unwrap().success(), "it has its turn when there are descriptors again");
    goes_on("readings after a lack of descriptors");

    // No file can get another byte.
    limit(&service, "--fsize=0:");
    let status = service.0.wait().unwrap();
    assert_eq!(status.code(), Some(1), "it says so and ends: {}", place.logs());
    service = start(&place);
    goes_on("readings after a full disk");

    signal(&service, "KILL");
    service.0.wait().unwrap();
    service = start(&place);
    goes_on("readings after a kill");

    signal(&service, "TERM");
    assert!(service.0.wait().unwrap().success());
    let service = start(&place);
    goes_on("readings after a stop");
    assert!(all_is_there(&place, client) >= 4);
    ends_well(&place, service);
}

#[test]
fn a_clock_that_is_set_an_hour_forth_and_back_loses_nothing() {
    if !Path::new(FAKETIME).exists() {
        return println!("SKIPPED: faketime is not installed");
    }
    let place = Place::new();
    drop(place.service(&["acme"]));
    let offset = place.path("offset");
    let set = |hours: &str| {
        let new = place.path("offset.new");
        std::fs::write(&new, format!("{hours}h\n")).unwrap();
        std::fs::rename(new, &offset).unwrap();
    };
    set("+0");
    let mut command = Command::new("env");
    command
        .arg(format!("LD_PRELOAD={FAKETIME}"))
        .arg(format!("FAKETIME_TIMESTAMP_FILE={}", offset.display()));
    // What measures how long something takes goes on, as on a machine whose clock is set.
    command.args(["FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"]);
    let service = start_by(&place, command);
    let steady = ByHand::enrolled(&place, "acme", "device", "steady");
    let client = Client::start(&place, &steady, "persistent", 0, 1);
    goes_on(&place, "readings");
    let began = place.readings("acme")[0]["received"].as_str().unwrap().to_owned();
    set("+1");
    goes_on(&place, "readings an hour later");
    let newest = || place.readings("acme").iter().map(|row| row["received"].to_string()).max().unwrap();
    assert!(newest()[1..] > *began, "the clock was set");
    set("-1");
    goes_on(&place, "readings an hour before");
    set("+0");
    goes_on(&place, "readings at the right time again");
    let findings = place.done(&["finding", "list", "--tenant", "acme"]);
    assert_eq!(findings, serde_json::json!([]), "a member whose service's clock is set did nothing");
    all_is_there(&place, client);
    ends_well(&place, service);
}

#[test]
fn a_folder_that_may_not_be_written_any_more_costs_no_reading() {
    let place = Place::with("[service.history]\nevery = \"1s\"\nrows = 1\nage = \"1s\"");
    drop(place.service(&["acme"]));
    let steady = {
        let _service = place.start(&["service", "run"]);
        place.wait_for_service();
        ByHand::enrolled(&place, "acme", "device", "steady")
    };
    // As it is installed: for a user to whom permissions count.
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.arg("--bounding-set=-dac_override,-dac_read_search");
    }
    let service = start_by(&place, command);
    let client = Client::start(&place, &steady, "persistent", 0, 1);
    let segments = || place.done(&["segment", "list", "--tenant", "acme"]).as_array().unwrap().len();
    wait_for("history", || segments() > 1);
    let allow = |mode: &str| succeeds("chmod", &[mode, shown(&place.path("data/segments/acme"))]);
    allow("500");
    goes_on(&place, "readings that are not rolled to history");
    let before = segments();
    wait_for("a word about it", || place.logs().contains("Permission denied"));
    goes_on(&place, "more of them");
    assert!(segments() <= before + 1, "nothing is written where nothing may be");
    allow("700");
    wait_for("history again", || segments() > before + 1);
    all_is_there(&place, client);
    ends_well(&place, service);
}

#[test]
fn a_network_that_is_cut_and_comes_back_loses_nothing() {
    let place = Place::new();
    drop(place.service(&["acme"]));
    let steady = {
        let _service = place.start(&["service", "run"]);
        place.wait_for_service();
        ByHand::enrolled(&place, "acme", "device", "steady")
    };
    let Ok(namespace) = Command::new("unshare").args(["--net", "sleep", "300"]).spawn().map(Running) else {
        return println!("SKIPPED: unshare is not installed");
    };
    let id = namespace.0.id().to_string();
    let inside = |program: &str| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &id, "--net", program]);
        command
    };
    let network = |state: &str| inside("ip").args(["link", "set", "lo", state]).status().unwrap().success();
    std::thread::sleep(Duration::from_millis(200));
    if !network("up") {
        return println!("SKIPPED: no namespace for the network may be made here");
    }
    let service = start_by(&place, inside("env"));
    let client = Client::start_by(inside("python3"), place.mqtt, &steady, "persistent", 0, 1);
    goes_on(&place, "readings");
    for _ in 0..2 {
        assert!(network("down"));
        std::thread::sleep(Duration::from_secs(4));
        assert!(network("up"));
        goes_on(&place, "readings over a network that is there again");
    }
    assert!(all_is_there(&place, client) >= 3);
    ends_well(&place, service);
}
