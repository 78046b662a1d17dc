//! The device against a service made of real parts: authority, TLS, EST, broker, chain verifier.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod agent;
mod commands;
mod enrolment;
mod grants;
mod home;
mod installation;
mod ledger;
mod replay;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use thingward_agent::agent::{Agent, AgentHandle, AgentSettings};
use thingward_agent::enrol::{Credential, enrol};
use thingward_agent::home::Home;
use thingward_agent::uplink::UplinkStatus;
use thingward_crypto::SignatureAlgorithm;

use installation::Installation;

/// A new folder that may be a home.
fn private_folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// A home at `path` that is a device of `installation`.
async fn enrolled(installation: &Installation, path: &Path, name: &str) -> Home {
    let home = open(path).await;
    if !home.is_enrolled() {
        let claim = installation.claim(name);
        let credential = Credential::Claim(claim.parse().unwrap());
        enrol(&home, &installation.https, &credential, SignatureAlgorithm::EcdsaP256).await.unwrap();
    }
    home
}

/// Opens a home that a dropped agent may still be letting go.
async fn open(path: &Path) -> Home {
    for _ in 0..500 {
        if let Ok(home) = Home::open(path) {
            return home;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Home::open(path).unwrap()
}

fn start(home: &Home) -> AgentHandle {
    let settings = AgentSettings { checkpoint_every: Duration::from_millis(100), ..AgentSettings::default() };
    Agent::start(home, settings).unwrap()
}

/// Waits until it is so, or fails after a time that no test needs.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Waits until the uplink of `agent` is so.
async fn until_uplink(what: &str, agent: &AgentHandle, is_so: impl Fn(&UplinkStatus) -> bool) {
    for _ in 0..4000 {
        if is_so(&agent.status().await.unwrap().uplink) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
