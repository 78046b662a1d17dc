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

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::by_hand::ByHand;
use common::crowd::{Client, count};
use common::{Place, Running, wait_for};

/// The service, to which a file that may not grow is an error and no signal.
fn start(place: &Place) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_thingward"), "--config"]);
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

#[test]
fn what_was_acknowledged_is_there_whatever_the_machine_does_to_the_service() {
    let place = Place::new();
    drop(place.service(&["acme"]));
    let mut service = start(&place);
    let steady = ByHand::enrolled(&place, "acme", "device", "steady");
    let newcomer = ByHand::enrolled(&place, "acme", "device", "newcomer");
    let client = Client::start(&place, &steady, "persistent", 0, 1);
    let goes_on = |what: &str| {
        let before = kept(&place).len();
        wait_for(what, || kept(&place).len() > before + 50);
    };
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
    let outcome = client.outcome();
    println!("{outcome}");
    assert!(count(&outcome, "connections") >= 4);

    let kept = kept(&place);
    let mut seen = BTreeSet::new();
    let first: Vec<u64> = kept.iter().copied().filter(|number| seen.insert(*number)).collect();
    let acknowledged = count(&outcome, "acknowledged");
    // One may have been kept whose acknowledgement did not arrive.
    let all: Vec<u64> = (1..=acknowledged.max(u64::try_from(first.len()).unwrap())).collect();
    assert_eq!(first, all, "each is there, and they are in their order");
    assert!(first.len() as u64 <= acknowledged + 1);
    signal(&service, "TERM");
    drop(service);
    wait_for("the end of the service", || place.run(&["fsck"]).0 == 0);
}
