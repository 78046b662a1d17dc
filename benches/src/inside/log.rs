//! Entries of the audit log: signed, appended in groups, proved and checked.

use std::hint::black_box;
use std::sync::Arc;

use thingward_audit::{Subtree, leaf_hash, verify_inclusion};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::system_rng;
use thingward_mqtt::broker::Limits;
use thingward_service::audit::Deed;
use thingward_service::core::stepped::SteppedCore;
use thingward_service::directory::Directory;

use crate::bed::Bed;
use crate::clock::{Rounds, spent};

const ROUNDS: usize = 5;
/// Entries of a round, and those that become durable together, as many as the core takes.
const ENTRIES: u32 = 20_000;
const GROUP: u32 = 512;
/// Proofs of a round: of entries all over the log, in no order.
const PROOFS: u64 = 2_000;
/// Has no divisor with the size of the log, so that its multiples come by everywhere.
const STEP: u64 = 48_271;

/// In a second of the processor.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) appended: Rounds,
    pub(crate) proved: Rounds,
    pub(crate) checked: Rounds,
}

pub(crate) fn measure() -> Log {
    let Bed { runtime, folder: _folder, store, tenant, now } = Bed::new();
    let sealing = SealingKey::generate(&mut system_rng()).unwrap();
    let directory = Arc::new(Directory::default());
    let open =
        SteppedCore::open(Arc::clone(&store), directory, &sealing, "town.example", Limits::default(), now);
    let mut core = runtime.block_on(open).unwrap();
    let mut log = Log::default();
    for _ in 0..ROUNDS {
        let ((), time) = spent(|| {
            for first in (0..ENTRIES).step_by(GROUP as usize) {
                for number in first..(first + GROUP).min(ENTRIES) {
                    let deed = Deed::new("operator".to_owned(), "segment.read", format!("segment/{number}"));
                    drop(core.log(tenant, deed, now).unwrap());
                }
                let decision = core.decide(now).unwrap();
                core.commit(vec![decision]).unwrap();
            }
        });
        log.appended.push(f64::from(ENTRIES) / time.as_secs_f64());
        store.log(tenant).roll().unwrap();
    }
    let log_of = store.log(tenant);
    let size = log_of.end().unwrap().size();
    let view = log_of.view().unwrap();
    let root = view.root(size).unwrap();
    let indexes = || (0..PROOFS).map(|number| number * STEP % size);
    let leaf = |index| leaf_hash(&log_of.entries(index, 1).unwrap()[0].1);
    let leaves: Vec<_> = indexes().map(leaf).collect();
    for _ in 0..ROUNDS {
        let (proofs, time) = spent(|| -> Vec<_> {
            indexes().map(|index| view.inclusion_proof(index, size).unwrap()).collect()
        });
        log.proved.push(PROOFS as f64 / time.as_secs_f64());
        let ((), time) = spent(|| {
            for ((index, leaf), proof) in indexes().zip(&leaves).zip(&proofs) {
                black_box(verify_inclusion(index, leaf, Subtree::first(size), &root, proof)).unwrap();
            }
        });
        log.checked.push(PROOFS as f64 / time.as_secs_f64());
    }
    log
}
