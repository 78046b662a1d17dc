//! One short scenario, and each of its writes broken in turn.

use thingward_town::disk::Fault;
use thingward_town::hot;
use thingward_town::installation::Installation;
use thingward_town::plan::Plan;
use thingward_town::random::Random;
use thingward_town::town::{Broken, Writes, run_broken};

/// A device behind a gateway and one without, for a few seconds, and nothing else goes wrong.
fn scenario() -> Plan {
    Plan {
        homes: vec![Some(0), None],
        has_neighbour: false,
        gateways: 1,
        steps: 80,
        kills: 0,
        writes: 0,
        commits: 0,
        undecided: 0,
        stalls: 0,
        cuts: 0,
        partitions: 0,
        full: 0,
        jumps: 0,
        orders: 60,
        lying_disks: false,
        lying_service: false,
        lying_links: vec![false; 2],
        lying_gateways: vec![false],
        small: vec![false; 2],
        small_queues: vec![false],
    }
}

fn check(installation: &Installation, broken: Broken) -> Writes {
    match run_broken(installation, scenario(), Random::new(7), broken) {
        Ok(writes) => writes,
        Err(failure) => panic!("{}{broken:?}: {}", failure.tail, failure.fault),
    }
}

#[test]
fn no_write_that_breaks_loses_or_doubles_anything() {
    let installation = Installation::new();
    let writes = check(&installation, Broken::Nothing);
    assert!(writes.spool > 30 && writes.journal > 2 && writes.queue > 5 && writes.commits > 20, "{writes:?}");
    for fault in [Fault::Fails, Fault::Tears, Fault::Cuts] {
        for write in 0..writes.spool {
            check(&installation, Broken::Spool { write, fault });
        }
        for write in 0..writes.journal {
            check(&installation, Broken::Journal { write, fault });
        }
        for write in 0..writes.queue {
            check(&installation, Broken::Queue { write, fault });
        }
    }
    for fault in [hot::Fault::Fails, hot::Fault::Deaf] {
        // Before the first one nobody is enrolled.
        for commit in 1..writes.commits {
            check(&installation, Broken::Commit { commit, fault });
        }
    }
}
