//! Links between nodes over a real NATS server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what does not work ends the test")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use thingward_cluster::link::{Host, Receiver, Sender, connect};
use thingward_cluster::nats::{Nats, Place};
use thingward_crypto::sealed::SealingKey;
use thingward_town_cluster::{NatsServers, is_installed};

fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32]).unwrap()
}

async fn nats(servers: &NatsServers) -> Nats {
    let place =
        Place { servers: servers.urls(), tls: None, login: None, prefix: "town".to_owned(), replicas: 1 };
    Nats::connect(&place).await.unwrap()
}

async fn linked(nats: &Nats) -> ((Sender, Receiver), (Sender, Receiver)) {
    let mut host = Host::listen(nats, key(), 5).await.unwrap();
    let (host, guest) = tokio::join!(host.accept(), async {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match connect(nats, &key(), 5).await {
                Ok(linked) => return linked,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
        }
    });
    (host.unwrap(), guest)
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_arrive_in_order_however_slowly_they_are_taken() {
    if !is_installed("nats-server") {
        return;
    }
    const EVENTS: u64 = 2400;
    let servers = NatsServers::start(1);
    let nats = nats(&servers).await;
    let ((host, mut from_guest), (_guest, mut from_host)) = linked(&nats).await;
    let sending = tokio::spawn(async move {
        for number in 0..EVENTS {
            assert!(
                host.send(3, number, Bytes::from(vec![u8::try_from(number % 251).unwrap(); 16 * 1024])).await
            );
        }
        host
    });
    // What is taken is said on the way back.
    let hearing = tokio::spawn(async move { while from_guest.next().await.is_some() {} });
    let mut next = 0;
    while next < EVENTS {
        for event in from_host.next().await.unwrap() {
            assert_eq!((event.kind, event.connection, event.bytes.len()), (3, next, 16 * 1024));
            assert_eq!(event.bytes[0], u8::try_from(next % 251).unwrap());
            next += 1;
            if next == 400 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                assert!(!sending.is_finished(), "no more is on its way than the other takes");
            }
        }
    }
    drop(sending.await.unwrap());
    hearing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_noticed_and_who_has_nothing_to_say_is_not_gone() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers).await;
    let ((host, mut from_guest), (guest, mut from_host)) = linked(&nats).await;
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(6) {
        assert!(from_guest.next().await.unwrap().is_empty());
        assert!(from_host.next().await.unwrap().is_empty());
    }
    drop((guest, from_host));
    let end = Instant::now();
    while from_guest.next().await.is_some() {}
    assert!(end.elapsed() < Duration::from_secs(6));
    drop(from_guest);
    assert!(!host.send(0, 0, Bytes::new()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_key_is_linked_to_nor_hears_anything() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers).await;
    let mut host = Host::listen(&nats, key(), 5).await.unwrap();
    let accepting = tokio::spawn(async move { host.accept().await.is_some() });
    let other = SealingKey::from_bytes(&[8; 32]).unwrap();
    assert!(connect(&nats, &other, 5).await.is_err());
    assert!(connect(&nats, &key(), 4).await.is_err(), "nobody leads in that term");
    assert!(!accepting.is_finished());
    connect(&nats, &key(), 5).await.unwrap();
    assert!(accepting.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_only_hears_is_not_gone() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers).await;
    let ((host, mut from_guest), (_guest, mut from_host)) = linked(&nats).await;
    let hearing = tokio::spawn(async move { while from_host.next().await.is_some() {} });
    let talking = async {
        for number in 0..20 {
            assert!(host.send(1, number, Bytes::from_static(b"heard")).await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let answered = async { while from_guest.next().await.is_some() {} };
    tokio::select! {
        () = talking => {}
        () = answered => panic!("the link was cut after less than 6 s"),
    }
    assert!(!hearing.is_finished());
}
