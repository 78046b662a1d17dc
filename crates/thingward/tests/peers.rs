//! The binary and clients that nobody here wrote: Paho, MQTT.js, Mosquitto, curl, OpenSSL, GnuTLS, the
//! standard's JSON Schema, Go, pyca/cryptography; and bad ones.
//! Each test skips, and says so, where its peer is not installed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

#[path = "peers/bad_input.rs"]
mod bad_input;
#[path = "peers/descriptions.rs"]
mod descriptions;
#[path = "peers/enrolment.rs"]
mod enrolment;
#[path = "peers/log.rs"]
mod log;
#[path = "peers/pages.rs"]
mod pages;
#[path = "peers/policies.rs"]
mod policies;
#[path = "peers/sign_in.rs"]
mod sign_in;
#[path = "peers/standard_client.rs"]
mod standard_client;
#[path = "peers/testbed.rs"]
mod testbed;
#[path = "peers/tls.rs"]
mod tls;

/// A file of `tests/peers` at the root of the repository.
fn script(name: &str) -> String {
    format!("{}/../../tests/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}
