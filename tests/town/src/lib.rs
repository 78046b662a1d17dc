//! Whole towns in one process from a seed: devices, gateways and the service with everything that decides in them, over
//! simulated networks, disks and clocks, held against a small model. `docs/simulation.md` says what must be true.
//!
//! Nothing here has a thread, a timer or a clock: [`town::Town`] says who takes a step, and what time it is.

pub mod device;
pub mod disk;
pub mod gateway;
pub mod hot;
pub mod installation;
pub mod ledger;
pub mod liar;
pub mod names;
pub mod net;
pub mod plan;
pub mod random;
pub mod service;
pub mod town;
pub mod trace;
pub mod uplink;

/// When every town begins.
pub const START_SECONDS: i64 = 1_800_000_000;
