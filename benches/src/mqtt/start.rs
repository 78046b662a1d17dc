//! How long a service with many devices takes from its start to the first client that it has taken in.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::load::Load;
use super::server::{Member, Server};
use crate::clock::Rounds;
use crate::house::House;

const ROUNDS: usize = 5;
pub(super) const DEVICES: usize = 100_000;
/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Default)]
pub(crate) struct Start {
    /// Milliseconds by the clock.
    pub(crate) connected: Rounds,
    /// Of the program, in MiB.
    pub(crate) size: f64,
}

/// Leaves the house with so many devices more.
pub(super) fn measure(program: &Path, house: &mut House, members: &[Member], runtime: &Runtime) -> Start {
    let mut start = Start {
        size: std::fs::metadata(program).unwrap().len() as f64 / f64::from(1 << 20),
        ..Start::default()
    };
    let registry = house.path("data/registry.sqlite");
    house.restart(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/many-devices.py");
        let made = Command::new("python3")
            .arg(script)
            .arg(&registry)
            .args(["acme", "member-0", &DEVICES.to_string()])
            .status();
        assert!(made.unwrap().success(), "the devices could not be made");
    });
    for _ in 0..ROUNDS {
        house.restart(|| ());
        let begun = Instant::now();
        let load = Load::new(&Server::of(house), members, 1);
        while std::net::TcpStream::connect(("127.0.0.1", house.mqtt)).is_err() {
            std::thread::sleep(AGAIN);
        }
        drop(runtime.block_on(load.open()));
        start.connected.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    start
}
