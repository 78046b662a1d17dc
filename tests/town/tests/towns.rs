//! Many small towns, each from its seed.

use thingward_town::installation::Installation;
use thingward_town::town::run;

/// Towns of every test run.
const SEEDS: u64 = 200;

#[test]
fn every_town_keeps_what_it_promised() {
    let installation = Installation::new();
    for seed in 0..SEEDS {
        if let Err(failure) = run(&installation, seed) {
            panic!(
                "{}seed {seed}: {}\n{}\nagain: make soak SEED={seed} COUNT=1",
                failure.tail, failure.fault, failure.plan
            );
        }
    }
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
