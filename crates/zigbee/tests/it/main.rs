//! The crate against published figures, third-party vectors, and broken input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod coordinator;
mod frames;
mod hostile;
mod listen;
mod security;
mod serial;
mod thing;
mod vectors;
mod zcl;
mod zdo;
