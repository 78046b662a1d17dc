//! Readings through the API.

use axum::http::StatusCode;
use http_body_util::BodyExt;
use thingward_model::{Assurance, Timestamp};
use thingward_store::hot::Batch;
use thingward_store::{Reading, Record, Value};
use tower::ServiceExt;

use super::{Fixture, request};
use crate::http::caller::Peer;
use crate::http::server::admin_router;

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
            readings: vec![Reading {
                field: None,
                time: START.plus_micros(i64::from(n) * 1_000_000),
                value: Value::Number(f64::from(n)),
                unit: Some("W".to_owned()),
            }],
        };
        batch.put_record(store.seal(&tenant, &record).unwrap());
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
