//! Grants from outside: what a meter serves and refuses, whatever bytes it is given.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod bad_input;
mod bad_keys;
mod chains;
mod common;
mod course;
mod grants;
mod limits;
mod reference;
mod second_opinion;
mod statements;
mod thieves;
mod vectors;
