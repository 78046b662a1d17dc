//! Files in the object store of a real NATS server.
#![allow(clippy::unwrap_used, reason = "what does not work ends the test")]

use std::sync::Arc;

use thingward_cluster::depot::NatsDepot;
use thingward_cluster::nats::{Nats, Place};
use thingward_store::{Depot as _, StoreError};
use thingward_town_cluster::{NatsServers, is_installed};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_node_is_there_for_another_as_it_was() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let place =
        Place { servers: servers.urls(), tls: None, login: None, prefix: "town".to_owned(), replicas: 1 };
    let nats = Nats::connect(&place).await.unwrap();
    let depot = Arc::new(NatsDepot::open(&nats).await.unwrap());
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
            depot.remove(&name).unwrap();
            depot.remove(&name).unwrap();
            assert!(matches!(depot.get(&name, &to), Err(StoreError::NotFound { .. })));
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
