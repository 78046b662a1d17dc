//! The driver of a Z-Wave controller: against the emulated controller and nodes of Z-Wave JS, over its TCP serial port
//! ([`home`]; skips, and says so, where it is not installed), and against what no controller says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod bench;
mod emulated;
mod home;
mod hostile;
mod joining;
mod listening;
mod things;
