//! The public face of the crate, against the shared vectors and against itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod commands;
mod groups;
mod home;
mod host;
mod joining;
mod members;
mod patience;
mod peer;
mod security0;
mod security2;
mod serial;
mod smart_start;
mod thing;
mod transport_service;
mod vectors;
