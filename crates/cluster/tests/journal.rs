//! The journal and the lease over real NATS servers, some of which end meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what does not work ends the test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thingward_cluster::depot::NatsDepot;
use thingward_cluster::journal::{Journal, JournalError, Leader};
use thingward_cluster::lease::Office;
use thingward_cluster::nats::{Nats, NatsError, Place};
use thingward_cluster::snapshots::Snapshots;
use thingward_crypto::sealed::SealingKey;
use thingward_store::StoreError;
use thingward_store::hot::{Journal as _, Position};
use thingward_town_cluster::{NatsServers, is_installed};

fn place(servers: &NatsServers, replicas: usize) -> Place {
    Place { servers: servers.urls(), tls: None, login: None, prefix: "town".to_owned(), replicas }
}

fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32]).unwrap()
}

/// Servers that have just found each other take a moment until they agree.
async fn nats(servers: &NatsServers, replicas: usize) -> Nats {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let up = async {
            let nats = Nats::connect(&place(servers, replicas)).await?;
            Journal::open(&nats, key()).await?;
            Office::open(&nats, "probe").await?;
            Ok::<_, NatsError>(nats)
        };
        match up.await {
            Ok(nats) => return nats,
            Err(error) => assert!(Instant::now() < end, "NATS does not come up: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn lead(journal: &Journal, term: u64) -> (Leader, Vec<Vec<u8>>) {
    let mut read = Vec::new();
    let leader = journal.clone().lead(term, Position::default(), |entry| {
        read.push(entry.plain.to_vec());
        Ok(())
    });
    let leader = leader.await.unwrap();
    (leader, read.into_iter().filter(|entry| entry != &[0x80]).collect())
}

/// A server with a new journal, which somebody leads.
async fn led() -> (NatsServers, Journal, Arc<Leader>) {
    let servers = NatsServers::start(1);
    let journal = Journal::open(&nats(&servers, 1).await, key()).await.unwrap();
    let leader = Arc::new(lead(&journal, 1).await.0);
    (servers, journal, leader)
}

/// Appends this many numbers, and gives the place of each.
async fn append_numbers(leader: &Arc<Leader>, count: u32) -> Vec<Position> {
    let mut places = Vec::new();
    for number in 0..count {
        places.push(append(Arc::clone(leader), number.to_be_bytes().to_vec()).await.1.unwrap());
    }
    places
}

async fn append(leader: Arc<Leader>, entry: Vec<u8>) -> (Arc<Leader>, Result<Position, StoreError>) {
    let done = tokio::task::spawn_blocking(move || {
        let done = leader.append(&entry);
        (leader, done)
    });
    done.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_appends_everybody_reads_in_order() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let journal = Journal::open(&nats(&servers, 1).await, key()).await.unwrap();
    let (leader, before) = lead(&journal, 1).await;
    assert!(before.is_empty());
    let mut leader = Arc::new(leader);
    let entries: Vec<Vec<u8>> = (0..50_usize).map(|i| vec![u8::try_from(i).unwrap(); i * i * 1000]).collect();
    let followed = Arc::new(Mutex::new(Vec::new()));
    let following = tokio::spawn({
        let (journal, followed) = (journal.clone(), Arc::clone(&followed));
        async move {
            let take = |entry: thingward_cluster::entry::Entry| {
                followed.lock().unwrap().push(entry.plain.to_vec());
                Ok(())
            };
            journal.follow(Position::default(), take).await
        }
    });
    for entry in &entries {
        let (again, done) = append(leader, entry.clone()).await;
        done.unwrap();
        leader = again;
    }
    let (_, read) = lead(&journal, 2).await;
    assert_eq!(read, entries);
    let end = Instant::now() + Duration::from_secs(10);
    while followed.lock().unwrap().len() < entries.len() + 1 {
        assert!(Instant::now() < end && !following.is_finished());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    following.abort();
    assert_eq!(followed.lock().unwrap()[1..=entries.len()], entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_another_has_followed_appends_nothing() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let journal = Journal::open(&nats(&servers, 1).await, key()).await.unwrap();
    let (old, _) = lead(&journal, 1).await;
    let (old, done) = append(Arc::new(old), b"of the old".to_vec()).await;
    done.unwrap();
    let (new, read) = lead(&journal, 2).await;
    assert_eq!(read, [b"of the old"]);
    for _ in 0..2 {
        let (_, done) = append(Arc::clone(&old), b"too late".to_vec()).await;
        assert!(matches!(done, Err(StoreError::Conflict { .. })), "{done:?}");
    }
    let (_, done) = append(Arc::new(new), b"of the new".to_vec()).await;
    done.unwrap();
    let (_, read) = lead(&journal, 3).await;
    assert_eq!(read, [b"of the old", b"of the new"]);
    let again = journal.clone().lead(3, Position::default(), |_| Ok(())).await;
    assert!(matches!(again, Err(JournalError::Deposed)), "no term is led twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_outlives_any_server_and_is_there_once() {
    if !is_installed("nats-server") {
        return;
    }
    let mut servers = NatsServers::start(3);
    let journal = Journal::open(&nats(&servers, 3).await, key()).await.unwrap();
    let (leader, _) = lead(&journal, 1).await;
    let mut leader = Arc::new(leader);
    let mut slowest = Duration::ZERO;
    for number in 0..300_u32 {
        if number % 60 == 30 {
            servers.kill(usize::try_from(number / 60).unwrap() % 3);
        }
        if number % 60 == 50 {
            servers.restart(usize::try_from(number / 60).unwrap() % 3);
            // The one that comes back learns what it missed before the next may go.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let start = Instant::now();
        let (again, done) = append(leader, number.to_be_bytes().to_vec()).await;
        done.unwrap();
        slowest = slowest.max(start.elapsed());
        leader = again;
    }
    let (_, read) = lead(&journal, 2).await;
    assert_eq!(read, (0..300_u32).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>());
    eprintln!("the slowest entry took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_leads_and_another_when_it_stops_renewing() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers, 1).await;
    let (one, other) =
        (Office::open(&nats, "one").await.unwrap(), Office::open(&nats, "other").await.unwrap());
    let mut lease = one.try_lead(0).await.unwrap().unwrap();
    assert!(other.try_lead(0).await.unwrap().is_none());
    assert!(lease.renew().await);
    let leading = other.leading().await.unwrap().unwrap();
    assert_eq!((leading.node.as_str(), leading.term), ("one", lease.term()));

    let silent = Instant::now();
    let next = loop {
        if let Some(next) = other.try_lead(0).await.unwrap() {
            break next;
        }
        assert!(silent.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(silent.elapsed() > Duration::from_secs(3) && next.term() > lease.term());
    assert!(!lease.renew().await, "the lease is another one's");
    let watching = other.clone();
    let seen = tokio::spawn(async move { watching.given_back().await });
    next.hold().give_back().await;
    assert!(
        tokio::time::timeout(Duration::from_secs(1), seen).await.is_ok(),
        "everybody hears of it at once"
    );
    let third = one.try_lead(0).await.unwrap().unwrap();
    assert!(third.term() > lease.term());
    third.hold().give_back().await;

    // As behind a restored or lost bucket, where the revisions begin anew.
    let fourth = other.try_lead(1_000_000).await.unwrap().unwrap();
    assert_eq!(fourth.term(), 1_000_001);
    assert_eq!(one.leading().await.unwrap().unwrap().term, 1_000_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_what_is_cleared_away_meanwhile_hears_so() {
    if !is_installed("nats-server") {
        return;
    }
    let (_servers, journal, leader) = led().await;
    append_numbers(&leader, 1000).await;
    let (first, trimmed) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let mut waits = Some((first.0, trimmed.1));
    let following = tokio::spawn({
        let journal = journal.clone();
        async move {
            // It stands still behind the first entry until the journal was trimmed.
            let take = |_| {
                if let Some((first, trimmed)) = waits.take() {
                    first.send(()).unwrap();
                    tokio::task::block_in_place(|| trimmed.recv()).unwrap();
                }
                Ok(())
            };
            journal.follow(Position::default(), take).await
        }
    });
    tokio::task::block_in_place(|| first.1.recv()).unwrap();
    journal.trim(leader.position()).await.unwrap();
    trimmed.0.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
    assert!(matches!(ended, Err(JournalError::Behind { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_half_is_cleared_away_and_who_was_away_for_a_moment_goes_on() {
    if !is_installed("nats-server") {
        return;
    }
    let (_servers, journal, leader) = led().await;
    let places = append_numbers(&leader, 100).await;
    journal.shorten(leader.position()).await.unwrap();
    assert!(matches!(journal.reaches_back(places[30]).await, Err(JournalError::Behind { .. })));
    journal.reaches_back(places[60]).await.unwrap();
    // Of as many entries, but others: it neither follows nor leads.
    let another = Position { seal: [0; 16], ..leader.position() };
    let follows = journal.reaches_back(another).await;
    assert!(matches!(follows, Err(JournalError::Another { .. })), "{follows:?}");
    let leads = journal.lead(2, another, |_| Ok(())).await.err();
    assert!(matches!(leads, Some(JournalError::Another { .. })), "{leads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_would_keep_less_is_not_written_to() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let client = async_nats::connect(servers.urls()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "town-journal".to_owned(),
        subjects: vec!["town.journal".to_owned()],
        storage: async_nats::jetstream::stream::StorageType::Memory,
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let nats = Nats::connect(&place(&servers, 1)).await.unwrap();
    let refused = Journal::open(&nats, key()).await.err().unwrap();
    assert!(refused.to_string().contains("town-journal has another storage"), "{refused}");
    jetstream.delete_stream("town-journal").await.unwrap();
    Journal::open(&nats, key()).await.unwrap();
    // A stream of one server does not do for a configuration with three.
    let nats = Nats::connect(&place(&servers, 3)).await.unwrap();
    let refused = Journal::open(&nats, key()).await.err().unwrap();
    assert!(refused.to_string().contains("number of replicas"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_the_lease_keeps_it_whatever_it_is_busy_with() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers, 1).await;
    let (one, other) =
        (Office::open(&nats, "one").await.unwrap(), Office::open(&nats, "other").await.unwrap());
    let mut held = one.try_lead(0).await.unwrap().unwrap().hold();
    // As somebody who reads all that there is before it leads.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(other.leading().await.unwrap().unwrap().term, held.term());
    assert!(tokio::time::timeout(Duration::ZERO, held.lost()).await.is_err());
    drop(held);
    let end = Instant::now();
    while other.try_lead(0).await.unwrap().is_none() {
        assert!(end.elapsed() < Duration::from_secs(2), "what is dropped is given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_is_lost_costs_nothing() {
    if !is_installed("nats-server") {
        return;
    }
    let servers = NatsServers::start(1);
    let nats = nats(&servers, 1).await;
    let mut lease = Office::open(&nats, "one").await.unwrap().try_lead(0).await.unwrap().unwrap();
    let mut lost = 0;
    // The servers and their answers get further each time.
    for steps in 0..50 {
        let steps_on = async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            renewed = lease.renew() => assert!(renewed),
            () = steps_on => lost += 1,
        }
        assert!(lease.renew().await, "broken off after {steps} steps");
    }
    println!("{lost} were broken off");
    assert!(lost > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_the_journal_does_not_reach_gives_way_to_the_one_before() {
    if !is_installed("nats-server") {
        return;
    }
    let (servers, journal, leader) = led().await;
    let places = append_numbers(&leader, 3).await;
    let nats = nats(&servers, 1).await;
    let depot = Arc::new(NatsDepot::open(&nats).await.unwrap());
    let snapshots = Snapshots::open(&nats, key(), depot).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("snapshot"), folder.path().join("to"));
    assert_eq!(snapshots.get_newest(&journal, &to).await.unwrap(), None);
    let [first, .., last] = places.as_slice() else { panic!("{places:?}") };
    // What was written behind the backup of the journal.
    let beyond = Position { sequence: last.sequence + 9, index: last.index + 9, ..*last };
    for (at, said) in [(*first, "first"), (beyond, "beyond")] {
        std::fs::write(&file, said).unwrap();
        snapshots.put(at, &file).await.unwrap();
    }
    assert_eq!(snapshots.get_newest(&journal, &to).await.unwrap(), Some(*first));
    assert_eq!(std::fs::read(&to).unwrap(), b"first");
    // Others have written on, where the lost ones were.
    append_numbers(&leader, 10).await;
    assert_eq!(snapshots.get_newest(&journal, &to).await.unwrap(), Some(*first));
    journal.trim(*last).await.unwrap();
    let none = snapshots.get_newest(&journal, &to).await;
    assert!(matches!(none, Err(JournalError::Another { .. })), "{none:?}");
}
