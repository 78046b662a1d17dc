//! Clients that want more than their share: the service goes on for others, keeps its bounds, and keeps what it acknowledged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use serde_json::Value as Json;

use common::Place;
use common::by_hand::ByHand;
use common::crowd::{Client, count};

const SECONDS: u32 = 6;

#[test]
fn whoever_wants_more_than_their_share_leaves_others_served() {
    let place = Place::new();
    let _service = place.service(&["acme"]);
    let good = ByHand::enrolled(&place, "acme", "device", "good");
    let bad = ByHand::enrolled(&place, "acme", "device", "bad");
    let deaf = ByHand::enrolled(&place, "acme", "application", "deaf");
    let alone = Client::start(&place, &good, "well_behaved", SECONDS, 1).outcome();
    let mut acknowledged = count(&alone, "acknowledged");
    println!("alone: {alone}");
    let least = acknowledged / 3;
    let mut during = |attackers: &[(&ByHand, &str)]| {
        let attackers: Vec<_> =
            attackers.iter().map(|(member, what)| Client::start(&place, member, what, SECONDS, 1)).collect();
        let served = Client::start(&place, &good, "well_behaved", SECONDS, acknowledged + 1).outcome();
        let outcomes: Vec<Json> = attackers.into_iter().map(Client::outcome).collect();
        println!("{served} during {outcomes:?}");
        let is_served = count(&served, "acknowledged") >= least
            && count(&served, "newcomers") >= 2
            && served["p99"].as_f64().is_some_and(|millis| millis < 1000.0);
        assert!(is_served, "{served}\n{}", place.logs());
        acknowledged += count(&served, "acknowledged");
        outcomes
    };

    let outcomes = during(&[(&bad, "slow_handshakes")]);
    assert!(count(&outcomes[0], "cut") > 0, "of 1000 only 256 may be at it");
    let outcomes = during(&[(&bad, "half_open")]);
    assert!(count(&outcomes[0], "cut") > 0);
    let outcomes = during(&[(&bad, "connects")]);
    assert!(count(&outcomes[0], "made") > 1000);
    let outcomes = during(&[(&bad, "endless_publisher")]);
    assert!(count(&outcomes[0], "sent") > 0);
    let outcomes = during(&[(&deaf, "deaf_subscriber"), (&bad, "endless_publisher")]);
    assert_eq!(outcomes[0]["ended"], true, "who reads nothing is cut");
    let outcomes = during(&[(&bad, "retained_flood")]);
    assert!(count(&outcomes[0], "kept") <= 1000 && count(&outcomes[0], "refused") > 0);
    let outcomes = during(&[(&bad, "deep_chain")]);
    assert!(count(&outcomes[0], "refused") > 0);

    let query = ["reading", "query", "--tenant", "acme", "--device", "good", "--limit", "100000"];
    let rows = place.done(&query);
    println!("{acknowledged} acknowledged");
    let mut kept: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["value"].as_f64().unwrap()).collect();
    kept.sort_by(f64::total_cmp);
    let all: Vec<_> = (1..=acknowledged).map(|number| f64::from(u32::try_from(number).unwrap())).collect();
    assert_eq!(kept, all, "each message that was acknowledged is there once");
}
