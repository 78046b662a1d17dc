//! The Merkle log: who did what, provable against everyone.
//!
//! Entries are leaves of the tree of RFC 6962. The log is kept as [tlog-tiles] with signed-note [checkpoints], so
//! existing verifiers and witnesses work with it. Everything here is pure: bytes in, bytes out.
//!
//! Without the feature `std` only the proofs are here, free of allocation, for devices that check what a log says.
//!
//! [tlog-tiles]: https://c2sp.org/tlog-tiles
//! [checkpoints]: https://c2sp.org/tlog-checkpoint

#![cfg_attr(not(feature = "std"), no_std)]

mod hash;
mod proof;

#[cfg(feature = "std")]
pub mod account;
#[cfg(feature = "std")]
pub mod actors;
#[cfg(feature = "std")]
pub mod checkpoint;
#[cfg(feature = "std")]
pub mod cosignature;
#[cfg(feature = "std")]
pub mod entry;
#[cfg(feature = "std")]
pub mod frontier;
#[cfg(feature = "std")]
pub mod note;
#[cfg(feature = "std")]
pub mod order;
#[cfg(feature = "std")]
pub mod quorum;
#[cfg(feature = "std")]
pub mod sign1;
#[cfg(feature = "std")]
pub mod tile;
#[cfg(feature = "std")]
pub mod tree;
#[cfg(feature = "std")]
pub mod usage;
#[cfg(feature = "std")]
pub mod verify;
#[cfg(feature = "std")]
pub mod witness;

pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
pub use proof::{ProofError, Subtree, verify_consistency, verify_inclusion};
