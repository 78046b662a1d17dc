//! Readings through the API.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use http_body_util::BodyExt;
use thingward_crypto::{AeadAlgorithm, RecipientSecretKey, system_rng};
use thingward_model::{Assurance, Confidentiality, Timestamp};
use thingward_seal::statement::STATEMENT_BYTES_MAX;
use thingward_seal::{ChainWriter, NewChain, Subject};
use thingward_store::hot::{Batch, Space};
use thingward_store::{Reading, Record, Value};
use tower::ServiceExt;

use super::{Fixture, p256, request};
use crate::http::caller::Peer;
use crate::http::server::admin_router;
use crate::stream_state::StreamKey;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn put(fixture: &Fixture, rows: u32) {
    let tenant = "acme".parse().unwrap();
    let store = &fixture.app.shared.store;
    let mut batch = Batch::new();
    for n in 0..rows {
        let record = Record {
            device: "meter-1".parse().unwrap(),
            stream: "power".parse().unwrap(),
            chain: [1; 8],
            seq: u64::from(n),
            received: START,
            assurance: Assurance::Transport,
            route: thingward_store::Route::TLS,
            readings: vec![Reading {
                field: None,
                time: START.plus_micros(i64::from(n) * 1_000_000),
                value: Value::Number(f64::from(n)),
                unit: Some("W".to_owned()),
            }],
        };
        batch.put_block(store.block(&tenant, &record).unwrap().seal().unwrap());
    }
    store.commit(batch).unwrap();
}

async fn text(fixture: &Fixture, path: &str) -> (StatusCode, String) {
    let request = request(Peer::Admin, "GET", &format!("/api/v1/tenants/acme/{path}"), None, "");
    let response = admin_router(&fixture.app).oneshot(request).await.unwrap();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_windows_latest_and_exports_have_every_reading() {
    let fixture = Fixture::new().await;
    put(&fixture, 250);
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/v1/tenants/acme/readings?limit=100{cursor}");
        let (_, page) = fixture.admin("get", &path, "").await;
        for reading in page["readings"].as_array().unwrap() {
            assert_eq!(reading["value"], f64::from(seen));
            seen += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 250);
    let (_, latest) = fixture.admin("get", "/api/v1/tenants/acme/readings/latest?device=meter-1", "").await;
    assert_eq!(latest["items"][0]["value"], 249.0);
    let windows = "/api/v1/tenants/acme/readings/windows?every=86400&percentiles=50,100";
    let (_, windows) = fixture.admin("get", windows, "").await;
    assert_eq!(windows["items"][0]["count"], 250);
    assert_eq!(windows["items"][0]["percentiles"], serde_json::json!([124.5, 249.0]));
    for (format, lines) in [("csv", 251), ("jsonl", 250), ("senml", 252)] {
        let (status, body) = text(&fixture, &format!("readings?format={format}")).await;
        assert_eq!((status, body.lines().count()), (StatusCode::OK, lines), "{format}");
    }
    let (_, parquet) = text(&fixture, "readings?format=parquet").await;
    assert!(parquet.starts_with("PAR1") && parquet.ends_with("PAR1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_key_closes_every_answer_and_restoring_opens_it() {
    let fixture = Fixture::new().await;
    put(&fixture, 3);
    let key = "/api/v1/tenants/acme/key";
    let (_, state) = fixture.admin("post", &format!("{key}/withdraw"), "").await;
    assert_eq!(state["state"], "withdrawn");
    for path in
        ["readings", "readings?format=csv", "readings/latest", "readings/windows?every=60", "readings/follow"]
    {
        let (status, body) = text(&fixture, path).await;
        assert_eq!(status, StatusCode::LOCKED, "{path}");
        assert!(body.contains(r#""code":"key-withdrawn""#), "{path}: {body}");
    }
    let (_, state) = fixture.admin("post", &format!("{key}/restore"), "").await;
    assert_eq!(state["state"], "open");
    assert_eq!(text(&fixture, "readings?format=jsonl").await.1.lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_nobody_reads_leave_room_for_questions() {
    let fixture = Fixture::new().await;
    put(&fixture, 5_000);
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let path = "/api/v1/tenants/acme/readings?format=jsonl";
        let export = request(Peer::Admin, "GET", path, None, "");
        stalled.push(admin_router(&fixture.app).oneshot(export).await.unwrap());
    }
    let (status, _) = fixture.admin("get", "/api/v1/tenants/acme/readings?limit=1", "").await;
    assert_eq!(status, StatusCode::OK);
    let whole = stalled.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.iter().filter(|b| **b == b'\n').count(), 5_000);
}

/// The open statements of `count` chains of a stream, as the pipeline keeps them.
fn open_chains(fixture: &Fixture, device: &str, stream: &str, count: usize) {
    let at = StreamKey {
        tenant: "acme".parse().unwrap(),
        device: device.parse().unwrap(),
        stream: stream.parse().unwrap(),
    };
    let recipient = RecipientSecretKey::generate(&mut system_rng()).public_key().unwrap();
    let new = NewChain {
        subject: Subject { tenant: at.tenant, device: at.device, stream: at.stream },
        confidentiality: Confidentiality::Customer,
        recipient: &recipient,
        cipher: AeadAlgorithm::Aes256Gcm,
        previous: None,
    };
    let mut batch = Batch::new();
    for _ in 0..count {
        let mut out = [0; STATEMENT_BYTES_MAX];
        let (writer, len) = ChainWriter::open(&new, START, &p256(), &mut system_rng(), &mut out).unwrap();
        batch.put(Space::Chains, at.open(&writer.link().chain), &out[..len]);
    }
    fixture.app.shared.store.commit(batch).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_come_in_pages_of_the_tenant_a_device_or_a_stream() {
    let fixture = Fixture::new().await;
    for (device, stream) in [("a", "x"), ("a", "y"), ("b", "x"), ("ab", "x")] {
        open_chains(&fixture, device, stream, 3);
    }
    for (query, want) in [("", 12), ("device=a&", 6), ("device=a&stream=y&", 3), ("device=none&", 0)] {
        let (mut seen, mut after) = (BTreeSet::new(), String::new());
        loop {
            let path = format!("/api/v1/tenants/acme/chains?{query}limit=5{after}");
            let (status, page) = fixture.admin("get", &path, "").await;
            assert_eq!(status, StatusCode::OK, "{page}");
            for chain in page["items"].as_array().unwrap() {
                assert!(seen.insert(chain["chain"].as_str().unwrap().to_owned()), "{chain}");
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen.len(), want, "{query}");
    }
}
