//! Files in the object store of a real NATS server.
#![allow(clippy::unwrap_used, reason = "what does not work ends the test")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use thingward_cluster::depot::NatsDepot;
use thingward_cluster::journal::JournalError;
use thingward_cluster::nats::{Nats, Place};
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::SealingKey;
use thingward_store::hot::Position;
use thingward_store::{Depot, StoreError};
use thingward_town_cluster::{NatsServers, is_installed};

async fn nats(servers: &NatsServers) -> Nats {
    let place =
        Place { servers: servers.urls(), tls: None, login: None, prefix: "town".to_owned(), replicas: 1 };
    Nats::connect(&place).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_node_is_there_for_another_as_it_was() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let depot = Arc::new(NatsDepot::open(&nats(&servers).await).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let work = move || {
        for size in [0_usize, 1, 300_000, 3_000_000] {
            let (name, from, to) =
                (format!("logs/acme/tile/{size}"), folder.path().join("from"), folder.path().join("to"));
            assert!(matches!(depot.get(&name, &to), Err(StoreError::NotFound { .. })));
            let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            std::fs::write(&from, &bytes).unwrap();
            depot.put(&name, &from).unwrap();
            depot.put(&name, &from).unwrap();
            depot.get(&name, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), bytes);
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::write(&from, b"another").unwrap();
            assert!(depot.put(&name, &from).unwrap_err().to_string().contains("another"));
            depot.remove(&name).unwrap();
            depot.remove(&name).unwrap();
            assert!(matches!(depot.get(&name, &to), Err(StoreError::NotFound { .. })));
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_pieces_are_gone_is_an_error_and_no_waiting_without_end() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let depot = Arc::new(NatsDepot::open(&nats(&servers).await).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, vec![1; 1_000_000]).unwrap();
    depot.put("segments/a", &from).unwrap();
    let client = async_nats::connect(servers.urls()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("OBJ_town-files").await.unwrap();
    stream.purge().filter("$O.town-files.C.>").await.unwrap();
    let getting = tokio::task::spawn_blocking(move || depot.get("segments/a", &to));
    let got = tokio::time::timeout(std::time::Duration::from_secs(60), getting).await.unwrap().unwrap();
    assert!(matches!(got, Err(StoreError::Io { .. })), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_counts_and_the_one_before_stays_for_who_reads_it() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers).await;
    let depot: Arc<dyn Depot> = Arc::new(NatsDepot::open(&nats).await.unwrap());
    let key = SealingKey::from_bytes(&[7; 32]).unwrap();
    let snapshots = Snapshots::open(&nats, key, Arc::clone(&depot)).await.unwrap();
    assert_eq!(snapshots.latest().await.unwrap(), None);
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("snapshot"), folder.path().join("to"));
    let at = |index| Position { sequence: index + 5, index, term: 1, ..Position::default() };
    for index in 1..=4 {
        std::fs::write(&file, index.to_string()).unwrap();
        snapshots.put(at(index), &file).await.unwrap();
        assert_eq!(snapshots.latest().await.unwrap(), Some(at(index)));
    }
    let is_there = |index| depot.get(&format!("snapshots/{index}-1"), &to).is_ok();
    assert_eq!([1, 2, 3, 4].map(is_there), [false, false, true, true]);
    // A leader that stood still, and another one has made a newer one.
    let late = snapshots.put(at(3), &file).await;
    assert!(matches!(late, Err(JournalError::Deposed)), "{late:?}");
    assert_eq!(snapshots.latest().await.unwrap(), Some(at(4)));
    std::fs::write(&file, b"5").unwrap();
    snapshots.put(at(5), &file).await.unwrap();
    snapshots.get(at(5), &to).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"5");
}
