//! Drivers as processes, with a real kernel around them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bench;
mod process;
mod sandbox;
mod supervisor;
mod wire;
