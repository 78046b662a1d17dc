//! `make bench`: measures, beside peers and bounds in one run, and writes what came out into `docs/performance.md`.
//!
//! Figures of work are per second of the processor, so that other processes beside it do not count; they are medians of rounds
//! in which everybody takes turns. Arguments: the folder of npm's packages, and the Python that has DuckDB; or `devices`, for
//! `make scale`, which writes what many devices cost into `docs/scale.md`. With a number behind it, it measures so many once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark says what is wrong by panicking"
)]

mod air;
mod bed;
mod bounds;
mod chain;
mod clock;
mod devices;
mod house;
mod inside;
mod latency;
mod mqtt;
mod peer;
mod plot;
mod report;
mod scale;
mod zigbee;
mod zwave;

use std::path::PathBuf;

use bounds::Bounds;
use report::Report;

const ROUNDS: u32 = 7;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("devices") {
        return match std::env::args().nth(2) {
            Some(count) => println!("{}", devices::measure(count.parse().unwrap())),
            None => scale::write(),
        };
    }
    let modules: PathBuf = std::env::args_os().nth(1).expect("the folder of npm's packages").into();
    let python: PathBuf = std::env::args_os().nth(2).expect("the Python that has DuckDB").into();
    let program = std::env::current_exe().unwrap().with_file_name("thingward");
    println!("Decoding frames, beside peers");
    let folder = tempfile::tempdir().unwrap();
    let (mut bounds, mut zigbee, mut zwave) =
        (Bounds::default(), zigbee::Bench::new(&modules), zwave::Bench::new(&modules));
    for _ in 0..ROUNDS {
        bounds.round(folder.path());
        zigbee.round();
        zwave.round();
    }
    let (zigbee, zwave) = (zigbee.done(), zwave.done());
    println!("From radios to the service, and memory: two minutes");
    let latency = latency::measure(&program);
    println!("MQTT, beside mosquitto: three minutes");
    let mqtt = mqtt::measure(&program);
    println!("The service inside: a minute");
    let inside = inside::measure(&python);
    Report { bounds, zigbee, zwave, latency, mqtt, inside }.write();
    println!("docs/performance.md has the figures");
}
