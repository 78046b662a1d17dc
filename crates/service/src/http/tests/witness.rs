//! Witnesses of the audit log: what is published, when, and what happens while they are away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value as Json;
use thingward_audit::cosignature::WitnessKey;
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::quorum::Quorum;
use thingward_model::clock::now;
use thingward_policy::Action;
use thingward_witness::Fingerprint;
use thingward_witness::home::Home;
use thingward_witness::server::Server;
use thingward_witness::witness::Witness;
use tokio::task::JoinHandle;

use super::log::LOG;
use super::{Fixture, settings};
use crate::settings::{LogSettings, NoWitness, ServiceSettings, WitnessSettings};

/// A witness on a port that it has for good. It is stopped with its task.
struct Somebody {
    folder: tempfile::TempDir,
    address: SocketAddr,
    key: WitnessKey,
    fingerprint: Fingerprint,
}

impl Somebody {
    async fn new(n: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(&folder.path().join("w"), &format!("witness.test/{n}"), now()).unwrap();
        let (key, fingerprint) = (home.key().unwrap(), home.fingerprint());
        // An address of its own: no other test takes the port while it is stopped.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let address = [127, 0, 77, NEXT.fetch_add(1, Ordering::Relaxed)];
        let port = tokio::net::TcpListener::bind(SocketAddr::from((address, 0))).await.unwrap();
        Self { folder, address: port.local_addr().unwrap(), key, fingerprint }
    }

    fn settings(&self) -> WitnessSettings {
        let url = format!("https://{}", self.address).parse().unwrap();
        WitnessSettings { key: self.key.clone(), url, fingerprint: self.fingerprint }
    }

    async fn run(&self, log: &LogKey) -> JoinHandle<()> {
        let home = Home::open(&self.folder.path().join("w")).unwrap();
        let witness = Witness::new(home, vec![log.clone()]).unwrap();
        tokio::spawn(Server::bind(witness, self.address, 8).await.unwrap().run())
    }
}

async fn stop(witness: JoinHandle<()>) {
    witness.abort();
    let _ = witness.await;
}

async fn fixture(folder: tempfile::TempDir, log: LogSettings) -> Fixture {
    let settings = settings(folder.path());
    Fixture::with(folder, ServiceSettings { log, ..settings }).await
}

fn log(witnesses: &[&Somebody], quorum: usize) -> LogSettings {
    LogSettings { witnesses: witnesses.iter().map(|w| w.settings()).collect(), quorum }
}

async fn key(fixture: &Fixture) -> LogKey {
    fixture.admin("get", LOG, "").await.1["key"].as_str().unwrap().parse().unwrap()
}

