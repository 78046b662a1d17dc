//! Connections end as they should, whatever their clients do.

use std::sync::Mutex;

use thingward_model::{Link, Principal, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::link::{LAST_WORDS_TIMEOUT, WRITE_TIMEOUT};

/// Keeps what a connection gave it, and notes its end.
#[derive(Clone, Default)]
struct Noting {
    output: Arc<Mutex<Option<Output>>>,
    closed: Arc<AtomicU64>,
    heard: Arc<AtomicU64>,
}

impl Core for Noting {
    async fn accept(&self, _: ConnId, _: Member, output: Output) {
        *self.output.lock().unwrap() = Some(output);
    }

    async fn received(&self, _: ConnId, _: Received) {}

    async fn heard(&self, _: ConnId) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    async fn closed(&self, _: ConnId) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self) {}
}

fn member() -> Member {
    let (tenant, name) = ("acme".parse().unwrap(), "meter-1".parse().unwrap());
    let principal = Principal { tenant, role: Role::Device, name };
    Member { principal, serial: vec![1], not_after: now().plus_micros(3_600_000_000), link: Link::MutualTls }
}

fn presence() -> Presence {
    Members::new(1, 1000).enter(member().principal).unwrap()
}

async fn serve_a_client_that_never_reads(act: impl FnOnce(&Mutex<Option<Output>>)) -> Duration {
    let (core, (_client, server)) = (Noting::default(), tokio::io::duplex(64));
    let start = tokio::time::Instant::now();
    let serving = tokio::spawn({
        let core = core.clone();
        async move { serve(1, server, member(), &presence(), &core).await }
    });
    while core.output.lock().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    act(&core.output);
    serving.await.unwrap();
    assert_eq!(core.closed.load(Ordering::Relaxed), 1);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_let_go_of_in_time() {
    let took = serve_a_client_that_never_reads(|output| {
        let output = output.lock().unwrap();
        output.as_ref().unwrap().send(&[0; 1000]).unwrap();
    });
    assert_eq!(took.await.as_secs(), WRITE_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_core_ends_does_not_wait_for_its_reader() {
    let took = serve_a_client_that_never_reads(|output| {
        let output = output.lock().unwrap().take().unwrap();
        output.send(&[0; 1000]).unwrap();
    });
    assert_eq!(took.await.as_secs(), LAST_WORDS_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_meanwhile_costs_it_no_last_words() {
    let (core, (mut client, server)) = (Noting::default(), tokio::io::duplex(64));
    let presence = presence();
    let serving = serve(1, server, member(), &presence, &core);
    let talking = async {
        while core.output.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let output = core.output.lock().unwrap().take().unwrap();
        output.send(b"why").unwrap();
        drop(output);
        // More than there is room for on the way.
        client.write_all(&[0; 1000]).await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"why");
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    let start = tokio::time::Instant::now();
    tokio::select! {
        () = serving => {}
        () = talking => panic!("it is let go of"),
    }
    assert_eq!(start.elapsed().as_secs(), LAST_WORDS_TIMEOUT.as_secs());
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let (core, (_client, server)) = (Noting::default(), tokio::io::duplex(64));
    let who = Member { not_after: now().plus_micros(50_000), ..member() };
    let end = who.not_after;
    serve(1, server, who, &presence(), &core).await;
    assert!(now() >= end && core.closed.load(Ordering::Relaxed) == 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_member_has_said_too_much_is_heard_while_it_waits() {
    let (core, (mut client, server)) = (Noting::default(), tokio::io::duplex(64));
    let presence = presence();
    presence.allowance.owe(60_000);
    client.write_all(&[0xc0, 0]).await.unwrap();
    let serving = serve(1, server, member(), &presence, &core);
    assert!(timeout(Duration::from_secs(50), serving).await.is_err());
    assert!((48..51).contains(&core.heard.load(Ordering::Relaxed)));
}
