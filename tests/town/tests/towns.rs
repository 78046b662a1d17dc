//! Many small towns, each from its seed.

use thingward_town::installation::Installation;
use thingward_town::ledger::Deeds;
use thingward_town::town::{Outcome, run};

/// Towns of every test run.
const SEEDS: u64 = 200;

#[test]
fn every_town_keeps_what_it_promised() {
    let installation = Installation::new();
    let mut all = Deeds::default();
    for seed in 0..SEEDS {
        match run(&installation, seed) {
            Ok(Outcome { deeds, .. }) => {
                all.readings += deeds.readings;
                all.begun += deeds.begun;
                all.done += deeds.done;
                all.replied += deeds.replied;
                all.findings += deeds.findings;
            }
            Err(failure) => panic!(
                "{}seed {seed}: {}\n{}\nagain: make soak SEED={seed} COUNT=1",
                failure.tail, failure.fault, failure.plan
            ),
        }
    }
    // What never happens is never looked at.
    let least = [all.readings / 100, all.begun, all.done, all.replied, all.findings];
    assert!(least.iter().all(|count| *count as u64 > SEEDS), "{all:?}");
}

#[test]
fn a_town_goes_the_same_way_twice() {
    let (one, other) = (Installation::new(), Installation::new());
    for seed in 0..SEEDS / 4 {
        let (first, second) = (run(&one, seed), run(&other, seed));
        assert!(first.is_ok(), "seed {seed}: {first:?}");
        assert_eq!(first.ok(), second.ok(), "seed {seed} goes two ways");
    }
}