async fn do_something(fixture: &Fixture, name: &str) {
    let body = format!(r#"{{"name":"{name}"}}"#);
    let (status, answer) = fixture.admin("post", "/api/v1/tenants/acme/claims", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// The size that is published, and how many of all entries.
async fn sizes(fixture: &Fixture) -> (u64, u64) {
    let (_, log) = fixture.admin("get", LOG, "").await;
    (log["size"].as_u64().unwrap(), log["entries"].as_u64().unwrap())
}

async fn until(fixture: &Fixture, published: u64) {
    let there = async {
        while sizes(fixture).await.0 != published {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), there).await;
    assert!(
        waited.is_ok(),
        "{:?} instead of {published}\n{}",
        sizes(fixture).await,
        fixture.app.shared.core.metrics_text()
    );
}

async fn proof(fixture: &Fixture, index: u64) -> (StatusCode, Json) {
    fixture.admin("get", &format!("{LOG}/entries/{index}/proof"), "").await
}

fn cosigners(quorum: &Quorum, note: &str) -> usize {
    quorum.check(&SignedNote::parse(note).unwrap()).map_or(0, |all| all.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_published_when_enough_witnesses_have_co_signed_it_and_not_before() {
    let (one, two, three) = (Somebody::new(1).await, Somebody::new(2).await, Somebody::new(3).await);
    let fixture = fixture(tempfile::tempdir().unwrap(), log(&[&one, &two, &three], 2)).await;
    let key = key(&fixture).await;
    do_something(&fixture, "meter-1").await;
    let first = one.run(&key).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sizes(&fixture).await, (0, 1));
    for path in ["/checkpoint", "/entries/0/proof", "/tile/0/000.p/1", "/tile/entries/000.p/1"] {
        let (status, _) = fixture.admin("get", &format!("{LOG}{path}"), "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, entries) = fixture.admin("get", &format!("{LOG}/entries"), "").await;
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
    assert!(fixture.app.shared.core.metrics_text().contains("thingward_log_entries_unpublished 1"));

    let second = two.run(&key).await;
    until(&fixture, 1).await;
    let (_, proved) = proof(&fixture, 0).await;
    let quorum = Quorum::new(vec![one.key.clone(), two.key.clone(), three.key.clone()], 2).unwrap();
    assert_eq!(cosigners(&quorum, proved["checkpoint"].as_str().unwrap()), 2);

    // One goes: what is published stays, and what comes after it waits.
    stop(first).await;
    do_something(&fixture, "meter-2").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sizes(&fixture).await, (1, 2));
    assert_eq!(proof(&fixture, 0).await.1["size"], 1);
    assert_eq!(proof(&fixture, 1).await.0, StatusCode::NOT_FOUND);
    let third = three.run(&key).await;
    until(&fixture, 2).await;
    assert_eq!(proof(&fixture, 1).await.0, StatusCode::OK);
    let first = one.run(&key).await;
    do_something(&fixture, "meter-3").await;
    until(&fixture, 3).await;
    for witness in [first, second, third] {
        stop(witness).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_survives_a_restart_without_the_witnesses() {
    let one = Somebody::new(1).await;
    let fixture = fixture(tempfile::tempdir().unwrap(), log(&[&one], 1)).await;
    let key = key(&fixture).await;
    let witness = one.run(&key).await;
    do_something(&fixture, "meter-1").await;
    until(&fixture, 1).await;
    let before = proof(&fixture, 0).await;
    stop(witness).await;
    do_something(&fixture, "meter-2").await;
    let (folder, settings) = fixture.stopped().await;
    let fixture = Fixture::started(folder, settings).await;
    assert_eq!(proof(&fixture, 0).await, before);
    assert_eq!(sizes(&fixture).await, (1, 2));
    let witness = one.run(&key).await;
    until(&fixture, 2).await;
    stop(witness).await;
    // With a witness who has not co-signed it, it is not published any more.
    let two = Somebody::new(2).await;
    let (folder, settings) = fixture.stopped().await;
    let settings = ServiceSettings { log: log(&[&one, &two], 2), ..settings };
    let fixture = Fixture::started(folder, settings).await;
    assert_eq!(sizes(&fixture).await, (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_shows_another_history_after_a_restart_is_not_co_signed() {
    let one = Somebody::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixture(folder, log(&[&one], 1)).await;
    let key = key(&fixture).await;
    let witness = one.run(&key).await;
    do_something(&fixture, "meter-1").await;
    do_something(&fixture, "meter-2").await;
    until(&fixture, 2).await;
    // The same key, and a log that begins anew: what a restored or rewritten data directory shows.
    let (folder, settings) = fixture.stopped().await;
    std::fs::remove_dir_all(settings.data_dir.join("hot")).unwrap();
    let fixture = Fixture::started(folder, settings).await;
    assert_eq!(self::key(&fixture).await, key);
    for name in ["other-1", "other-2", "other-3"] {
        do_something(&fixture, name).await;
    }
    let refused = async {
        while !fixture.app.shared.core.metrics_text().contains("cosignatures_failed_total{kind=\"refused\"} ")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(sizes(&fixture).await, (0, 3));
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_log_gets_entries_as_they_come_and_only_while_it_may() {
    let fixture = Fixture::new().await;
    do_something(&fixture, "meter-1").await;
    let page = async |query: &str| fixture.admin("get", &format!("{LOG}/entries?{query}"), "").await;
    let (_, there) = page("wait=30").await;
    assert_eq!(there["items"].as_array().unwrap().len(), 1);
    let started = std::time::Instant::now();
    let (_, none) = page("after=0&wait=1").await;
    assert_eq!(none["items"].as_array().unwrap().len(), 0);
    assert!(started.elapsed() >= Duration::from_secs(1));
    for wrong in ["wait=0", "wait=31", "wait=x"] {
        assert_eq!(page(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let (waited, ()) = tokio::join!(page("after=0&wait=30"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        do_something(&fixture, "meter-2").await;
    });
    assert_eq!(waited.1["items"][0]["target"], "device/meter-2");

    let token = fixture.token(Some("acme"), &[Action::ReadLog], 2).await;
    let path = format!("{LOG}/entries?after=1&wait=30");
    let (ended, ()) = tokio::join!(fixture.call("get", &path, Some(&token), ""), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        do_something(&fixture, "meter-3").await;
    });
    assert_eq!(ended.0, StatusCode::UNAUTHORIZED, "{}", ended.1);
}

#[tokio::test]
async fn a_witness_of_the_configuration_is_key_url_and_fingerprint() {
    let one = Somebody::new(1).await;
    let (key, fingerprint) = (&one.key, &one.fingerprint);
    let line = format!("{key} https://w.test/a {fingerprint}");
    let read: WitnessSettings = line.parse().unwrap();
    assert_eq!((&read.key, &read.fingerprint), (key, fingerprint));
    for wrong in [
        String::new(),
        format!("{key} https://w.test"),
        format!("{key} {fingerprint} https://w.test"),
        format!("{line} x"),
        line.replace("https", "http"),
        line.replace("witness.test", "witness.best"),
    ] {
        assert_eq!(wrong.parse::<WitnessSettings>(), Err(NoWitness), "{wrong}");
    }
}
