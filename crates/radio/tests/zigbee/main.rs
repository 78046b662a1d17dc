//! The driver of Zigbee at an emulated coordinator with emulated nodes: orders go in, reports come out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod hostile;
mod join;
mod key;
mod late;
mod moved;
mod restart;
mod things;
mod versions;
mod world;
