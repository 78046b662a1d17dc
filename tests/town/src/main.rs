//! `make soak`: town after town, until one is not as it must be, or until it is told to stop.
//!
//! `SEED` is the first one, `COUNT` how many; without it there is no end.

use std::process::ExitCode;
use std::time::Instant;

use thingward_town::installation::Installation;
use thingward_town::town::run;

/// How many towns between two words about it.
const PROGRESS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> ExitCode {
    let first = number("SEED").unwrap_or(0);
    let count = number("COUNT").unwrap_or(u64::MAX);
    let installation = Installation::new();
    let start = Instant::now();
    let mut readings = 0;
    for done in 0..count {
        let seed = first.wrapping_add(done);
        match run(&installation, seed) {
            Ok(outcome) => readings += outcome.readings,
            Err(failure) => {
                println!("{}", failure.tail);
                println!("seed {seed}: {}\n{}", failure.fault, failure.plan);
                println!("again: make soak SEED={seed} COUNT=1");
                return ExitCode::FAILURE;
            }
        }
        if (done + 1) % PROGRESS == 0 || done + 1 == count {
            let seconds = start.elapsed().as_secs();
            println!("{} towns up to seed {seed}, {readings} readings, {seconds} s", done + 1);
        }
    }
    ExitCode::SUCCESS
}
